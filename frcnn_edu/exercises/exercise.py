"""An exercise: its cases, a reference solution in steps, and the slips that learners make in each step.

`check` runs the learner's function on every case. If an answer is wrong, it computes the reference again with one slip
and then with two, and reports the first slips that reproduce every answer. If none do, it describes the shape of the
answer or its first wrong value.

To add an exercise, write a class in a module of this folder called `lesson_NN_*.py`; `check` and the tests find it
there. A complete one:

    class BoxArea(Exercise):
        name = "box_area"
        arguments = ("boxes",)
        cases = ((rows("0 0 2 3, 1 1 5 2"),), (rows("4 4 9 9"),))

        sides = Step(lambda boxes: boxes[:, 2:] - boxes[:, :2]) | {
            "The sides are one pixel too long.": lambda boxes: boxes[:, 2:] - boxes[:, :2] + 1,
        }
        area = Step(lambda sides: sides.prod(dim=1)) | {
            "It adds the sides: multiply them.": lambda sides: sides.sum(dim=1),
        }

        def reference(self, boxes):
            return self.area(self.sides(boxes))

The methods of `Exercise` after `reference` may be overridden, for messages and pictures that know more.
"""

import base64
import copy
import html
import itertools
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from frcnn_edu.exercises.answers import as_numbers, kind_of, read_with
from frcnn_edu.exercises.running import Problem, call
from frcnn_edu.viz.palette import GREEN, VERMILION
from frcnn_edu.viz.png import figure_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS = 5.0
"""Time limit for the learner's function, for each case."""

MOST_SLIPS = 2
TOLERANCE = 1e-2
"""Largest allowed error of an answer: a hundredth of a pixel."""

LARGEST = 1e30
"""Answers are clamped to this before they are drawn, so that matplotlib's arithmetic does not overflow."""

Hints = list[tuple[tuple[int, ...], str]]
"""Wrong shapes, and what each one tells."""

_registry: "dict[str, Exercise]" = {}


class Step:
    """One step of a reference solution: `Step(right code) | {message to the learner: wrong code, ...}`.

    The code is a function or a plain value. The reference uses it as an attribute, `self.area(sides)`, and does not
    know whether it is right.
    """

    def __init__(self, right: Any) -> None:
        self.right = right
        self.slips: Mapping[str, Any] = {}

    def __or__(self, slips: Mapping[str, Any]) -> "Step":
        step = Step(self.right)
        step.slips = {**self.slips, **slips}
        return step

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, exercise: "Exercise | None", owner: type) -> Any:
        return self if exercise is None else exercise.wrong.get(self.name, self.right)


class Case(tuple):
    """The arguments of a case, and what is special about it: its name, told if the function fails on it."""

    name: str

    def __new__(cls, name: str, *arguments: Any) -> "Case":
        """A case called `name`."""
        case = super().__new__(cls, arguments)
        case.name = name
        return case


class Exercise:
    """One exercise. A subclass with a `name` is registered under it."""

    name: str
    arguments: tuple[str, ...]
    """Their names, with defaults as the learner should write them: "beta=1/9"."""
    cases: tuple[tuple, ...]
    """The arguments, case by case, some as a `Case`; trailing arguments may be left to their defaults."""
    tolerance = TOLERANCE
    whole = False
    """Whether answers are whole numbers: labels or indices."""

    wrong: Mapping[str, Any] = MappingProxyType({})
    """Wrong code, by the name of the step that it replaces."""
    has_own_cases = False
    """Whether the cases are a teacher's, which may not tell one slip from another."""

    wanted_shape = ""
    """What shape to return, told where a wrong shape has no hint: "Return one label per anchor."."""

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls) and _registry.setdefault(cls.name, cls()).__class__ is not cls:
            raise ValueError(f"two exercises are called {cls.name!r}")

    def reference(self, *case: Any) -> Tensor:
        """The answer to a case; right if no step is wrong."""
        raise NotImplementedError

    def read(self, answer: object, case: tuple) -> Tensor:
        """What the learner's function returned for a case, as numbers; raises Problem if that is impossible."""
        return as_numbers(answer)

    def check_dtype(self, answer: object, numbers: Tensor, right: Tensor) -> None:
        """Raise Problem if only the dtype of the answer makes its numbers wrong."""
        kind = kind_of(answer)
        if self.whole or numbers.shape != right.shape or equal(right, numbers, self.tolerance):
            return
        if kind in ("float16", "bfloat16") and equal(right, numbers, 0.03 * float(right.abs().max())):
            raise Problem(f"It computes in {kind}, which has only three digits: use float32.")
        if "int" in kind and equal(right, numbers, 1.0):
            raise Problem(f"It returns whole numbers ({kind}): use torch.float32, and / instead of //.")

    def explain_all(self, got: Sequence[Tensor]) -> str:
        """A message about all answers together, or "" if there is nothing to say."""
        return ""

    def shape_hints(self, *case: Any) -> Hints:
        """The hints that `explain_shape` looks through: the same in the same order for every case."""
        return []

    def explain_shape(self, case: tuple, right: Tensor, answer: Tensor, hint: str) -> str:
        """The message about an answer of the wrong shape."""
        shape, wanted = tuple(answer.shape), tuple(right.shape)
        hint = hint or _usual_hint(wanted, shape) or self.wanted_shape
        return f"It returns shape {shape}, but should return shape {wanted}. {hint}".rstrip()

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        """The message about an answer of the right shape with wrong values."""
        off = (right - answer).abs() > self.tolerance
        if right.ndim == 2:
            row = int(off.any(dim=1).nonzero()[0])
            return f"Row {row} should be {listed(right[row])}, but is {listed(answer[row])}."
        place = tuple(off.nonzero()[0].tolist())
        return f"Element {list(place)} should be {right[place]:.4g}, but is {answer[place]:.4g}."

    def draw(self, case: tuple, right: Tensor, answer: Tensor) -> "Figure | None":
        """The expected answer beside the learner's, which may have any shape."""
        return None

    def expected(self, case: tuple) -> Tensor:
        """The right answer to a case, float64."""
        return self.reference(*case).double()

    def judge(self, function: Callable, seconds: float) -> "Result":
        """Run `function` on every case; never raises for a wrong answer."""
        got: list[Tensor] = []
        problem = ""
        for number in range(len(self.cases)):
            try:
                got.append(self._answer(number, function, seconds))
            except Problem as error:
                problem = str(error)
                break
        message = self._diagnosis(got) or problem  # a wrong answer to an earlier case tells more than a later failure
        if message:
            return Result(self.name, False, message, self._picture(got))
        return Result(self.name, True, f"All {len(self.cases)} cases are right.")

    def slipped(self, number: int) -> Iterator[tuple[tuple[str, ...], "Exercise"]]:
        """Every way to make `number` slips: the messages, and this exercise with that wrong code."""
        steps = {name: step for cls in type(self).__mro__[::-1] for name, step in vars(cls).items()}
        steps = {name: step for name, step in steps.items() if isinstance(step, Step)}
        for names in itertools.combinations(steps, number):
            for slips in itertools.product(*(steps[name].slips.items() for name in names)):
                wrong = {name: code for name, (_, code) in zip(names, slips, strict=True)}
                yield tuple(message for message, _ in slips), self.changed(wrong=wrong)

    def changed(self, **attributes: Any) -> "Exercise":
        """A copy with some attributes changed."""
        other = copy.copy(self)
        vars(other).update(attributes)
        return other

    def gives(self, answers: Sequence[Tensor]) -> bool:
        """Whether this exercise, right or with slips, gives these answers to its first cases."""
        return all(equal(self.expected(c), a, self.tolerance) for c, a in zip(self.cases, answers, strict=False))

    def _answer(self, number: int, function: Callable, seconds: float) -> Tensor:
        case = self.cases[number]
        try:
            answer = call(function, self.arguments, case, seconds)
            numbers = read_with(partial(self.read, case=case), answer)
            self.check_dtype(answer, numbers, self.expected(case))
            return numbers
        except Problem as problem:
            name = getattr(case, "name", "")
            raise Problem(f"{problem} (It was called with {name}.)" if name else str(problem)) from None

    def _diagnosis(self, got: Sequence[Tensor]) -> str:
        """What is wrong with the answers to the first cases; "" if they are right."""
        rights = [self.expected(case) for case in self.cases[: len(got)]]
        pairs = list(zip(rights, got, strict=True))
        wrong = next((i for i, pair in enumerate(pairs) if not equal(*pair, self.tolerance)), None)
        if wrong is None:
            return ""
        message = "" if self.has_own_cases else self._known_slips(got) or self.explain_all(got)
        if message:
            return message
        case, right, answer = self.cases[wrong], rights[wrong], got[wrong]
        if right.shape != answer.shape:
            return self.explain_shape(case, right, answer, self._shape_hint(pairs))
        return self.explain_values(case, right, answer)

    def _known_slips(self, got: Sequence[Tensor]) -> str:
        """The messages of the fewest slips that explain every answer, or ""."""
        for number in range(1, MOST_SLIPS + 1):
            for messages, slipped, first in _first_answers(self.name, number):
                if equal(first, got[0], self.tolerance) and slipped.gives(got):
                    return " And: ".join(messages)
            numbers = torch.cat([answer.flatten() for answer in got])
            if not self.whole and len(numbers) > len(got) and (numbers == numbers[0]).all():
                return f"It returns {numbers[0]:g} everywhere. Does it put what it computes into the result?"
        return ""

    def _shape_hint(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> str:
        """The first hint that fits every answer of a wrong shape, or ""."""
        hints = [
            [(tuple(answer.shape) == shape, sentence) for shape, sentence in self.shape_hints(*case)]
            for case, (right, answer) in zip(self.cases, pairs, strict=False)
            if right.shape != answer.shape
        ]
        return next((told[0][1] for told in zip(*hints, strict=True) if all(fits for fits, _ in told)), "")

    def _picture(self, got: Sequence[Tensor]) -> "Callable[[], Figure | None] | None":
        """Draws the first answer that is wrong; None if there is nothing to see."""
        for case, answer in zip(self.cases, got, strict=False):
            right = self.expected(case)
            if not equal(right, answer, self.tolerance):
                return partial(self.draw, case, right, answer.clamp(-LARGEST, LARGEST)) if right.numel() else None
        return None


@dataclass(frozen=True)
class Result:
    """What a check found; a notebook shows it as a card."""

    name: str
    passed: bool
    message: str
    draw: "Callable[[], Figure | None] | None" = None
    """Draws the expected answer beside the learner's."""

    @property
    def picture(self) -> bytes:
        """The drawing as a PNG; empty if there is nothing to draw."""
        figure = self.draw() if self.draw else None
        return figure_png(figure) if figure else b""

    def __repr__(self) -> str:
        return f"{self.name}: {'passed' if self.passed else 'not yet'}. {self.message}"

    def _repr_html_(self) -> str:
        heading = f"&#10003; {self.name} passed" if self.passed else f"&#8594; {self.name}: not yet"
        parts = html.escape(self.message).split("`")  # between backticks is code
        text = "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
        data = base64.b64encode(self.picture).decode("ascii")
        source = f"data:image/png;base64,{data}"
        image = f'<br><img alt="expected beside yours" style="max-width: 100%" src="{source}">' if data else ""
        style = f"border-left: 6px solid {GREEN if self.passed else VERMILION}; padding: 4px 12px"
        return f'<div style="{style}"><b>{heading}</b><br>{text}{image}</div>'


def check(name: str, function: Callable, seconds: float = SECONDS, cases: Sequence[tuple] | None = None) -> Result:
    """Run the learner's `function` on the cases of exercise `name`, and say what is wrong or that nothing is.

    `cases` are a teacher's own arguments, for a hidden test: the first wrong answer is then described as it is, without
    looking for known slips. Never raises for a wrong answer. Raises KeyError, listing the names, for an unknown
    exercise, and ValueError for an empty list of cases.
    """
    exercise = find(name)
    if cases is not None:
        if len(cases) == 0:
            raise ValueError("cases is empty, so any function would pass; give at least one, or leave it out")
        exercise = exercise.changed(cases=tuple(cases), has_own_cases=True)
    return exercise.judge(function, seconds)


def find(name: str) -> Exercise:
    """The exercise called `name`; raises KeyError listing the names."""
    exercises = every_exercise()
    if name not in exercises:
        raise KeyError(f"no exercise is called {name!r}; there are {', '.join(exercises)}")
    return exercises[name]


@cache
def every_exercise() -> dict[str, Exercise]:
    """All exercises by name, lesson by lesson."""
    for module in pkgutil.iter_modules(import_module(__package__).__path__):
        if module.name.startswith("lesson_"):
            import_module(f"{__package__}.{module.name}")
    return dict(sorted(_registry.items(), key=lambda item: type(item[1]).__module__))


@cache
def _first_answers(name: str, number: int) -> list[tuple[tuple[str, ...], Exercise, Tensor]]:
    """Every way to make `number` slips in an exercise, with the answer that it gives to the first case."""
    exercise = find(name)
    case = exercise.cases[0]
    return [(messages, slipped, slipped.expected(case)) for messages, slipped in exercise.slipped(number)]


def equal(first: Tensor, second: Tensor, tolerance: float = TOLERANCE) -> bool:
    """Whether two answers have the same shape and differ by at most `tolerance` everywhere."""
    return first.shape == second.shape and bool(((first - second).abs() <= tolerance).all())


def rows(text: str) -> Tensor:
    """A table of float32 numbers, its rows separated by commas: "0 0 2 3, 1 1 5 2" -> (2, 4)."""
    return torch.tensor([[float(number) for number in row.split()] for row in text.split(",")])


def listed(numbers: Tensor) -> str:
    """Numbers as a learner reads them: (N,) -> "(1, 2.5)"."""
    return "(" + ", ".join(f"{number:.4g}" for number in numbers.tolist()) + ")"


def same_rows_in_another_order(right: Tensor, answer: Tensor) -> bool:
    """Whether two answers of one shape have the same rows in a different order."""
    distances = torch.cdist(answer, right, p=float("inf"))  # (N, N)
    return bool((distances.amin(dim=0) <= TOLERANCE).all() and (distances.amin(dim=1) <= TOLERANCE).all())


def _usual_hint(wanted: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """What a wrong shape tells in any exercise."""
    if len(wanted) == 2 and shape == wanted[::-1]:
        return "Rows and columns are exchanged: stack along dim=1, or transpose with .T."
    if torch.Size(shape).numel() == torch.Size(wanted).numel():
        sizes = ", ".join(map(str, (-1, *wanted[1:]) if len(wanted) < 3 else wanted))
        return f"All the numbers are there: finish with .reshape({sizes})."
    if shape == ():
        return "That is a single number. Is the `return` inside the loop?"
    if len(wanted) == 2 and shape == wanted[1:]:
        return "That is a single row. Is the `return` inside the loop?"
    if len(shape) == len(wanted) == 2 and shape[1] == wanted[1]:
        return f"That is {shape[0]} rows instead of {wanted[0]}."
    return ""
