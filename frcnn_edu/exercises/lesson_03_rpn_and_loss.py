"""Exercises of lesson 03: `smooth_l1` and `rpn_loss`. The code to learn from is `frcnn_edu.losses`."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.answers import as_numbers, kind_of
from frcnn_edu.exercises.exercise import Case, Exercise, Hints, Step, rows
from frcnn_edu.exercises.running import Problem
from frcnn_edu.losses import smooth_l1

BETA = 1 / 9


class SmoothL1(Exercise):
    """`smooth_l1(x, beta)`: x²/(2β) near 0 and |x| - β/2 elsewhere, in the shape of x."""

    name = "smooth_l1"
    arguments = ("x", "beta=1/9")
    cases = (
        (rows("0 0.05 -0.08 0.2 -0.35 0.6 -0.9 1.7 -2.5 12")[0],),
        (rows("0.5 -0.5 0 0.9, 1.5 -1.2 -0.1 3, -4 0.2 -0.8 2"), 1.0),
        Case("x of shape (2, 3, 2)", torch.linspace(-1.3, 1.4, 12).reshape(2, 3, 2), 0.25),
        (rows("-5 -1.9 -1.1 -0.4 0.3 1.2 2.6 7")[0], 2.0),
    )
    tolerance = 1e-4
    wanted_shape = "Return one loss per element, in the shape of x."
    draw = staticmethod(answer_plots.loss_curve)

    inside = Step(lambda x, b: x**2 / (2 * b)) | {
        "The half is missing near 0: with x²/(2β) the pieces meet at |x| = β.": lambda x, b: x**2 / b,
        "Near 0 it is x²/2, without β: with x²/(2β) the pieces meet at |x| = β.": lambda x, b: x**2 / 2,
        "Near 0 it is x²: with x²/(2β) the pieces meet at |x| = β.": lambda x, b: x**2,
        "Near 0 it multiplies by β instead of dividing: "
        "x²/(2β) is `x**2 / (2 * beta)`, and without the brackets Python multiplies.": lambda x, b: x**2 / 2 * b,
        "Near 0 it is divided by β²: with x²/(2β) the pieces meet at |x| = β.": lambda x, b: x**2 / (2 * b**2),
        "There is no quadratic piece near 0: for |x| < β it is x²/(2β).": lambda x, b: x.abs(),
        "It is 0 near 0: for |x| < β it is x²/(2β).": lambda x, b: 0 * x,
    }
    outside = Step(lambda x, b: x.abs() - b / 2) | {
        "For negative x the straight piece takes x instead of |x|, so the loss falls below 0.": lambda x, b: x - b / 2,
        "The straight piece is |x| - β: with |x| - β/2 the pieces meet at |x| = β.": lambda x, b: x.abs() - b,
        "The straight piece is |x| - 0.5, which is right only for β = 1: |x| - β/2.": lambda x, b: x.abs() - 0.5,
        "The straight piece is |x|: with |x| - β/2 the pieces meet at |x| = β.": lambda x, b: x.abs(),
        "β/2 is added to the straight piece, but should be subtracted: |x| - β/2.": lambda x, b: x.abs() + b / 2,
        "No straight piece: beyond |x| = β it is x²/(2β) instead of |x| - β/2.": lambda x, b: x**2 / (2 * b),
        "No straight piece: beyond |x| = β it is x²/2 instead of |x| - β/2.": lambda x, b: x**2 / 2,
        "No straight piece: beyond |x| = β it is x² instead of |x| - β/2.": lambda x, b: x**2,
        "No straight piece: beyond |x| = β it is constant instead of |x| - β/2.": lambda x, b: b / 2 + 0 * x,
    }
    near = Step(lambda x, b: x.abs() < b) | {
        "The border is x < β, so every negative x counts as small: |x| < β.": lambda x, b: x < b,
        "The pieces are exchanged: x²/(2β) is for small |x|, |x| - β/2 for large.": lambda x, b: x.abs() >= b,
        "The border between the pieces is at 1, whatever β is: |x| < β.": lambda x, b: x.abs() < 1,
        "The border between the pieces is at 1/β: |x| < β.": lambda x, b: x.abs() < 1 / b,
    }
    scale = Step(lambda loss, x, b: loss) | {
        "It is the Huber loss, β times smooth L1: divide by β, so that the slope is 1.": lambda loss, x, b: loss * b,
        "The loss has the sign of x, but is never below 0: take |x|.": lambda loss, x, b: loss * x.sign(),
    }
    given = Step(lambda beta: BETA if beta is None else beta) | {
        "Without a beta it takes 1, but the default is 1/9: `def f(x, beta=1/9)`.": lambda beta: (
            1.0 if beta is None else beta
        ),
        "It takes 1/9 whatever `beta` is: use the argument.": lambda beta: BETA,
        "It takes a beta of 1, whatever `beta` is: use the argument.": lambda beta: 1.0,
    }

    def reference(self, x: Tensor, beta: float | None = None) -> Tensor:
        x, b = x.double(), self.given(beta)
        return self.scale(torch.where(self.near(x, b), self.inside(x, b), self.outside(x, b)), x, b)

    def shape_hints(self, x: Tensor, beta: float = BETA) -> Hints:
        single = "That is a single number. Do not sum or average: rpn_loss will do that, and not over all elements."
        return [((), single), ((1,), single), ((x.numel(),), self.wanted_shape)]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        x, beta = case[0].double(), case[1] if len(case) > 1 else BETA
        default = "" if len(case) > 1 else " (the default)"
        i = tuple(((right - answer).abs() > self.tolerance).nonzero()[0].tolist())
        far = "Since |x| is not below beta, it is |x| - β/2."
        return (
            f"For x = {x[i]:.4g} and beta = {beta:.4g}{default} the loss should be {right[i]:.4g}, but is "
            f"{answer[i]:.4g}. {far if x[i].abs() >= beta else 'Since |x| is below beta, it is x²/(2β).'}"
        )


def _anchors(labels: list[int], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, deltas, labels and targets of made-up anchors; the targets of all but positives are meaningless."""
    chance = torch.Generator().manual_seed(seed)
    number = len(labels)
    given = torch.tensor(labels)
    logits = 5 * torch.rand(number, generator=chance) - 2.5  # (N,)
    deltas = torch.randn(number, 4, generator=chance) * 0.4  # (N, 4)
    targets = deltas + torch.randn(number, 4, generator=chance) * torch.tensor([0.05, 0.1, 0.4, 1.2])  # (N, 4)
    return logits, deltas, given, targets.where((given == 1)[:, None], 7.5 + 3 * deltas)


def _bce(logits: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, targets, reduction="none")


PARTS = {
    "objectness half": "Does it take the log of a logit, or of a sigmoid that has rounded to 0 or 1? "
    "binary_cross_entropy_with_logits takes logits and stays finite.",
    "box half": "Is there a division by 0, or a mean of nothing?",
}
"""The two halves, and what is likely if one is NaN or infinite."""

STEPS = ({"entropy", "sampled", "cls_count"}, {"regressed", "reg_count", "distance", "balance", "error"})
"""The steps of either half."""

TWO = "It should return two numbers: `return objectness_half, box_half`."


class RPNLoss(Exercise):
    """`rpn_loss(logits, deltas, labels, target_deltas)`: objectness half and box half, two numbers."""

    name = "rpn_loss"
    arguments = ("logits", "deltas", "labels", "target_deltas")
    cases = (
        _anchors([1, 0, -1, 1, 0, 0, -1, 1, 0], 1),
        _anchors([-1, -1, 0, 1, 0, 1, 0, 0, 0, -1, 0, -1, 0, 0, 1, -1, 0, 0, 1, -1], 2),
        _anchors([1, 1, 0, -1, 1], 3),
        Case(
            "logits of ±200, where the sigmoid rounds to 0 or 1",
            *(rows("-200 200 150 -150 1")[0], *_anchors([1, 0, 1, 0, -1], 5)[1:]),
        ),
        Case("labels of which none is positive: then the box half is 0", *_anchors([0, 0, -1, 0, -1, 0, -1], 4)),
    )
    tolerance = 1e-4
    draw = staticmethod(answer_plots.loss_bars)

    # Of logits and labels.
    entropy = Step(_bce) | {
        "The sigmoid is taken twice: binary_cross_entropy_with_logits takes logits.": lambda z, y: _bce(z.sigmoid(), y),
        "Positives count as background and background as positives: log(p) belongs to label 1, "
        "log(1 - p) to label 0.": lambda z, y: _bce(z, 1 - y),
        "Only log(p) of positives is summed: add log(1 - p) of the negatives.": lambda z, y: -y * logsigmoid(z),
        "Only log(1 - p) of negatives is summed: add log(p) of the positives.": lambda z, y: (y - 1) * logsigmoid(-z),
        "The cross-entropy has the wrong sign: it is minus the log of the probability.": lambda z, y: -_bce(z, y),
        "The objectness half is a squared error: take the cross-entropy.": lambda z, y: (z.sigmoid() - y) ** 2,
        "The log has base 2: take the natural one.": lambda z, y: _bce(z, y) / math.log(2),
    }
    # Masks of the anchors that are scored and of those that are counted, and their targets.
    sampled = Step(lambda y: (y >= 0, y >= 0, y)) | {
        "Anchors labelled -1 count as background, but they were not sampled: "
        "leave them out, with labels >= 0.": lambda y: (y >= -1, y >= -1, y.clamp(min=0)),
        "Anchors labelled -1 count as background in the sum, but were not sampled: "
        "leave them out, with labels >= 0.": lambda y: (y >= -1, y >= 0, y.clamp(min=0)),
        "Anchors labelled -1 take part with the target -1, but were not sampled: "
        "leave them out, with labels >= 0.": lambda y: (y >= -1, y >= -1, y),
        "Only positives are scored: the negatives, labelled 0, were sampled, too.": lambda y: (y == 1, y == 1, y),
        "Only negatives are scored: the positives, labelled 1, were sampled, too.": lambda y: (y == 0, y == 0, y),
    }
    cls_count = Step(lambda y, counted: counted.sum()) | {
        "The objectness half is divided by the number of all anchors: take the sampled ones.": lambda y, counted: len(
            y
        ),
        "The objectness half is divided by the number of positives: "
        "take the sampled anchors, labels >= 0.": lambda y, counted: (y == 1).sum(),
        "The objectness half is a plain sum: divide it by the number of sampled anchors.": lambda y, counted: 1,
        "The objectness half is divided by 256: take the number of sampled anchors.": lambda y, counted: 256,
    }
    regressed = Step(lambda y: y == 1) | {
        "Negatives regress, too, but only positives have a box as their target: labels == 1.": lambda y: y >= 0,
        "All anchors regress, but only positives have a box as their target: labels == 1.": lambda y: y >= -1,
        "Negatives regress instead of positives: labels == 1.": lambda y: y == 0,
    }
    reg_count = Step(lambda y: (y >= 0).sum()) | {
        "The box half is divided by the number of positives: take the sampled anchors.": lambda y: (y == 1).sum(),
        "The box half is divided by the number of all anchors: take the sampled ones.": len,
        "The box half is a mean over the positives' four numbers: take their sum (reduction='sum'), "
        "and divide by the number of sampled anchors.": lambda y: 4 * (y == 1).sum(),
        "The box half is divided by four times the sampled anchors: "
        "the four numbers of an anchor are summed, not averaged.": lambda y: 4 * (y >= 0).sum(),
        "The box half is a plain sum: divide it by the number of sampled anchors.": lambda y: 1,
        "The box half is divided by 256: take the number of sampled anchors.": lambda y: 256,
    }
    distance = Step(lambda error: smooth_l1(error, BETA)) | {
        "Smooth L1 has a beta of 1, PyTorch's default: it should be 1/9.": lambda error: smooth_l1(error, 1.0),
        "The box half is plain L1, |x|: take smooth L1 with a beta of 1/9.": torch.abs,
        "The box half is a sum of squares: take smooth L1 with a beta of 1/9.": torch.square,
        "The box half is x²/2 everywhere: take smooth L1 with a beta of 1/9.": lambda error: error**2 / 2,
        "The box half is the Huber loss, 1/9 of smooth L1: divide it by beta.": lambda e: BETA * smooth_l1(e, BETA),
    }
    balance = Step(1) | {
        "The box half is multiplied by 10, the paper's lambda. That goes with a division by the number of cells; "
        "here both halves are divided by the sampled anchors, and there is no lambda.": 10,
    }
    returned = Step(lambda cls, reg: (cls, reg)) | {
        "The two are exchanged: the objectness half comes first, then the box half.": lambda cls, reg: (reg, cls),
        "The first of the two is their sum: return the two halves.": lambda cls, reg: (cls + reg, reg),
    }
    error = Step(lambda deltas, targets: deltas - targets) | {
        "The targets are not used: the error is deltas - target_deltas.": lambda deltas, targets: deltas,
        "Deltas and targets are added: the error is their difference.": lambda deltas, targets: deltas + targets,
    }

    def reference(self, logits: Tensor, deltas: Tensor, labels: Tensor, target_deltas: Tensor) -> Tensor:
        taken, counted, targets = self.sampled(labels)  # (A,) each
        entropy = self.entropy(logits[taken].double(), targets[taken].double())  # (S,)
        cls = entropy.sum() / max(self.cls_count(labels, counted), 1)
        errors = self.error(deltas.double(), target_deltas.double())[self.regressed(labels)]  # (P, 4)
        reg = self.balance * self.distance(errors).sum() / max(self.reg_count(labels), 1)
        return torch.stack(self.returned(cls, reg))

    def read(self, answer: object, case: tuple) -> Tensor:
        if isinstance(answer, dict) or hasattr(answer, "__dataclass_fields__"):
            raise Problem(f"It returns a {type(answer).__name__}. {TWO}")
        if isinstance(answer, Tensor) and answer.ndim > 0:
            answer = list(answer)
        if not isinstance(answer, list | tuple):
            numbers = as_numbers(answer)
            if numbers.ndim == 0:
                raise Problem(f"It returns a single number. {TWO}")
            answer = list(numbers)
        if len(answer) != 2:
            raise Problem(f"It returns {len(answer)} values. {TWO}")
        return torch.stack([_one_loss(part, name) for part, name in zip(answer, PARTS, strict=True)])

    def explain_all(self, got: Sequence[Tensor]) -> str:
        return " And: ".join(filter(None, (self._explain_part(got, part) for part in (0, 1))))

    def _explain_part(self, got: Sequence[Tensor], part: int) -> str:
        ways = itertools.chain([((), self)], self.slipped(1), self.slipped(2))
        for messages, slipped in ((m, s) for m, s in ways if s.wrong.keys() <= STEPS[part]):
            errors = ((slipped.expected(c) - a)[part].abs() for c, a in zip(self.cases, got, strict=False))
            if all(error <= self.tolerance for error in errors):
                return " And: ".join(messages)
        return ""

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        said = []
        for name, wanted, got in zip(PARTS, right.tolist(), answer.tolist(), strict=True):
            if abs(wanted - got) > self.tolerance:
                said.append(f"The {name} should be {wanted:.4g}, but is {got:.4g}.")
                said.extend([f"That is {got / wanted:.3g} times as much."] if wanted else [])
            elif wanted:
                said.append(f"The {name} is right.")
        return " ".join(said)


def _one_loss(part: object, name: str) -> Tensor:
    if part is None:
        raise Problem(f"The {name} that it returns is None instead of a number.")
    try:
        number = as_numbers(part)
    except Problem as problem:
        if "NaN" not in str(problem):
            raise
        raise Problem(f"The {name} that it returns is NaN or infinite. {PARTS[name]}") from None
    if kind_of(part) in ("float16", "bfloat16"):
        raise Problem(f"The {name} is computed in {kind_of(part)}, which has only three digits: use float32.")
    if number.numel() != 1:
        raise Problem(f"The {name} has shape {tuple(number.shape)}, but should be one number: sum, then divide.")
    return number.reshape(())
