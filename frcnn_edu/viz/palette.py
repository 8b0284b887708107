"""The palette: the only place where a colour, a dash or a width of a line is chosen.

The scripts and style sheets in the browser and the matplotlib pictures read the same lists (`explorers.bundle` hands
them over), so a positive anchor looks alike in all. Hues are those of Okabe and Ito, which stay apart under the common
kinds of colour blindness; since eight hues over a photograph are still not enough, each state also has its own line: a
dash pattern and a width. This module is data only and loads no drawing library.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

BLUE = "#0072B2"
SKY_BLUE = "#56B4E9"
PALE_BLUE, DEEP_BLUE = "#A6DBFF", "#1583D6"
"""Beside sky blue, for anchors of other shapes."""
GREEN = "#009E73"
VERMILION = "#D55E00"
GREY = "#BBBBBB"
YELLOW = "#F0E442"
ORANGE = "#E69F00"
PURPLE = "#CC79A7"
PINK = "#F07CC0"
WHITE = "#FFFFFF"
BLACK = "#000000"
INK = "#222222"
QUIET_INK = "#666666"
MIDTONE = "#7F7F7F"
"""Ink of pictures without a ground: at least 4 to 1 against white and against what dark pages have."""
SLATE = "#555555"
"""Behind samples of lines, which must stand out in light and dark themes."""
FOCUS = "#1976D2"
"""Round what the keyboard has reached, where the page has no colour of its own for that."""

GROUND, LIT_GROUND = "#F4F4F4", "#FFF1A8"
LEAF, SKY, NIGHT = "#A9D8C6", "#D5ECF8", "#3B3B3B"
"""Grounds and the sketched scene on the map of the architecture."""

COLORS = {
    "blue": BLUE,
    "sky-blue": SKY_BLUE,
    "green": GREEN,
    "vermilion": VERMILION,
    "grey": GREY,
    "yellow": YELLOW,
    "orange": ORANGE,
    "purple": PURPLE,
    "white": WHITE,
    "black": BLACK,
    "ink": INK,
    "slate": SLATE,
    "focus": FOCUS,
}
"""The colours that scripts and style sheets use, by name."""

TEXT_COLORS = {
    "blue": (BLUE, "#6CC3F5"),
    "orange": ("#B35C00", "#F0B050"),
    "green": ("#007A59", "#4FD6AC"),
    "vermilion": ("#B84F00", "#FF9A5C"),
    "purple": ("#8F3D6C", "#E59AC4"),
}
"""Hues that text is written in: on light and on dark ground, each with a contrast of 4.5 to 1 or more."""

COLOR_MAP = "Blues_r"
"""matplotlib's name for the ramp from small values to large ones: lightness alone, and no hue that a box has on it."""

RAMP = ("#08306B", "#08519C", "#2171B5", "#4292C6", "#6CAED6", "#9FCAE1", "#C7DBEF", "#DFEBF7", "#F7FBFF")
"""The colours of `COLOR_MAP`, evenly spaced, for whoever has no matplotlib."""

DASHED = (7, 5)
SHORT_DASHES = (4, 4)
LONG_DASHES = (12, 4)
DOTTED = (2, 5)
FINE_DOTS = (1.5, 3)
DASH_DOT = (9, 3, 2, 3)


@dataclass(frozen=True)
class State:
    """A look: one way for a box to be, or another line of a picture.

    Code finds it by its `key`; people read its `label`, which is the key unless given. `color` is #rrggbb; `dash` is
    on, off, on, off … in CSS pixels, and empty for a solid line; `width` is in CSS pixels too.
    Raises ValueError for an empty key, a colour that is not #rrggbb, or a length that is not above 0.
    """

    key: str
    color: str
    dash: tuple[float, ...] = ()
    width: float = 1.5
    label: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("a state needs a key: code finds it by that")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.color):
            raise ValueError(f"color of state {self.key!r} must be written #rrggbb, got {self.color!r}")
        if len(self.dash) % 2 or not all(length > 0 for length in (*self.dash, self.width)):
            raise ValueError(
                f"state {self.key!r} needs a width above 0 and dashes in pairs (on, off) above 0, "
                f"got width {self.width} and dash {self.dash}"
            )
        if not self.label:
            object.__setattr__(self, "label", self.key)

    def as_dict(self) -> dict:
        """The state as plain data, for the script in the browser."""
        return asdict(self)


STATES = (
    State("anchor", SKY_BLUE, width=1),
    State("positive", GREEN, width=2.5),
    State("negative", VERMILION, DASHED, width=2),
    State("ignored", GREY, DOTTED, width=2),
    State("ground truth", YELLOW, width=3.5),
    State("detection", ORANGE, LONG_DASHES, width=2.5),
    State("suppressed", PURPLE, DASH_DOT, width=2),
)
"""The states of the course, in this order; a box's state is its index here (see `state_index`)."""

LOOKS = {
    look.key: look
    for look in (
        State("wide", PALE_BLUE, (7, 4), width=2.5),
        State("square", SKY_BLUE, width=2.5),
        State("tall", DEEP_BLUE, (14, 3, 3, 3), width=2.5),
        State("reference", WHITE, (2, 4)),
        State("curve", BLUE, width=2.5),
        State("predicted", ORANGE, (7, 4), width=2.5),
        State("start", SKY_BLUE, (7, 4), width=2),
        State("followed", VERMILION, width=3),
        State("others", GREEN, width=1),
        State("read", SKY_BLUE, (8, 4), width=2.5),
        State("answer", GREEN, width=2.5),
        State("reached", SKY_BLUE, (6, 4), width=2.5, label="reached by a proposal"),
        State("detected", ORANGE, width=2.5, label="rightly detected"),
    )
}
"""Lines of the explorers that are not states of boxes, by key."""

RECALL_LOOKS = (
    State("anchors", BLUE, width=2),
    State("decoded", VERMILION, (7, 4), width=2),
    State("top-k", GREEN, (10, 3, 2, 3), width=2),
    State("after NMS", ORANGE, (2, 3), width=2),
    State("detections", PURPLE, (14, 3), width=2),
)
"""The curves of recall after the steps of the proposals."""

CURVE_LINES = (
    (BLUE, "solid", "o"),
    (VERMILION, "dashed", "s"),
    (GREEN, "dashdot", "^"),
    (ORANGE, (0, (1, 1.5)), "D"),
    (PURPLE, (0, (8, 2, 1, 2, 1, 2)), "v"),
    (SKY_BLUE, (0, (3, 1)), "P"),
    (MIDTONE, (0, (12, 3)), "X"),
)
"""How one curve of a plot differs from the next: colour, line and marker, as matplotlib names them."""


def state_index(key: str, states: Sequence[State] = STATES) -> int:
    """The index of the state with this `key`; raises KeyError that lists the keys there are."""
    keys = [state.key for state in states]
    if key not in keys:
        raise KeyError(f"no state is called {key!r}; there are {', '.join(keys)}")
    return keys.index(key)
