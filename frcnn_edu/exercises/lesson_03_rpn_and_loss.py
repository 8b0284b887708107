"""Exercises of lesson 03: `smooth_l1` and `rpn_loss`, with what people write instead.

Both recipes are written for the slips, not for beauty; `frcnn_edu.losses` is the code to learn from.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from frcnn_edu.exercises.answers import as_numbers, kind_of
from frcnn_edu.exercises.exercise import Exercise, Step
from frcnn_edu.exercises.running import Problem
from frcnn_edu.losses import smooth_l1

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BETA = 1 / 9
TOLERANCE = 1e-4

INSIDE = Step(
    "inside",
    "x² / (2β)",
    {
        "x² / β": "The half is missing near 0: x²/(2β), so that both pieces meet at |x| = β.",
        "x² / 2": "Near 0 it is x²/2, without β: x²/(2β), so that both pieces meet at |x| = β.",
        "x²": "Near 0 it is x²: x²/(2β) is due, so that both pieces meet at |x| = β.",
        "β x² / 2": "Near 0 it is multiplied by β where it should be divided: x²/(2β). In Python that is "
        "`x**2 / (2 * beta)`; without the brackets beta multiplies.",
        "x² / (2β²)": "Near 0 it is divided by β²: x²/(2β) is due, so that both pieces meet at |x| = β.",
        "|x|": "There is no quadratic piece near 0: where |x| < β it is x²/(2β).",
        "0": "It is 0 near 0: where |x| < β it is x²/(2β).",
    },
)
NO_STRAIGHT_PIECE = "There is no straight piece: from |x| = β on it is |x| - β/2, so that outliers do not rule."
OUTSIDE = Step(
    "outside",
    "|x| - β/2",
    {
        "x - β/2": "For negative x the straight piece takes x where |x| is due, so the loss falls below 0.",
        "|x| - β": "The straight piece is |x| - β; |x| - β/2 is due, so that both pieces meet at |x| = β.",
        "|x| - 1/2": "The straight piece is |x| - 0.5, which is right for β = 1 only: |x| - β/2.",
        "|x|": "The straight piece is |x|; |x| - β/2 is due, so that both pieces meet at |x| = β.",
        "|x| + β/2": "β/2 is added to the straight piece; it is to be subtracted: |x| - β/2.",
        **dict.fromkeys(("x² / (2β)", "x² / 2", "x²"), NO_STRAIGHT_PIECE),
        "β": "The straight piece is missing: where |x| is β or more the loss stays at one height; |x| - β/2 is due.",
    },
)
BORDER = Step(
    "border",
    "|x| < β",
    {
        "x < β": "The border is x < β, so every negative x counts as small: |x| < β is due.",
        "exchanged": "The pieces are exchanged: x²/(2β) is for small |x|, |x| - β/2 for large.",
        "|x| < 1": "The border between the pieces is at 1, whatever β is: |x| < β is due.",
        "|x| < 1/β": "The border between the pieces is at 1/β: |x| < β is due.",
    },
)
SCALE = Step(
    "scale",
    "1",
    {
        "β": "It is β times what is due, which is Huber's loss: divide by β, so that the straight piece has slope 1.",
        "sign": "The loss has the sign of x; it is never below 0: take |x|.",
    },
)
GIVEN_BETA = Step(
    "beta",
    "as given",
    {
        "1 by default": "Where no beta is given it takes 1; the default is 1/9: `def f(x, beta=1/9)`.",
        "always 1/9": "It takes 1/9 whatever `beta` is: use the argument.",
        "always 1": "It takes a beta of 1, whatever `beta` is: use the argument.",
    },
)


def smooth_l1_recipe(
    x: Tensor,
    beta_given: float | None = None,
    *,
    inside: str,
    outside: str,
    border: str,
    scale: str,
    beta: str,
) -> Tensor:
    """The loss of every number with every step taken as named: -> the shape of `x`."""
    default = 1.0 if beta == "1 by default" else BETA
    used = {"always 1/9": BETA, "always 1": 1.0}.get(beta, default if beta_given is None else beta_given)
    x = x.double()
    size = x.abs()
    small = {
        BORDER.right: size < used,
        "x < β": x < used,
        "exchanged": size >= used,
        "|x| < 1": size < 1,
        "|x| < 1/β": size < 1 / used,
    }[border]
    loss = torch.where(small, _inside(x, used, inside), _outside(x, used, outside))
    return loss * {"β": used, "sign": x.sign()}.get(scale, 1)


def _inside(x: Tensor, beta: float, way: str) -> Tensor:
    return {
        INSIDE.right: x**2 / (2 * beta),
        "x² / β": x**2 / beta,
        "x² / 2": x**2 / 2,
        "x²": x**2,
        "β x² / 2": x**2 / 2 * beta,
        "x² / (2β²)": x**2 / (2 * beta**2),
        "|x|": x.abs(),
        "0": torch.zeros_like(x),
    }[way]


def _outside(x: Tensor, beta: float, way: str) -> Tensor:
    return {
        OUTSIDE.right: x.abs() - beta / 2,
        "x - β/2": x - beta / 2,
        "|x| - β": x.abs() - beta,
        "|x| - 1/2": x.abs() - 0.5,
        "|x|": x.abs(),
        "|x| + β/2": x.abs() + beta / 2,
        "x² / (2β)": x**2 / (2 * beta),
        "x² / 2": x**2 / 2,
        "x²": x**2,
        "β": torch.full_like(x, beta / 2),
    }[way]


def explain_smooth_l1(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What the shape of the losses tells, or the first of them that is wrong."""
    if answer.numel() == 1 and right.numel() > 1:
        return (
            "It returns a single number; one loss per element is due, in the shape of x. "
            "Summing and dividing come later, and not over all of them."
        )
    if answer.shape != right.shape:
        return f"It returns shape {tuple(answer.shape)} where {tuple(right.shape)}, the shape of x, is due."
    x, beta = case[0].double(), case[1] if len(case) > 1 else BETA
    default = "" if len(case) > 1 else ", the default,"
    off = (right - answer).abs() > TOLERANCE
    place = tuple(off.nonzero()[0].tolist())
    where = "above" if x[place].abs() >= beta else "below"
    return (
        f"For x = {x[place]:.4g} and beta = {beta:.4g}{default} "
        f"it should be {right[place]:.4g}, but is {answer[place]:.4g}: "
        f"|x| is {where} beta, so {'|x| - β/2' if where == 'above' else 'x²/(2β)'} is due."
    )


def draw_curve(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """The losses over x: the expected ones as a line, the learner's as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.2), layout="constrained", dpi=80)
    axes = figure.subplots()
    beta = case[1] if len(case) > 1 else BETA
    x = torch.linspace(-4, 4, 161) * beta
    axes.plot(x, smooth_l1(x, beta), color="#0072B2", label="expected")
    if answer.shape == right.shape:
        axes.plot(case[0].flatten(), answer.flatten(), "o", color="#D55E00", label="yours")
    highest = 3.5 * beta
    axes.set(xlabel="x", ylabel="loss", title=f"beta = {beta:.3g}", xlim=(-4 * beta, 4 * beta))
    axes.set_ylim(-0.4 * highest, 1.2 * highest)
    axes.legend(loc="upper center", ncols=2)
    return figure


SMOOTH_L1 = Exercise(
    name="smooth_l1",
    arguments=("x", "beta=1/9"),
    cases=(
        (torch.tensor([0.0, 0.05, -0.08, 0.2, -0.35, 0.6, -0.9, 1.7, -2.5, 12.0]),),
        (torch.tensor([[0.5, -0.5, 0.0, 0.9], [1.5, -1.2, -0.1, 3.0], [-4.0, 0.2, -0.8, 2.0]]), 1.0),
        (torch.linspace(-1.3, 1.4, 12).reshape(2, 3, 2), 0.25),
        (torch.tensor([-5.0, -1.9, -1.1, -0.4, 0.3, 1.2, 2.6, 7.0]), 2.0),
    ),
    recipe=smooth_l1_recipe,
    steps=(INSIDE, OUTSIDE, BORDER, SCALE, GIVEN_BETA),
    explain=explain_smooth_l1,
    draw_case=draw_curve,
    case_names=("", "", "x of shape (2, 3, 2)", ""),
    tolerance=TOLERANCE,
)

ENTROPY = Step(
    "entropy",
    "binary cross-entropy of logits",
    {
        "sigmoid twice": "The sigmoid is taken twice: binary_cross_entropy_with_logits wants logits, no sigmoid.",
        "labels exchanged": "Positives count as background and background as positives: "
        "log(p) belongs to label 1, log(1 - p) to label 0.",
        "positives' half": "Only log(p) of the positives is summed: negatives add -log(1 - p).",
        "negatives' half": "Only log(1 - p) of the negatives is summed: positives add -log(p).",
        "no minus": "The cross-entropy has the wrong sign: minus the log of the probability, so it is never below 0.",
        "squared": "The classification is a squared error of probabilities; the cross-entropy is due.",
        "base 2": "The log has base 2: the natural one is due.",
    },
)
IGNORED_AS_BACKGROUND = (
    "Anchors labelled -1 count as background; they were not sampled and count for nothing: "
    "mask them out with labels >= 0."
)
SAMPLED = Step(
    "sampled",
    "labels >= 0",
    {
        "ignored as background": IGNORED_AS_BACKGROUND,
        "ignored as background, over the sampled": IGNORED_AS_BACKGROUND,
        "ignored as -1": "Anchors labelled -1 take part with the target -1; they were not sampled and count for "
        "nothing: mask them out with labels >= 0.",
        "positives": "Only positives are classified: the negatives, labelled 0, were sampled too.",
        "negatives": "Only negatives are classified: the positives, labelled 1, were sampled too.",
    },
)
CLS_COUNT = Step(
    "cls_count",
    "sampled",
    {
        "all": "The classification is divided by the number of all anchors; by that of the sampled ones, "
        "labels >= 0, is due.",
        "positives": "The classification is divided by the number of positives; by that of the sampled anchors, "
        "labels >= 0, is due.",
        "one": "The classification is a plain sum: divide it by the number of sampled anchors.",
        "256": "The classification is divided by 256, whatever was sampled: divide by the number of sampled anchors.",
    },
)
REGRESSED = Step(
    "regressed",
    "positives",
    {
        "sampled": "Negatives regress too; a background anchor has no box to aim at: positives only, labels == 1.",
        "all": "All anchors regress; only positives have a box to aim at: labels == 1.",
        "negatives": "Negatives regress where positives should: labels == 1.",
    },
)
REG_COUNT = Step(
    "reg_count",
    "sampled",
    {
        "positives": "The regression is divided by the number of positives; by that of the sampled anchors is due, "
        "as in the classification.",
        "all": "The regression is divided by the number of all anchors; by that of the sampled ones is due.",
        "four per positive": "The regression is a mean over the positives' four numbers; their sum over the number of "
        "sampled anchors is due: reduction='sum', then divide.",
        "four per sampled": "The regression is divided by four times the sampled anchors: the four numbers of an "
        "anchor are summed, not averaged.",
        "one": "The regression is a plain sum: divide it by the number of sampled anchors.",
        "256": "The regression is divided by 256, whatever was sampled: divide by the number of sampled anchors.",
    },
)
REG_BETA = Step(
    "reg_beta",
    "1/9",
    {
        "1": "Smooth L1 has a beta of 1, PyTorch's default: 1/9 is due.",
        "L1": "The regression is plain L1, |x|: smooth L1 with a beta of 1/9 is due.",
        "L2": "The regression is a sum of squares: smooth L1 with a beta of 1/9 is due.",
        "half L2": "The regression is x²/2 throughout: smooth L1 with a beta of 1/9 is due.",
        "Huber": "The regression is Huber's loss, 1/9 of smooth L1: divide it by beta.",
    },
)
BALANCE = Step(
    "balance",
    "1",
    {
        "10": "The regression is multiplied by 10, the paper's lambda. That goes with a division by the map's cells; "
        "here both halves are divided by the sampled anchors, and there is no lambda."
    },
)
TERMS = Step(
    "terms",
    "classification, regression",
    {
        "exchanged": "The two are exchanged: the classification comes first, then the regression.",
        "sum first": "The first of the two is their sum; classification and regression are due apart.",
    },
)
TARGETS = Step(
    "targets",
    "difference",
    {
        "none": "The targets are not used: the error of the regression is deltas - target_deltas.",
        "sum": "Deltas and targets are added; the error of the regression is their difference.",
    },
)


STEPS_OF_HALVES = (
    frozenset(step.name for step in (ENTROPY, SAMPLED, CLS_COUNT)),
    frozenset(step.name for step in (REGRESSED, REG_COUNT, REG_BETA, BALANCE, TARGETS)),
)


def rpn_loss_recipe(
    logits: Tensor,
    deltas: Tensor,
    labels: Tensor,
    target_deltas: Tensor,
    *,
    entropy: str,
    sampled: str,
    cls_count: str,
    regressed: str,
    reg_count: str,
    reg_beta: str,
    balance: str,
    terms: str,
    targets: str,
) -> Tensor:
    """Both losses with every step taken as named: -> (2,)."""
    masks = {"sampled": labels >= 0, "all": labels == labels, "positives": labels == 1, "negatives": labels == 0}
    counts = {name: int(mask.sum()) for name, mask in masks.items()} | {"one": 1, "256": 256}
    counts |= {"four per positive": 4 * counts["positives"], "four per sampled": 4 * counts["sampled"]}
    taken = _cls_count(sampled) if cls_count == CLS_COUNT.right else cls_count
    classification = _classification(logits.double(), labels, entropy, sampled) / max(counts[taken], 1)
    errors = deltas.double() - {"none": 0, "sum": -1}.get(targets, 1) * target_deltas.double()  # (A, 4)
    regression = _distance(errors[masks[regressed]], reg_beta).sum() / max(counts[reg_count], 1)
    regression = regression * (10 if balance == "10" else 1)
    first, second = {
        TERMS.right: (classification, regression),
        "exchanged": (regression, classification),
        "sum first": (classification + regression, regression),
    }[terms]
    return torch.stack((first, second))


def _classification(logits: Tensor, labels: Tensor, entropy: str, sampled: str) -> Tensor:
    """The sum over the anchors that are taken."""
    taken = {"labels >= 0": labels >= 0, "positives": labels == 1, "negatives": labels == 0}.get(
        sampled, labels == labels
    )
    target = (labels if sampled == "ignored as -1" else labels.clamp(min=0))[taken].double()
    logits = logits[taken]
    p, usual = logits.sigmoid(), binary_cross_entropy_with_logits
    return {
        ENTROPY.right: lambda: usual(logits, target, reduction="sum"),
        "sigmoid twice": lambda: usual(p, target, reduction="sum"),
        "labels exchanged": lambda: usual(logits, 1 - target, reduction="sum"),
        "positives' half": lambda: -(target * p.log()).sum(),
        "negatives' half": lambda: -((1 - target) * (1 - p).log()).sum(),
        "no minus": lambda: -usual(logits, target, reduction="sum"),
        "squared": lambda: ((p - target) ** 2).sum(),
        "base 2": lambda: usual(logits, target, reduction="sum") / math.log(2),
    }[entropy]()


def _cls_count(sampled: str) -> str:
    """By how many anchors the classification is divided: a mean is one over those that are taken."""
    means = {"ignored as background": "all", "ignored as -1": "all", "positives": "positives", "negatives": "negatives"}
    return means.get(sampled, "sampled")


def _distance(errors: Tensor, way: str) -> Tensor:
    size = errors.abs()
    beta = 1.0 if way == "1" else BETA
    smooth = torch.where(size < beta, errors**2 / (2 * beta), size - beta / 2)
    return {"L1": size, "L2": errors**2, "half L2": errors**2 / 2, "Huber": beta * smooth}.get(way, smooth)


def read_pair(answer: object) -> Tensor:
    """The two losses as numbers, (2,), however they are wrapped; raises Problem where there are not two."""
    due = "two are due, `return classification, regression`"
    if isinstance(answer, dict) or hasattr(answer, "__dataclass_fields__"):
        raise Problem(f"It returns a {type(answer).__name__}; {due}.")
    if isinstance(answer, Tensor) and answer.ndim > 0:
        answer = list(answer)
    if not isinstance(answer, list | tuple):
        numbers = as_numbers(answer)
        if numbers.ndim == 0:
            raise Problem(f"It returns a single number; {due}, apart, so that each can be watched.")
        answer = list(numbers)
    if len(answer) != 2:
        raise Problem(f"It returns {len(answer)} values; {due}.")
    return torch.stack([_one_loss(part, name) for part, name in zip(answer, LOSS_NAMES, strict=True)])


LOSS_NAMES = {
    "classification": "Is the log of a logit taken? Logits are no probabilities: the sigmoid comes first.",
    "regression": "Is there a division by 0, or a mean of nothing?",
}
"""The two losses, and what is likely where one is NaN or infinite."""


def _one_loss(part: object, name: str) -> Tensor:
    if part is None:
        raise Problem(f"The {name} it returns is None; a number is due.")
    try:
        number = as_numbers(part)
    except Problem as problem:
        if "NaN" not in str(problem):
            raise
        raise Problem(f"The {name} it returns is NaN or infinite. {LOSS_NAMES[name]}") from None
    if kind_of(part) in ("float16", "bfloat16"):
        raise Problem(f"The {name} is computed in {kind_of(part)}, which knows three digits at most: use float32.")
    if number.numel() != 1:
        raise Problem(f"The {name} it returns has shape {tuple(number.shape)}; one number is due: sum, then divide.")
    return number.reshape(())


def explain_halves(got: Sequence[Tensor]) -> str:
    """What is wrong with each loss by itself, where known slips of its own explain it in every case."""
    return " And: ".join(filter(None, (_explain_half(got, half, names) for half, names in enumerate(STEPS_OF_HALVES))))


def _explain_half(got: Sequence[Tensor], half: int, names: frozenset[str]) -> str:
    cases = RPN_LOSS.cases[: len(got)]
    ways = [(RPN_LOSS.right, [])] + [
        (choice, sentences)
        for choice, sentences in RPN_LOSS.slips()
        if all(way == RPN_LOSS.right[name] for name, way in choice.items() if name not in names)
    ]
    for choice, sentences in ways:
        losses = (rpn_loss_recipe(*case, **choice)[half] for case in cases)  # computed as far as they agree
        if all(abs(loss - answer[half]) <= TOLERANCE for loss, answer in zip(losses, got, strict=True)):
            return " And: ".join(sentences)
    return ""


def inspect_rpn_loss(right: Tensor, answer: Tensor) -> str:
    """Which of the two losses is wrong, and by how much, where no known slip explains it."""
    off = ((right - answer).abs() > TOLERANCE).tolist()
    said = []
    if not off[0]:
        said.append("The classification is right.")
    if not off[1] and right[1] != 0:
        said.append("The regression is right.")
    for name, wrong, due, got in zip(LOSS_NAMES, off, right.tolist(), answer.tolist(), strict=True):
        if wrong:
            times = f", {got / due:.3g} times as much" if due else ""
            said.append(f"The {name} should be {due:.4g}, but is {got:.4g}{times}.")
    return " ".join(said)


def draw_terms(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """Both losses as bars, expected beside got."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.0), layout="constrained", dpi=80)
    axes = figure.subplots()
    bars = ((-0.2, right, "#0072B2", "expected"), (0.2, answer, "#D55E00", "yours"))
    for shift, values, color, label in bars:
        axes.bar_label(axes.bar([shift, 1 + shift], values.tolist(), width=0.38, color=color, label=label), fmt="%.3g")
    axes.set(ylabel="loss", xticks=[0, 1], xticklabels=LOSS_NAMES)
    axes.margins(y=0.3)
    axes.legend(loc="upper center", ncols=2)
    return figure


def _anchors(labels: list[int], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, deltas, labels and targets of made-up anchors; targets of all but positives hold nothing of use."""
    chance = torch.Generator().manual_seed(seed)
    number = len(labels)
    given = torch.tensor(labels)
    logits = 5 * torch.rand(number, generator=chance) - 2.5  # (N,)
    deltas = torch.randn(number, 4, generator=chance) * 0.4  # (N, 4)
    targets = deltas + torch.randn(number, 4, generator=chance) * torch.tensor([0.05, 0.1, 0.4, 1.2])  # (N, 4)
    return logits, deltas, given, targets.where((given == 1)[:, None], 7.5 + 3 * deltas)


RPN_LOSS = Exercise(
    name="rpn_loss",
    arguments=("logits", "deltas", "labels", "target_deltas"),
    cases=(
        _anchors([1, 0, -1, 1, 0, 0, -1, 1, 0], 1),
        _anchors([-1, -1, 0, 1, 0, 1, 0, 0, 0, -1, 0, -1, 0, 0, 1, -1, 0, 0, 1, -1], 2),
        _anchors([1, 1, 0, -1, 1], 3),
        _anchors([0, 0, -1, 0, -1, 0, -1], 4),
    ),
    recipe=rpn_loss_recipe,
    steps=(ENTROPY, SAMPLED, CLS_COUNT, REGRESSED, REG_COUNT, REG_BETA, BALANCE, TERMS, TARGETS),
    inspect=inspect_rpn_loss,
    explain_all=explain_halves,
    draw_case=draw_terms,
    case_names=("", "", "", "labels of which none is positive: the regression is 0 then"),
    tolerance=TOLERANCE,
    read=read_pair,
)

EXERCISES = (SMOOTH_L1, RPN_LOSS)
