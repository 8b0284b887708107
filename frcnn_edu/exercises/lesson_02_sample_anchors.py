"""Exercise of lesson 02: `sample_anchors`, whose answer is random, so that there is no right value to compare with.

Instead, every draw must consist of indices of anchors with the right label, none of them twice; their numbers must be
right, whatever there is to draw from; and over many draws every anchor must be drawn, and none always.
"""

from collections.abc import Callable, Sequence
from functools import partial, wraps

import torch
from torch import Tensor

from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.answers import MISSING, as_numbers, integer_remedy, kind_of, read_with
from frcnn_edu.exercises.exercise import Case, Exercise, Result, Step
from frcnn_edu.exercises.running import Problem, call

PAIR = "It should return two tensors: `return positive_indices, negative_indices`."
PARTS = ("positives", "negatives")
BATCH, FRACTION = 256, 0.5

DRAWS = 60
"""With this many a fair draw leaves out one of the 26 anchors less than once in ten million checks."""

PATIENCE = 6
"""How many times the time limit of a single call all these draws may take."""

FAR_OFF = 6.5
"""Standard deviations; a fair draw strays this far less than once in a billion times."""

Draw = tuple[Tensor, Tensor]
"""Indices of positives and of negatives."""


def _mixed(positives: int, negatives: int, ignored: int, seed: int) -> Tensor:
    """That many labels of each kind in a mixed order that begins with negatives and ignored ones."""
    rest = torch.tensor([0] * negatives + [-1] * ignored)
    rest = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
    half = len(rest) // 2
    tail = torch.cat((rest[half:], torch.ones(positives, dtype=torch.int64)))
    return torch.cat((rest[:half], tail[torch.randperm(len(tail), generator=torch.Generator().manual_seed(seed))]))


def _candidates(labels: Tensor) -> Draw:
    """Indices of all positives and of all negatives."""
    return (labels == 1).nonzero().squeeze(1), (labels == 0).nonzero().squeeze(1)


class SampleAnchors(Exercise):
    """`sample_anchors(labels, batch_size, positive_fraction)`: indices of random positives and random negatives."""

    name = "sample_anchors"
    arguments = ("labels", "batch_size=256", "positive_fraction=0.5")
    cases = (
        (_mixed(12, 14, 20, 1), 8, 0.5),
        Case("fewer positives than half the batch", _mixed(2, 20, 9, 2), 10, 0.5),
        Case("few negatives", _mixed(15, 3, 6, 3), 12, 0.5),
        Case("a batch larger than the number of anchors", _mixed(3, 4, 5, 4), 64, 0.5),
        Case("a quarter positive", _mixed(9, 30, 5, 5), 16, 0.25),
        Case("no positive at all", _mixed(0, 20, 9, 6), 6, 0.5),
        Case("a single positive", _mixed(1, 20, 9, 7), 6, 0.5),
        Case("no negative at all", _mixed(10, 0, 9, 8), 8, 0.5),
        Case("the defaults, 256 and 0.5", _mixed(200, 380, 60, 9)),
    )
    whole = True

    options = Step(lambda batch, fraction: (batch, fraction)) | {
        "Half of the batch is positive whatever `positive_fraction` is: use it.": lambda batch, fraction: (batch, 0.5),
        "The batch is 256 whatever `batch_size` is: use it.": lambda batch, fraction: (BATCH, fraction),
        "positive_fraction is used as the share of negatives.": lambda batch, fraction: (batch, 1 - fraction),
    }
    # Of p positives and n negatives, with a batch b of which the share f may be positive: how many positives, ...
    positives = Step(lambda p, n, b, f: min(p, int(b * f))) | {
        "Positives may fill the whole batch: they get batch_size · positive_fraction.": lambda p, n, b, f: min(p, b),
        "If there are few negatives, it draws more positives than batch_size · positive_fraction: that is their limit, "
        "and the batch may stay smaller.": lambda p, n, b, f: min(p, b - min(n, b - min(p, int(b * f)))),
        "It returns every positive: draw at most batch_size · positive_fraction of them.": lambda p, n, b, f: p,
        "positive_fraction is taken of the positives, but it is a share of batch_size.": lambda p, n, b, f: int(p * f),
    }
    # ... how many negatives beside some positives, ...
    negatives = Step(lambda some, n, b, f: min(n, max(b - some, 0))) | {
        "If there are few positives, the batch is not filled up: "
        "draw batch_size - len(positives) negatives.": lambda some, n, b, f: min(n, b - int(b * f)),
        "It draws as many negatives as positives. If there are few positives, negatives fill up the batch: "
        "batch_size - len(positives).": lambda some, n, b, f: min(n, some),
        "It draws batch_size negatives in addition to the positives: "
        "batch_size is for both together.": lambda some, n, b, f: min(n, b),
        "It returns every negative: draw batch_size - len(positives) of them.": lambda some, n, b, f: n,
    }
    # ... and how many of each.
    both = Step(lambda drawn, p, n, b: drawn) | {
        "It draws batch_size of each kind: batch_size is for both together.": lambda _, p, n, b: (min(p, b), min(n, b)),
        "It returns every positive and every negative: draw a random batch of them.": lambda drawn, p, n, b: (p, n),
    }

    def reference(self, labels: Tensor, batch_size: int = BATCH, positive_fraction: float = FRACTION) -> Tensor:
        p, n = map(len, _candidates(labels))
        b, f = self.options(batch_size, positive_fraction)
        some = self.positives(p, n, b, f)
        return torch.tensor(self.both((some, self.negatives(some, n, b, f)), p, n, b))

    def read(self, answer: object, case: tuple) -> Tensor:
        """How many of each were drawn, if every one of them may be drawn."""
        drawn = _read_pair(answer)
        _check_labels(case[0], drawn)
        return torch.tensor([len(part) for part in drawn])

    def judge(self, function: Callable, seconds: float) -> Result:
        """Check one draw in every case, and then many draws in the first."""
        result = super().judge(function, seconds)
        if not result.passed:
            return result
        draws: list[Draw] = []
        try:
            draws = _draw_often(function, seconds)
            message = _why_not_by_chance(draws, self.reference(*SampleAnchors.cases[0]).tolist())
        except Problem as problem:
            message = str(problem)
        if message:
            plot = partial(answer_plots.frequencies, draws, SampleAnchors.cases[0][0]) if draws else None
            return Result(self.name, False, message, plot)
        return Result(self.name, True, f"All {len(self.cases)} cases are right, and {DRAWS} draws were random.")

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        p, n = map(len, _candidates(case[0]))
        batch = case[1] if len(case) > 1 else BATCH
        fraction = case[2] if len(case) > 2 else FRACTION
        (some, others), (wanted, wanted_others) = answer.tolist(), right.long().tolist()
        return (
            f"From {p} positives and {n} negatives, with batch_size={batch} and positive_fraction={fraction}, it draws "
            f"{some} positives and {others} negatives; it should draw {wanted} and {wanted_others}."
        )


def _draw_often(function: Callable, seconds: float) -> list[Draw]:
    """Many draws from the first case, in a single call, since each call takes its time."""
    labels, *options = SampleAnchors.cases[0]

    @wraps(function)
    def often(labels: Tensor, *options: float) -> list[object]:
        return [function(labels.clone(), *options) for _ in range(DRAWS)]

    answers = call(often, SampleAnchors.arguments, (labels, *options), PATIENCE * seconds)
    draws = [read_with(_read_pair, answer) for answer in answers]
    for draw in draws:
        _check_labels(labels, draw)
    return draws


def _read_pair(answer: object) -> Draw:
    if answer is None:
        raise Problem(MISSING)
    if isinstance(answer, dict) or hasattr(answer, "__dataclass_fields__"):
        raise Problem(f"It returns a {type(answer).__name__}. {PAIR}")
    if isinstance(answer, tuple | list):
        parts = list(answer)
    else:
        numbers = as_numbers(answer)
        if numbers.ndim != 2 or len(numbers) != 2:
            raise Problem(f"It returns one tensor, of shape {tuple(numbers.shape)}. {PAIR}")
        parts = list(answer)  # type: ignore[call-overload]  # as_numbers has found two rows in it
    if len(parts) != 2:
        raise Problem(f"It returns {len(parts)} values. {PAIR}")
    positive, negative = (_read_indices(part, name) for part, name in zip(parts, PARTS, strict=True))
    return positive, negative


def _read_indices(part: object, names: str) -> Tensor:
    if part is None:
        raise Problem(f"The indices of the {names} are None: return a tensor, an empty one if there are none.")
    if kind_of(part) == "bool":
        raise Problem(f"The indices of the {names} are a mask of True and False: take mask.nonzero().squeeze(1).")
    numbers = as_numbers(part)
    if numbers.numel() == 0:
        return numbers.reshape(0).long()
    if (numbers != numbers.round()).any():
        raise Problem(f"The indices of the {names} are not whole numbers: are they scores, or labels?")
    remedy = integer_remedy(part)
    if remedy:
        raise Problem(f"The indices of the {names} are {kind_of(part) or 'floats'}, and a float is no index: {remedy}.")
    if numbers.ndim != 1:
        if numbers.ndim == 0:
            hint = "If there is only one, squeeze() removes its axis, too: use squeeze(1)."
        elif numbers.shape[1:] == (1,):
            hint = "nonzero() makes a column: .squeeze(1) flattens it."
        else:
            hint = "torch.where(mask) returns a tuple: take its [0]."
        raise Problem(f"The indices of the {names} have shape {tuple(numbers.shape)}, but should be flat. {hint}")
    return numbers.long()


def _check_labels(labels: Tensor, drawn: Draw) -> None:
    """Raise Problem unless positives are positive, negatives negative, and none is drawn twice."""
    size = len(labels)
    for part, names in zip(drawn, PARTS, strict=True):
        out = part[(part < 0) | (part >= size)]
        if len(out):
            raise Problem(f"An index of the {names} is {int(out[0])}, but the labels are numbered 0 to {size - 1}.")
    if any((labels[part] != label).any() for part, label in zip(drawn, (1, 0), strict=True)):
        raise Problem(_why_wrong_labels(labels, drawn))
    for part, names in zip(drawn, PARTS, strict=True):
        if len(part.unique()) < len(part):
            raise Problem(
                f"One of the {names} is drawn twice: draw without replacement, for instance with randperm "
                "(randint, random.choices and multinomial with replacement may repeat an index)."
            )


def _why_wrong_labels(labels: Tensor, drawn: Draw) -> str:
    found = [labels[part] for part in drawn]
    if all(len(part) for part in drawn) and (found[0] == 0).all() and (found[1] == 1).all():
        return "The two are exchanged: the indices of the positives come first, then those of the negatives."
    if len(drawn[0]) > 1 and len(drawn[1]) > 1 and (drawn[0] == 1).all() and (drawn[1] == 0).all():
        return "It returns labels, ones and zeros, instead of indices into `labels`."
    for part, label, names, candidates in zip(drawn, (1, 0), PARTS, _candidates(labels), strict=True):
        wrong = labels[part] != label
        if not wrong.any():
            continue
        if len(part) > 1 and part.max() < len(candidates):
            return (
                f"It returns places in the list of {names}, not indices into `labels`: "
                "shuffle that list, and return what it holds."
            )
        if (labels[part][wrong] == -1).all():
            return f"Ignored anchors, label -1, are among the {names}: draw only from labels == {label}."
        row = int(part[wrong][0])
        return f"Anchor {row} is among the {names}, but its label is {int(labels[row])}."
    return ""


def _why_not_by_chance(draws: Sequence[Draw], wanted: list[int]) -> str:
    """Why draws from the first case do not look random, or ""."""
    if any([len(part) for part in draw] != wanted for draw in draws):
        return (
            "The numbers of positives and negatives change from draw to draw. "
            "Draw from the positives and from the negatives separately, a fixed number of each."
        )
    parts = zip(zip(*draws, strict=True), PARTS, _candidates(SampleAnchors.cases[0][0]), strict=True)
    return next(filter(None, (_why_not_random(drawn, names, some) for drawn, names, some in parts)), "")


def _why_not_random(draws: Sequence[Tensor], names: str, candidates: Tensor) -> str:
    """Why draws from `candidates` are not fair, or ""."""
    number, size = len(draws), len(draws[0])
    ranks = [torch.searchsorted(candidates, draw).sort().values for draw in draws]  # each (size,)
    if all(torch.equal(rank, ranks[0]) for rank in ranks):
        return _why_always_the_same(draws, names, ranks[0].tolist(), len(candidates))
    if all((rank.diff() == 1).all() for rank in ranks):
        return f"The {names} drawn are always side by side: draw each one on its own."
    often = torch.bincount(torch.cat(ranks), minlength=len(candidates))  # (len(candidates),)
    never, always = candidates[often == 0].tolist(), candidates[often == number].tolist()
    if never == candidates[-1:].tolist():
        return (
            f"In {number} draws the last of the {names}, anchor {never[0]}, was never drawn: all should have the same "
            "chance. Is a range one too short?"
        )
    if never:
        return f"In {number} draws {_listed(never)} of the {names} were never drawn: all should have the same chance."
    if always:
        return f"In each of {number} draws the {names} contain {_listed(always)}: all should have the same chance."
    chance = size / len(candidates)
    spread = (number * chance * (1 - chance)) ** 0.5
    if ((often - number * chance).abs() > FAR_OFF * spread).any():
        return (
            f"Not all {names} have the same chance: in {number} draws of {size} from {len(candidates)} "
            f"one was drawn {int(often.max())} times, another {int(often.min())} times."
        )
    return ""


def _why_always_the_same(draws: Sequence[Tensor], names: str, rank: list[int], count: int) -> str:
    k = len(rank)
    if rank == list(range(k)):
        if any(not torch.equal(draw, draws[0]) for draw in draws):
            return f"It always draws the first {k} {names}, only in another order: shuffle all, then cut."
        return f"Nothing is random: it always draws the first {k} {names}. Shuffle them before cutting."
    if rank == list(range(count - k, count)):
        return f"Nothing is random: it always draws the last {k} {names}. Shuffle them before cutting."
    return f"It draws the same {names} in every call: nothing in it is random, or it sets a seed."


def _listed(indices: Sequence[int]) -> str:
    shown = ", ".join(f"anchor {index}" for index in indices[:3])
    return shown + (", ..." if len(indices) > 3 else "")
