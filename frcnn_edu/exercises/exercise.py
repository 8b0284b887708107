"""An exercise: its cases, its right recipe, and the recipes that people write instead.

A recipe has steps, and each step can be taken rightly or with a slip: the ratio upside down, the stride forgotten. So
the right answer and every wrong one are the same function under other choices. `check` computes them all, fewest slips
first, and the one that equals the learner's answer on every case names what went wrong. Where none does, what the
answer's shape and its first wrong row tell has to do.
"""

import base64
import html
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frcnn_edu.exercises.answers import as_numbers, integer_remedy, kind_of, read_with
from frcnn_edu.exercises.running import Problem, call

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS = 5.0
"""How long a learner's function may take for one case."""

MOST_SLIPS = 2
TOLERANCE = 1e-2
"""How far an answer may be from the right one: a hundredth of a pixel."""

LARGEST = 1e30
"""Larger numbers are drawn as this one, or the drawing's own arithmetic would overflow."""

SHELVES = (
    "lesson_01_anchors",
    "lesson_02_iou_labeling",
    "lesson_03_rpn_and_loss",
    "lesson_04_box_regression",
    "lesson_05_proposals",
    "lesson_06_roi_pooling",
    "lesson_07_full_model",
    "lesson_08_real_images",
)
"""The modules in which exercises stand."""

COLORS = {True: "#009E73", False: "#D55E00"}


@dataclass(frozen=True)
class Step:
    """One step of a recipe: the right way to take it, and {another way: the sentence that names the slip}."""

    name: str
    right: str
    slips: Mapping[str, str]


def no_row_hints(*case: object) -> list[tuple[int, str]]:
    """A wrong number of rows tells nothing more than that it is wrong."""
    return []


def inspect_nothing(right: Tensor, answer: Tensor) -> str:
    """Nothing is to be said of the numbers but which of them is wrong."""
    return ""


@dataclass(frozen=True)
class Exercise:
    """What `check` needs to know of one exercise."""

    name: str
    arguments: tuple[str, ...]
    """Their names, with defaults as they are to be written: "beta=1/9"."""
    cases: tuple[tuple, ...]
    """Their values, case by case; a case that ends early leaves the rest to the defaults."""
    recipe: Callable[..., Tensor]
    """The answer of a case under a choice for every step: recipe(*case, step=way, ...)."""
    steps: tuple[Step, ...]
    row_hints: Callable[..., list[tuple[int, str]]] = no_row_hints
    """row_hints(*case) -> wrong numbers of rows and what each tells, the same hints for every case."""
    inspect: Callable[[Tensor, Tensor], str] = inspect_nothing
    """inspect(expected, got), of equal shape -> a sentence about what is wrong, or nothing."""
    draw: Callable[[Tensor, Tensor | None], "Figure"] | None = None
    """draw(expected, got) -> the two side by side, where both are rows of equal length."""
    explain: Callable[[tuple, Tensor, Tensor], str] | None = None
    """explain(case, expected, got), of whatever shapes -> a sentence, or nothing; asked before the shapes are."""
    explain_all: Callable[[Sequence[Tensor]], str] | None = None
    """explain_all(got), case by case -> a sentence, or nothing; asked where no known slip explains the answers."""
    draw_case: Callable[[tuple, Tensor, Tensor], "Figure"] | None = None
    """draw_case(case, expected, got), of whatever shapes -> a picture; instead of `draw`."""
    case_names: tuple[str, ...] = ()
    """What is special about each case, for the sentence about one at which the function stops; "" is nothing."""
    tolerance: float = TOLERANCE
    whole: bool = False
    """Whether the answer holds indices or labels, which are whole numbers."""
    indices: bool = False
    """Whether it holds indices, which are integers by their kind, too: a float is no index."""
    one_number: bool = False
    """Whether the answer is a single number, however it is wrapped."""
    read: Callable[[object], Tensor] | None = None
    """How what the function returned becomes numbers, where the usual way does not fit; may raise Problem."""

    @property
    def right(self) -> dict[str, str]:
        """The right way for every step."""
        return {step.name: step.right for step in self.steps}

    def expected(self, case: tuple) -> Tensor:
        """The right answer of a case, float64."""
        return self.recipe(*case, **self.right).double()

    def judge(self, function: Callable, seconds: float) -> "Result":
        """Run `function` on every case; never raises for a wrong answer."""
        got: list[Tensor] = []
        try:
            for number in range(len(self.cases)):
                try:
                    got.append(_answer(self, number, function, seconds))
                except Problem:
                    _compare(self, got)  # an earlier answer that is wrong says more than a later one that fails
                    raise
            _compare(self, got)
        except Problem as problem:
            return Result(self.name, False, str(problem), _drawing(self, got))
        return Result(self.name, True, f"All {len(self.cases)} cases are right.")

    def slips(self) -> list[tuple[dict[str, str], list[str]]]:
        """Every wrong way through the recipe with its sentences, the fewest slips first."""
        found = []
        for number in range(1, MOST_SLIPS + 1):
            for steps in itertools.combinations(self.steps, number):
                for ways in itertools.product(*(step.slips for step in steps)):
                    choice = self.right | {step.name: way for step, way in zip(steps, ways, strict=True)}
                    found.append((choice, [step.slips[way] for step, way in zip(steps, ways, strict=True)]))
        return found


@dataclass(frozen=True)
class Result:
    """What a check found; a notebook shows it as a card."""

    name: str
    passed: bool
    message: str
    draw: Callable[[], "Figure"] | None = None
    """Draws expected beside got, where there is something to see."""

    @property
    def picture(self) -> bytes:
        """The drawing as a PNG, or nothing."""
        file = io.BytesIO()
        if self.draw is not None:
            self.draw().savefig(file, format="png")
        return file.getvalue()

    def __repr__(self) -> str:
        return f"{self.name}: {'passed' if self.passed else 'not yet'}. {self.message}"

    def _repr_html_(self) -> str:
        heading = f"&#10003; {self.name} passed" if self.passed else f"&#8594; {self.name}: not yet"
        parts = html.escape(self.message).split("`")  # between backticks is code
        text = "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
        image = ""
        if self.draw is not None:
            data = base64.b64encode(self.picture).decode("ascii")
            image = f'<br><img alt="expected beside got" style="max-width: 100%" src="data:image/png;base64,{data}">'
        style = f"border-left: 6px solid {COLORS[self.passed]}; padding: 4px 12px"
        return f'<div style="{style}"><b>{heading}</b><br>{text}{image}</div>'


def check(name: str, function: Callable, seconds: float = SECONDS, cases: Sequence[tuple] | None = None) -> Result:
    """Run the learner's `function` on the cases of exercise `name`, and say what is wrong or that nothing is.

    `cases` are arguments of a teacher's own, for a test that learners have not seen; the first answer that is wrong
    is then described as it is, without a look for known mistakes. Never raises for a wrong answer. Raises KeyError,
    with the names there are, for an unknown exercise, and ValueError for an empty list of cases.
    """
    exercise = find(name)
    if cases is not None:
        if len(cases) == 0:
            raise ValueError("cases is empty, and any function passes no cases; give at least one, or leave it out")
        exercise = replace(exercise, cases=tuple(cases), case_names=())
    return exercise.judge(function, seconds)


def find(name: str) -> Exercise:
    """The exercise called `name`; raises KeyError with the names there are."""
    exercises = _exercises()
    if name not in exercises:
        raise KeyError(f"no exercise is called {name!r}; there are {', '.join(exercises)}")
    return exercises[name]


@cache
def _exercises() -> dict[str, Exercise]:
    shelves = [import_module(f"{__package__}.{shelf}") for shelf in SHELVES]
    return {exercise.name: exercise for shelf in shelves for exercise in shelf.EXERCISES}


def _answer(exercise: Exercise, number: int, function: Callable, seconds: float) -> Tensor:
    case = exercise.cases[number]
    name = exercise.case_names[number] if exercise.case_names else ""
    try:
        return _numbers(exercise, call(function, exercise.arguments, case, seconds), exercise.expected(case))
    except Problem as problem:
        raise Problem(f"{problem} (It was called with {name}.)" if name else str(problem)) from None


def _numbers(exercise: Exercise, answer: object, expected: Tensor) -> Tensor:
    kind = kind_of(answer)
    if exercise.indices and kind == "bool":
        raise Problem(
            "It returns True and False, where whole numbers are due: where a mask is True says mask.nonzero()."
        )
    numbers = read_with(exercise.read or as_numbers, answer)
    if exercise.one_number and numbers.numel() == 1:
        numbers = numbers.reshape(())
    remedy = integer_remedy(answer) if exercise.indices and equal(expected, numbers) else ""
    if remedy:
        raise Problem(f"It returns {kind or 'floats'}, and a float is no index: {remedy}.")
    if exercise.whole or equal(expected, numbers, exercise.tolerance) or numbers.shape != expected.shape:
        return numbers
    if kind in ("float16", "bfloat16") and equal(expected, numbers, 0.03 * float(expected.abs().max())):
        raise Problem(f"It computes in {kind}, which knows three digits at most: use float32.")
    if "int" in kind and equal(expected, numbers, 1.0):
        raise Problem(
            f"It returns whole numbers ({kind}), which cut off what lies behind the point. "
            "Floats are due: use torch.float32, and / instead of //."
        )
    return numbers


def equal(first: Tensor, second: Tensor, tolerance: float = TOLERANCE) -> bool:
    """Whether two answers have one shape and differ by no more than `tolerance` anywhere."""
    return first.shape == second.shape and bool(((first - second).abs() <= tolerance).all())


def _compare(exercise: Exercise, got: Sequence[Tensor]) -> None:
    """Return if every answer that came is right, else raise Problem with the best diagnosis."""
    expected = [exercise.expected(case) for case in exercise.cases[: len(got)]]
    pairs = enumerate(zip(expected, got, strict=True))
    wrong = [i for i, (right, answer) in pairs if not equal(right, answer, exercise.tolerance)]
    if not wrong:
        return
    numbers = range(1, MOST_SLIPS + 1) if exercise is find(exercise.name) else ()
    for number in numbers:
        for choice, sentences, known in _known_slips(exercise.name, number):
            if equal(known, got[0], exercise.tolerance) and _explains(exercise, choice, got):
                raise Problem(" And: ".join(sentences))
        if not exercise.whole:
            _refuse_one_number_everywhere(got)
    sentence = exercise.explain_all(got) if exercise.explain_all and exercise is find(exercise.name) else ""
    if sentence:
        raise Problem(sentence)
    first = wrong[0]
    right, answer = expected[first], got[first]
    sentence = exercise.explain(exercise.cases[first], right, answer) if exercise.explain else ""
    if sentence:
        raise Problem(sentence)
    if right.shape != answer.shape:
        raise Problem(_shape_sentence(right, answer, _row_hint(exercise, got)))
    raise Problem(exercise.inspect(right, answer) or _row_sentence(right, answer, exercise.tolerance))


@cache
def _known_slips(name: str, number: int) -> list[tuple[dict[str, str], list[str], Tensor]]:
    """Ways through the recipe with `number` slips: the choice, its sentences, and what it makes of the first case."""
    exercise = find(name)
    return [
        (choice, sentences, exercise.recipe(*exercise.cases[0], **choice).double())
        for choice, sentences in exercise.slips()
        if len(sentences) == number
    ]


def _explains(exercise: Exercise, choice: dict[str, str], got: Sequence[Tensor]) -> bool:
    """Whether a way through the recipe gives these answers, case by case."""
    pairs = zip(exercise.cases, got, strict=False)
    return all(equal(exercise.recipe(*case, **choice).double(), answer, exercise.tolerance) for case, answer in pairs)


def _refuse_one_number_everywhere(got: Sequence[Tensor]) -> None:
    """Raise Problem where all answers consist of one number, which slips may give, too, but not for their reasons."""
    numbers = torch.cat([answer.flatten() for answer in got])
    if len(numbers) > len(got) and (numbers == numbers[0]).all():
        raise Problem(f"It returns {numbers[0]:g} everywhere. Is what it computes ever put into the result?")


def _row_hint(exercise: Exercise, got: Sequence[Tensor]) -> str:
    """What the numbers of rows tell: the first hint that is true of every case, or nothing."""
    hints = zip(
        *(exercise.row_hints(*case) for case in exercise.cases[: len(got)]), strict=True
    )  # hint by hint, case by case
    fitting = (hint for hint in hints if all(rows == len(a) for (rows, _), a in zip(hint, got, strict=True) if a.ndim))
    return next((sentence for (_, sentence), *_ in fitting), "")


def _shape_sentence(right: Tensor, answer: Tensor, row_hint: str) -> str:
    wanted, shape = tuple(right.shape), tuple(answer.shape)
    start = f"It returns shape {shape} where {wanted} is due: "
    if right.ndim != 2:
        return start[:-2] + "."
    if shape == wanted[::-1]:
        return start + "rows and columns are exchanged. Stack along dim=1, or transpose with .T."
    if shape == wanted[1:]:
        return start + "that is a single row. Does the `return` stand inside the loop?"
    if answer.numel() == right.numel() and shape[-1:] == wanted[-1:]:
        return start + f"all numbers are there, but not in one list of rows. Finish with .reshape(-1, {wanted[-1]})."
    if answer.ndim == 2 and shape[-1] == wanted[-1]:
        return start + (row_hint or f"{shape[0]} rows instead of {wanted[0]}.")
    return start + f"one row of {wanted[-1]} numbers per box."


def _row_sentence(right: Tensor, answer: Tensor, tolerance: float) -> str:
    off = (right - answer).abs() > tolerance
    if right.ndim != 2:
        place = tuple(off.nonzero()[0].tolist())
        where = f"Number {list(place)}" if place else "It"
        return f"{where} should be {right[place]:.4g}, but is {answer[place]:.4g}."
    row = int(off.any(dim=1).nonzero()[0])
    return f"Row {row} should be {_show(right[row])}, but is {_show(answer[row])}."


def _show(row: Tensor) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in row.tolist()) + ")"


def _drawing(exercise: Exercise, got: Sequence[Tensor]) -> Callable[[], "Figure"] | None:
    """What draws expected beside got for the first case that went wrong; None where there is nothing to see."""
    for case, answer in zip(exercise.cases, got, strict=False):
        right = exercise.expected(case)
        if not equal(right, answer, exercise.tolerance):
            if right.numel() == 0:
                return None
            answer = answer.clamp(-LARGEST, LARGEST)
            if exercise.draw_case is not None:
                return partial(exercise.draw_case, case, right, answer)
            if exercise.draw is None:
                return None
            drawable = answer if answer.ndim == 2 and answer.shape[1] == right.shape[1] else None
            return partial(exercise.draw, right, drawable)
    return None


def same_rows_in_another_order(right: Tensor, answer: Tensor) -> bool:
    """Whether the rows of two answers of one shape are the same but for their order."""
    distances = torch.cdist(answer, right, p=float("inf"))  # (N, N)
    return bool((distances.amin(dim=0) <= TOLERANCE).all() and (distances.amin(dim=1) <= TOLERANCE).all())
