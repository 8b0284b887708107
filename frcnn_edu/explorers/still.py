"""A canvas standing still: all that a picture of it shows, and nothing that the hand can change.

`BoxCanvas.still` takes one; an explorer whose browser alone keeps boxes or states puts its own in with
`dataclasses.replace`. So a picture is made without writing a trait: displaying an explorer changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frcnn_edu.viz.palette import State


@dataclass(frozen=True)
class Grid:
    """A feature map's cells over the image: borders every `stride` pixels, a dot in each cell at `offset` cells.

    Raises ValueError where `stride` is not above 0.
    """

    stride: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not self.stride > 0:
            raise ValueError(f"stride must be above 0 pixels, got {self.stride}")


@dataclass(frozen=True)
class Still:
    """What a canvas shows; every field is the `BoxCanvas` trait of its name."""

    image: np.ndarray
    boxes: np.ndarray
    states: np.ndarray
    scores: np.ndarray
    captions: Sequence[str]
    palette: tuple[State, ...]
    hidden_states: Sequence[int]
    min_score: float | None
    min_size: float
    overlay: np.ndarray
    overlay_extent: tuple
    grid: Grid | None
    points: np.ndarray
    lines: np.ndarray
    texts: Sequence[tuple[float, float, str]]
    show_captions: bool
    width: int
    margin: int

    @property
    def shown(self) -> np.ndarray:
        """Which boxes pass the filters and are in a state that is not switched off: (N,) bool."""
        shown = ~np.isin(self.states, self.hidden_states)
        sides = self.boxes[:, 2:] - self.boxes[:, :2]  # (N, 2)
        shown &= (sides >= self.min_size).all(axis=1)
        if len(self.scores) and self.min_score is not None:
            shown &= ~(self.scores < np.float32(self.min_score))  # a NaN is not below anything
        return shown

    @property
    def counts(self) -> list[tuple[State, int]]:
        """The states that boxes are in, each with how many are."""
        counts = np.bincount(self.states, minlength=len(self.palette))
        return [(state, int(count)) for state, count in zip(self.palette, counts, strict=True) if count]
