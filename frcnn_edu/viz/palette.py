"""The palette: how a box looks, by the state that it is in.

The canvas in the browser and the matplotlib pictures read the same list, so a positive anchor looks alike in both.
Hues are those of Okabe and Ito, which stay apart under the common kinds of colour blindness; since eight hues over a
photograph are still not enough, each state also has its own line: a dash pattern and a width. This module is data only
and loads no drawing library.
"""

import re
from dataclasses import asdict, dataclass

SKY_BLUE = "#56B4E9"
BLUE = "#0072B2"
GREEN = "#009E73"
VERMILION = "#D55E00"
GREY = "#BBBBBB"
YELLOW = "#F0E442"
ORANGE = "#E69F00"
PURPLE = "#CC79A7"


@dataclass(frozen=True)
class State:
    """One way for a box to be: its name in the legend, its colour (#rrggbb), its dashes and its width.

    `dash` is on, off, on, off … in CSS pixels, and empty for a solid line; `width` is in CSS pixels too.
    Raises ValueError for an empty name, a colour that is no #rrggbb, or a length that is not above 0.
    """

    name: str
    color: str
    dash: tuple[float, ...] = ()
    width: float = 1.5

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a state needs a name: the legend shows it")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.color):
            raise ValueError(f"color of state {self.name!r} must be written #rrggbb, got {self.color!r}")
        if len(self.dash) % 2 or not all(length > 0 for length in (*self.dash, self.width)):
            raise ValueError(
                f"state {self.name!r} needs a width above 0 and dashes in pairs (on, off) above 0, "
                f"got width {self.width} and dash {self.dash}"
            )

    def as_dict(self) -> dict:
        """The state as plain data, for the script in the browser."""
        return asdict(self)


STATES = (
    State("anchor", SKY_BLUE, width=1),
    State("positive", GREEN, width=2.5),
    State("negative", VERMILION, dash=(7, 5), width=2),
    State("ignored", GREY, dash=(2, 5), width=2),
    State("ground truth", YELLOW, width=3.5),
    State("detection", ORANGE, dash=(12, 4), width=2.5),
    State("suppressed", PURPLE, dash=(9, 3, 2, 3), width=2),
)
"""The states of the course, in this order; a box's state is its index here (see `state_index`)."""


def state_index(name: str, states: tuple[State, ...] = STATES) -> int:
    """The index of the state called `name`; raises KeyError that lists the names there are."""
    names = [state.name for state in states]
    if name not in names:
        raise KeyError(f"no state is called {name!r}; there are {', '.join(names)}")
    return names.index(name)
