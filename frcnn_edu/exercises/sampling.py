"""The exercise `sample_anchors`: an answer that is drawn at random, and so has no right value to compare with.

What is checked instead: what is drawn are indices of anchors with the right label, none of them twice; their numbers
are right whatever there is to draw from; and over many draws every anchor turns up, none of them always.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frcnn_edu.exercises.answers import MISSING, as_numbers, integer_remedy, kind_of, read_with
from frcnn_edu.exercises.exercise import Result
from frcnn_edu.exercises.running import Problem, call

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARGUMENTS = ("labels", "batch_size=256", "positive_fraction=0.5")
PAIR = "two are due, `return positive_indices, negative_indices`"
PARTS = ("positive", "negative")
BATCH, FRACTION = 256, 0.5

DRAWS = 60
"""So many draws: a fair one leaves out one of the 26 anchors less than once in ten million checks."""

PATIENCE = 6
"""All these draws may take so many times as long as one call."""

FAR_OFF = 6.5
"""Standard deviations: a fair draw strays this far less than once in a billion times."""


@dataclass(frozen=True)
class Situation:
    """Labels to draw from, and what is special about them."""

    name: str
    labels: Tensor
    options: tuple = ()
    """batch_size and positive_fraction, where they are given."""

    @property
    def candidates(self) -> tuple[Tensor, Tensor]:
        """Indices of positives and of negatives."""
        return (self.labels == 1).nonzero().squeeze(1), (self.labels == 0).nonzero().squeeze(1)

    @property
    def all_options(self) -> tuple:
        """batch_size and positive_fraction, whether or not they are given."""
        return (*self.options, *(BATCH, FRACTION)[len(self.options) :])

    def counts(self, rule: Callable[..., tuple[int, int]]) -> tuple[int, int]:
        """How many of each a rule draws."""
        return rule(*map(len, self.candidates), *self.all_options)


def _mixed(positives: int, negatives: int, ignored: int, seed: int) -> Tensor:
    """That many labels of each kind in a mixed order that begins with negatives and ignored ones."""
    rest = torch.tensor([0] * negatives + [-1] * ignored)
    rest = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
    half = len(rest) // 2
    tail = torch.cat((rest[half:], torch.ones(positives, dtype=torch.int64)))
    return torch.cat((rest[:half], tail[torch.randperm(len(tail), generator=torch.Generator().manual_seed(seed))]))


MAIN = Situation("plenty of both", _mixed(12, 14, 20, 1), (8, 0.5))
SITUATIONS = (
    MAIN,
    Situation("fewer positives than half the batch", _mixed(2, 20, 9, 2), (10, 0.5)),
    Situation("few negatives", _mixed(15, 3, 6, 3), (12, 0.5)),
    Situation("a batch larger than all there is", _mixed(3, 4, 5, 4), (64, 0.5)),
    Situation("a quarter positive", _mixed(9, 30, 5, 5), (16, 0.25)),
    Situation("no positive at all", _mixed(0, 20, 9, 6), (6, 0.5)),
    Situation("a single positive", _mixed(1, 20, 9, 7), (6, 0.5)),
    Situation("no negative at all", _mixed(10, 0, 9, 8), (8, 0.5)),
    Situation("the defaults, 256 and 0.5", _mixed(200, 380, 60, 9)),
)


def right_counts(positives: int, negatives: int, batch: int, fraction: float) -> tuple[int, int]:
    """As many positives as there are, up to their share; negatives fill up the batch."""
    drawn = min(positives, int(batch * fraction))
    return drawn, min(negatives, batch - drawn)


def _share(count: int, batch: int, fraction: float) -> int:
    return min(count, int(batch * fraction))


WRONG_COUNTS: tuple[tuple[Callable[..., tuple[int, int]], str], ...] = (
    (
        lambda p, n, b, f: (_share(p, b, f), min(n, b - int(b * f))),
        "Where positives are few the batch is not filled up: negatives take the places that positives leave, "
        "batch_size - len(positives).",
    ),
    (
        lambda p, n, b, f: (_share(p, b, f), min(n, _share(p, b, f))),
        "It draws as many negatives as positives: where positives are few, negatives fill up the batch, "
        "batch_size - len(positives).",
    ),
    (
        lambda p, n, b, f: (min(p, b), min(n, b - min(p, b))),
        "Positives may fill the whole batch: they take batch_size · positive_fraction places at most.",
    ),
    (
        lambda p, n, b, f: (min(p, b - min(n, b - _share(p, b, f))), min(n, b - _share(p, b, f))),
        "Where negatives are few, more positives are drawn than batch_size · positive_fraction: that is their limit, "
        "and the batch may stay smaller.",
    ),
    (
        lambda p, n, b, f: (min(p, b), min(n, b)),
        "It draws batch_size of each kind; batch_size is for both together, and positives take a share of it.",
    ),
    (
        lambda p, n, b, f: (_share(p, b, f), min(n, b)),
        "It draws batch_size negatives besides the positives; batch_size is for both together.",
    ),
    (lambda p, n, b, f: (p, n), "It returns every positive and every negative: a random batch of them is due."),
    (
        lambda p, n, b, f: (_share(p, b, f), n),
        "It returns every negative; batch_size - len(positives) of them are due.",
    ),
    (
        lambda p, n, b, f: (p, min(n, max(b - p, 0))),
        "It returns every positive; batch_size · positive_fraction of them are due at most.",
    ),
    (
        lambda p, n, b, f: right_counts(p, n, b, 0.5),
        "Half of the batch is positive whatever `positive_fraction` is: use the argument.",
    ),
    (
        lambda p, n, b, f: right_counts(p, n, BATCH, f),
        "The batch is 256 whatever `batch_size` is: use the argument.",
    ),
    (
        lambda p, n, b, f: right_counts(p, n, b, 1 - f),
        "positive_fraction is taken for the share of the negatives.",
    ),
    (
        lambda p, n, b, f: (int(p * f), min(n, b - int(p * f))),
        "positive_fraction is taken of the positives there are; it is a share of batch_size.",
    ),
)


@dataclass(frozen=True)
class SampleExercise:
    """`sample_anchors`, judged by what every random draw has in common."""

    name: str
    cases: tuple[tuple, ...] = tuple((situation.labels, *situation.options) for situation in SITUATIONS)
    """Arguments, case by case."""
    case_names: tuple[str, ...] = tuple(situation.name for situation in SITUATIONS)
    """What is special about each case; may be left out."""

    def judge(self, function: Callable, seconds: float) -> Result:
        """Let `function` draw, once in every case and many times in one; never raises for a wrong answer."""
        names = self.case_names or ("these labels",) * len(self.cases)
        situations = [Situation(name, case[0], case[1:]) for name, case in zip(names, self.cases, strict=True)]
        draws: list[tuple[Tensor, Tensor]] = []
        try:
            _compare_counts(situations, [_draw(function, situation, seconds) for situation in situations])
            draws.extend(_draw_often(function, seconds))
            _compare_draws(draws)
        except Problem as problem:
            return Result(self.name, False, str(problem), partial(draw_frequencies, draws) if draws else None)
        return Result(self.name, True, f"All {len(situations)} cases are right, and {DRAWS} draws were random.")


SAMPLE = SampleExercise("sample_anchors")


def _draw(function: Callable, situation: Situation, seconds: float) -> tuple[Tensor, Tensor]:
    """One draw as two lists of sound indices, whatever their numbers; raises Problem for any other."""
    try:
        return _read_draw(call(function, ARGUMENTS, (situation.labels, *situation.options), seconds), situation)
    except Problem as problem:
        told = str(problem) == MISSING or situation.name == MAIN.name
        raise Problem(str(problem) if told else f"{problem} (It was called with {situation.name}.)") from None


def _draw_often(function: Callable, seconds: float) -> list[tuple[Tensor, Tensor]]:
    """Many draws from plenty of both, in a single call, as calls take their time."""

    @wraps(function)
    def often(labels: Tensor, *options: float) -> list[object]:
        return [function(labels.clone(), *options) for _ in range(DRAWS)]

    answers = call(often, ARGUMENTS, (MAIN.labels, *MAIN.options), PATIENCE * seconds)
    return [_read_draw(answer, MAIN) for answer in answers]


def _read_draw(answer: object, situation: Situation) -> tuple[Tensor, Tensor]:
    drawn = read_with(_read_pair, answer)
    _check_labels(situation, drawn)
    return drawn


def _read_pair(answer: object) -> tuple[Tensor, Tensor]:
    if answer is None:
        raise Problem(MISSING)
    if isinstance(answer, dict) or hasattr(answer, "__dataclass_fields__"):
        raise Problem(f"It returns a {type(answer).__name__}; {PAIR}.")
    if not isinstance(answer, tuple | list):
        numbers = as_numbers(answer)
        if numbers.ndim != 2 or len(numbers) != 2:
            raise Problem(f"It returns one tensor, of shape {tuple(numbers.shape)}; {PAIR}.")
        answer = list(answer)
    if len(answer) != 2:
        raise Problem(f"It returns {len(answer)} values; {PAIR}.")
    positive, negative = (_read_indices(part, name) for part, name in zip(answer, PARTS, strict=True))
    return positive, negative


def _read_indices(part: object, name: str) -> Tensor:
    if part is None:
        raise Problem(f"The {name} indices are None; a tensor of indices is due, an empty one where there are none.")
    if kind_of(part) == "bool":
        raise Problem(f"The {name} indices are a mask of True and False; indices are due: mask.nonzero().squeeze(1).")
    numbers = as_numbers(part)
    if numbers.numel() == 0:
        return numbers.reshape(0).long()
    if (numbers != numbers.round()).any():
        raise Problem(f"The {name} indices are no whole numbers: are they scores, or labels?")
    remedy = integer_remedy(part)
    if remedy:
        raise Problem(f"The {name} indices are {kind_of(part) or 'floats'}, and a float is no index: {remedy}.")
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        raise Problem(
            f"The {name} indices have shape {tuple(numbers.shape)}: nonzero() makes a column; .squeeze(1) it."
        )
    if numbers.ndim == 0:
        raise Problem(
            f"The {name} index is a number without a list around it, of shape (): "
            "squeeze() takes too much where there is one only; squeeze(1)."
        )
    if numbers.ndim != 1:
        raise Problem(
            f"The {name} indices have shape {tuple(numbers.shape)} where a single row is due. "
            "(torch.where(mask) returns a tuple: take its [0].)"
        )
    return numbers.long()


def _check_labels(situation: Situation, drawn: tuple[Tensor, Tensor]) -> None:
    """Return if positives are positive, negatives negative, and none is drawn twice; else raise Problem."""
    labels, size = situation.labels, len(situation.labels)
    for part, name in zip(drawn, PARTS, strict=True):
        if len(part) and not (part.min() >= 0 and part.max() < size):
            raise Problem(
                f"A {name} index is {int(part[(part < 0) | (part >= size)][0])}, but the {size} labels are numbered "
                f"0 to {size - 1}."
            )
    if any((labels[part] != label).any() for part, label in zip(drawn, (1, 0), strict=True)):
        raise Problem(_why_wrong_labels(situation, drawn))
    for part, name in zip(drawn, PARTS, strict=True):
        if len(part.unique()) < len(part):
            raise Problem(
                f"One {name} anchor is drawn twice: draw without putting back, with randperm "
                "for instance (randint, random.choices and multinomial with replacement may repeat themselves)."
            )


def _why_wrong_labels(situation: Situation, drawn: tuple[Tensor, Tensor]) -> str:
    labels = situation.labels
    found = [labels[part] for part in drawn]
    if all(len(part) for part in drawn) and (found[0] == 0).all() and (found[1] == 1).all():
        return "The two are exchanged: the positive indices come first, then the negative ones."
    if len(drawn[0]) > 1 and len(drawn[1]) > 1 and (drawn[0] == 1).all() and (drawn[1] == 0).all():
        return "It returns labels, ones and zeros, where indices into `labels` are due."
    for part, label, name, candidates in zip(drawn, (1, 0), PARTS, situation.candidates, strict=True):
        wrong = labels[part]
        if (wrong == label).all():
            continue
        if len(part) > 1 and part.max() < len(candidates):
            return (
                f"The {name} indices are places in the list of {name}s, not indices into `labels`: "
                f"take {name}s[randperm...] and not the permutation itself."
            )
        if set(wrong.unique().tolist()) <= {label, -1}:
            return f"Among the {name}s are ignored anchors, label -1: draw from labels == {label} alone."
        row = int(part[wrong != label][0])
        return f"Anchor {row} is drawn as {name}, but its label is {int(labels[row])}."
    return ""


def _compare_counts(situations: Sequence[Situation], once: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Return if every situation's numbers of positives and negatives are right; else raise Problem."""
    got = [(len(positive), len(negative)) for positive, negative in once]
    wanted = [situation.counts(right_counts) for situation in situations]
    if got == wanted:
        return
    for rule, sentence in WRONG_COUNTS:
        if got == [situation.counts(rule) for situation in situations]:
            raise Problem(sentence)
    number = next(i for i, (due, drawn) in enumerate(zip(wanted, got, strict=True)) if due != drawn)
    situation, (p, n), (due_p, due_n) = situations[number], got[number], wanted[number]
    there = " and ".join(f"{len(part)} {name}s" for part, name in zip(situation.candidates, PARTS, strict=True))
    raise Problem(
        f"With {situation.name} ({there}, batch_size and positive_fraction {situation.all_options}) it draws "
        f"{p} positives and {n} negatives; {due_p} and {due_n} are due."
    )


def _compare_draws(draws: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Return if the draws differ as chance makes them differ; else raise Problem."""
    due = MAIN.counts(right_counts)
    if any((len(positive), len(negative)) != due for positive, negative in draws):
        raise Problem(
            "The numbers of positives and negatives change from draw to draw. "
            "Draw from the positives and from the negatives apart, so many of each."
        )
    for part, (name, candidates) in enumerate(zip(PARTS, MAIN.candidates, strict=True)):
        sentence = _why_not_random([draw[part] for draw in draws], candidates, name)
        if sentence:
            raise Problem(sentence)


def _why_not_random(draws: Sequence[Tensor], candidates: Tensor, name: str) -> str:
    """What makes draws from `candidates` other than fair, or nothing."""
    size = len(draws[0])
    ranks = [torch.searchsorted(candidates, draw).sort().values for draw in draws]  # each (size,)
    if all(torch.equal(rank, ranks[0]) for rank in ranks):
        return _why_always_the_same(draws, ranks[0], len(candidates), name)
    if all((rank.diff() == 1).all() for rank in ranks):
        return f"The {name}s drawn always lie side by side: every one is to be drawn on its own."
    often = torch.bincount(torch.cat(ranks), minlength=len(candidates))  # (len(candidates),)
    if (often == 0).any():
        never = candidates[often == 0].tolist()
        last = " The last one is missing: is the end of a range left out?" if never == candidates[-1:].tolist() else ""
        return (
            f"In {len(draws)} draws {len(never)} of the {len(candidates)} {name}s, {_listed(never)}, never "
            f"turned up: all should have the same chance.{last}"
        )
    if (often == len(draws)).any():
        always = candidates[often == len(draws)].tolist()
        return f"In each of {len(draws)} draws the {name}s contain {_listed(always)}: all should have the same chance."
    chance = size / len(candidates)
    spread = (len(draws) * chance * (1 - chance)) ** 0.5
    if ((often - len(draws) * chance).abs() > FAR_OFF * spread).any():
        return (
            f"Not all {name}s have the same chance: in {len(draws)} draws of {size} from {len(candidates)} "
            f"one turned up {int(often.max())} times, another {int(often.min())} times."
        )
    return ""


def _why_always_the_same(draws: Sequence[Tensor], rank: Tensor, number: int, name: str) -> str:
    if rank.tolist() == list(range(len(rank))):
        if any(not torch.equal(draw, draws[0]) for draw in draws):
            return f"It is always the first {len(rank)} {name}s, only in another order: shuffle all, then cut."
        return f"Nothing is random: it always draws the first {len(rank)} {name}s. Shuffle them before cutting."
    if rank.tolist() == list(range(number - len(rank), number)):
        return f"Nothing is random: it always draws the last {len(rank)} {name}s. Shuffle them before cutting."
    return (
        f"It draws the same {name}s every time it is called: nothing in it is random, or a seed is set inside of it. "
        "Draws should differ from call to call."
    )


def _listed(indices: Sequence[int]) -> str:
    shown = ", ".join(f"anchor {index}" for index in indices[:3])
    return shown + (", ..." if len(indices) > 3 else "")


def draw_frequencies(draws: Sequence[tuple[Tensor, Tensor]]) -> "Figure":
    """How often each positive and each negative turned up in many draws, and how often chance would draw it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.8), layout="constrained", dpi=80)
    for part, (axes, name, candidates) in enumerate(
        zip(figure.subplots(1, 2, sharey=True), PARTS, MAIN.candidates, strict=True)
    ):
        often = torch.bincount(torch.cat([draw[part] for draw in draws]), minlength=len(MAIN.labels))[candidates]
        axes.bar(range(len(candidates)), often.tolist(), color="#D55E00", label="yours")
        axes.axhline(sum(len(draw[part]) for draw in draws) / len(candidates), color="#0072B2", label="expected, about")
        axes.set(title=f"{name}s in {len(draws)} draws", xlabel="anchor")
        axes.set_xticks(range(len(candidates)), labels=candidates.tolist(), fontsize=7)
        axes.legend(fontsize=8)
    return figure
