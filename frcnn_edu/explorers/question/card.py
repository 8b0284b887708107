"""A question that the learner answers before the lesson does.

    share = Question("How much of the photograph do the anchors cover?", low=0, high=100, unit="%")
    share

asks, by a number line or by choices; further down

    share.compare(74.2, "Anchors near the border reach beyond it.")

shows the guess and the answer on the same line. Without a guess the answer stays hidden until there is one, or until
the learner asks to see it. Running the first cell again keeps the guess. `guesses()` lists all cards of a lesson.
"""

import base64
import math
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.page_state import kept_state
from frcnn_edu.viz.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent

WORDS = {
    "question": "Question",
    "untouched": "click, drag or use the arrow keys",
    "guess": "This is my guess",
    "choose": "This is my choice",
    "show": "Show the answer without a guess",
    "noted": "You said {guess}. The answer comes further down; until then you can change your mind.",
    "waiting": "The answer is here. Guess first: it appears as soon as you have.",
    "same": "You said {guess}, and so it is.",
    "differs": "You said {guess}, it is {answer}.",
    "unguessed": "It is {answer}.",
    "you": "you: {guess}",
    "your_choice": "your choice",
    "quoted": "\u201c{name}\u201d",
    "it_is": "it is: {answer}",
    "between": "A number between {low} and {high}.",
    "answer": "The answer",
    "no_guess": "no guess",
    "not_yet": "not yet shown",
    "said": "you said",
    "is": "it is",
}
"""Every word of a card, by key."""

GUESS_FIRST = "answer the card, then run this cell again"
"""Where the recap would give away an answer."""

_asked: dict[str, "Question"] = {}


class Question(anywidget.AnyWidget):
    """A card with one question: on a number line from `low` to `high`, or with `choices`, names by key.

    `unit` follows the numbers; a guess is a multiple of `step` (by default a hundredth of the line), or, on a
    logarithmic line (`log`), has two significant digits. Raises ValueError for a line without length, a logarithmic
    line that does not begin above 0, or a card with both a line and choices, or neither.
    """

    _esm = bundle(HERE / "question.js")
    _css = styles(HERE / "question.css")

    text = traitlets.Unicode().tag(sync=True)
    low = traitlets.Float(0.0).tag(sync=True)
    high = traitlets.Float(0.0).tag(sync=True)
    step = traitlets.Float(0.0).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    log = traitlets.Bool(False).tag(sync=True)
    choices = traitlets.Dict().tag(sync=True)

    guess = traitlets.Any(None, allow_none=True).tag(sync=True)
    """What the learner has said: a number, a key of `choices`, or None."""

    answer = traitlets.Any(None, allow_none=True).tag(sync=True)
    """What it is, once `compare` has said so."""

    why = traitlets.Unicode().tag(sync=True)
    """A sentence that the card adds to the answer."""

    picture = traitlets.Bytes().tag(sync=True)
    """A PNG that the card shows with the answer; empty where it has none."""

    skipped = traitlets.Bool(False).tag(sync=True)
    """Whether the learner wanted to see the answer without a guess."""

    words = traitlets.Dict(WORDS).tag(sync=True)

    def __init__(
        self,
        text: str,
        choices: Mapping[str, str] | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        unit: str = "",
        step: float | None = None,
        log: bool = False,
    ) -> None:
        if choices:
            if low is not None or high is not None:
                raise ValueError("a question has choices or a number line from low to high, not both")
            super().__init__(text=text, choices=dict(choices))
        else:
            if low is None or high is None or not low < high:
                raise ValueError(f"a question needs choices, or low below high; got low={low}, high={high}")
            if log and low <= 0:
                raise ValueError(f"a logarithmic line begins above 0, got low={low}")
            super().__init__(text=text, low=low, high=high, unit=unit, log=log, step=step or (high - low) / 100)
        before = _asked.pop(text, None)
        if before is not None and self._can_be(before.guess):
            self.guess = before.guess
        _asked[text] = self

    def compare(self, answer: object, why: str = "", picture: "Axes | Figure | None" = None) -> "Question":
        """The card again, now with the answer: a number (or a tensor of one), or a key of `choices`.

        `why` is a sentence shown with the answer, and so is `picture`, which the cell then does not show by itself.
        Raises ValueError for what is no answer to this question.
        """
        value = answer if self.choices else _number(answer)
        if self.choices and value not in self.choices:
            raise ValueError(f"the answer to {self.text!r} cannot be {answer!r}: {self._possible()}")
        with self.hold_sync():
            self.answer, self.why, self.picture = value, why, _closed(picture)
        return self

    def named(self, value: Any) -> str:
        """A guess or an answer as the card writes it."""
        if self.choices:
            return self.words["quoted"].format(name=self.choices[value].removesuffix("."))
        return f"{_plain(value, self.step, self.log)} {self.unit}".rstrip()

    def __repr__(self) -> str:
        return f"Question({self.text!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        """The live card for a notebook that can show it, text for a page that cannot: there the answer is folded."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return data | kept_state(self) | {"text/html": self._html()}, metadata

    def _html(self) -> str:
        possible = f"<p><i>{escape(self._possible())}</i></p>"
        question = f"<p><b>{escape(self.words['question'])}:</b> {escape(self.text)}</p>"
        if self.answer is None:
            return question + possible
        fold = f"<summary>{escape(self.words['answer'])}</summary>"
        said = self.words["unguessed"].format(answer=self.named(self.answer))
        data = base64.b64encode(self.picture).decode("ascii")
        picture = f'<img alt="{escape(self.text)}" src="data:image/png;base64,{data}">' if data else ""
        return f"{question}<details>{fold}<p>{escape(' '.join([said, self.why]).rstrip())}</p>{picture}</details>"

    def _possible(self) -> str:
        if self.choices:
            return " · ".join(self.choices.values())
        return self.words["between"].format(low=self.named(self.low), high=self.named(self.high))

    def _can_be(self, value: object) -> bool:
        if self.choices:
            return isinstance(value, str) and value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    @traitlets.validate("guess")
    def _check_guess(self, proposal: dict) -> object:
        value = proposal["value"]
        if value is not None and not self._can_be(value):
            raise ValueError(f"a guess at {self.text!r} cannot be {value!r}: {self._possible()}")
        return value


def guesses() -> Table:
    """Every card of this notebook: the question, what you said, and, for those that were answered, what it is."""
    return Table(("", WORDS["said"], WORDS["is"]), [_row(card) for card in _asked.values()])


def _row(card: Question) -> tuple[str, str, str]:
    said = WORDS["no_guess"] if card.guess is None else card.named(card.guess)
    if card.answer is None:
        return card.text, said, WORDS["not_yet"]
    return card.text, said, GUESS_FIRST if card.guess is None and not card.skipped else card.named(card.answer)


def _closed(picture: "Axes | Figure | None") -> bytes:
    """The picture as a PNG; its figure is closed, or the notebook would show it as well."""
    if picture is None:
        return b""
    from matplotlib import pyplot

    from frcnn_edu.viz.png import figure_png

    figure: Any = getattr(picture, "figure", picture)
    pyplot.close(figure)
    return figure_png(figure)


def _number(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the answer on a number line is a number, got {value!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"the answer on a number line is a finite number, got {value!r}")
    return number


def _plain(value: float, step: float, log: bool) -> str:
    """The number, a comma between thousands, with the decimals of `step`; on a log line, with two digits below 10."""
    step = 10.0 ** min(0, math.floor(math.log10(abs(value) or 1)) - 1) if log else step
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
    return f"{value:,.{decimals}f}"
