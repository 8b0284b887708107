"""Box formats: what the four numbers of a box mean, and a guess where they seem to mean something else.

A file that claims to hold ``[x, y, width, height]`` and holds corners trains a detector on boxes that are wrong, and no
reader can refuse it: most of the numbers are possible both ways. But over many boxes they betray themselves: in the
right format boxes lie inside their images and have the area that is written beside them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ORDERS: dict[str, Callable] = {
    "x1, y1, x2, y2": lambda a, b, c, d: (a, b, c, d),
    "x, y, width, height": lambda a, b, c, d: (a, b, a + c, b + d),
    "centre x, centre y, width, height": lambda a, b, c, d: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    "y1, x1, y2, x2": lambda a, b, c, d: (b, a, d, c),
    "y, x, height, width": lambda a, b, c, d: (b, a, b + d, a + c),
    "x1, x2, y1, y2": lambda a, b, c, d: (a, c, b, d),
}
"""The corners x1, y1, x2, y2 that four numbers in each order stand for."""

Numbers = Sequence[float] | np.ndarray

BORDER_SHARE, BORDER_PIXELS = 0.01, 1.0
"""How far a box may reach over the border and still count as inside: annotators and rounding do so."""

MOST = 0.95
"""The share of boxes that must agree with a format for it to be guessed."""

MANY_BOXES, DOUBT, DOUBT_OF_FEW = 20, 0.1, 1 / 3
"""The share of boxes that must contradict the expected format, from so many boxes on, and with fewer."""

SAME_AREA = 0.01
EXAMINED = 20_000
"""Boxes that are looked at; more would not change a guess."""


@dataclass(frozen=True)
class BoxFormat:
    """The order of a box's numbers, and whether they are pixels or fractions of the image's width and height."""

    order: str
    fractions: bool = False

    def corners(self, numbers: Numbers, size: Numbers) -> tuple:
        """x1, y1, x2, y2 in pixels; `size` is the image's (width, height). Takes numbers or arrays of them."""
        x1, y1, x2, y2 = ORDERS[self.order](*numbers)
        width, height = size if self.fractions else (1, 1)
        return x1 * width, y1 * height, x2 * width, y2 * height

    def __str__(self) -> str:
        return f"[{self.order}]{' in fractions of the image' if self.fractions else ''}"


VOC_BOXES = BoxFormat("x1, y1, x2, y2")
COCO_BOXES = BoxFormat("x, y, width, height")
YOLO_BOXES = BoxFormat("centre x, centre y, width, height", fractions=True)


class Evidence:
    """Boxes as written, with what is known of their images, until there is enough to guess the format from."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []

    def add(self, numbers: Sequence[float], size: Sequence, annotated: Sequence | None, area: float | None) -> None:
        """One box, the size of its image (width, height), that size as annotated, and the area as annotated."""
        if len(self._rows) < EXAMINED:
            self._rows.append((*numbers, *size, *(annotated or size), area or np.nan))

    def doubts(self, expected: BoxFormat) -> str:
        """One sentence if the boxes look like another format than `expected`, "" if they do not."""
        if not self._rows:
            return ""
        table = np.array(self._rows, np.float64).T  # (9, N)
        numbers, sizes, annotated, areas = table[:4], table[4:6], table[6:8], table[8]
        with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers are counted elsewhere
            return (
                _doubt_unit(expected, numbers, sizes)
                or _doubt_size(expected, numbers, sizes, annotated)
                or _doubt_order(expected, numbers, sizes, areas)
            )


def _doubt_unit(expected: BoxFormat, numbers: np.ndarray, sizes: np.ndarray) -> str:
    small = (np.abs(numbers).max(axis=0) <= 1) & (numbers.max(axis=0) > 0) & (sizes.min(axis=0) > 2)  # (N,)
    if not expected.fractions and small.mean() >= MOST:
        return (
            f"the boxes look like fractions of the image: no number is above 1 in {small.sum()} of {len(small)} boxes, "
            f"while {expected} in pixels is expected; multiply them by the width and height of their images"
        )
    large = np.abs(numbers).max(axis=0) > 2
    if expected.fractions and large.mean() >= 1 / 2:
        return (
            f"the boxes look like pixels: {large.sum()} of {len(large)} have numbers above 2, while {expected} "
            "is expected; divide them by the width and height of their images"
        )
    return ""


def _doubt_size(expected: BoxFormat, numbers: np.ndarray, sizes: np.ndarray, annotated: np.ndarray) -> str:
    inside = _inside(expected, numbers, sizes)
    if expected.fractions or (sizes == annotated).all() or not _is_doubtful(inside):
        return ""
    if _inside(expected, numbers, annotated).mean() < MOST:
        return ""
    return (
        f"the boxes fit the sizes that the annotations give and not those of the images, in which {inside.mean():.0%} "
        "lie: the images seem to have been resized; use the original images or scale the boxes"
    )


def _doubt_order(expected: BoxFormat, numbers: np.ndarray, sizes: np.ndarray, areas: np.ndarray) -> str:
    others = [BoxFormat(order, expected.fractions) for order in ORDERS if order != expected.order]
    inside = _inside(expected, numbers, sizes)
    fits = {other: _inside(other, numbers, sizes).mean() for other in others}
    best = max(others, key=lambda other: fits[other])
    if _is_doubtful(inside) and fits[best] >= MOST:
        outside = (~inside).sum()
        return (
            f"the boxes look like {best}, while {expected} is expected: read as expected, {outside} of {len(inside)} "
            "reach over the border or have their corners in the wrong order; convert them"
        )
    known = np.isfinite(areas)
    if known.mean() >= 1 / 2:
        agree = {one: _agrees(one, numbers, sizes, areas)[known].mean() for one in (expected, *others)}
        best = max(others, key=lambda other: (agree[other], fits[other]))
        if agree[expected] < 1 / 2 and agree[best] >= MOST and fits[best] >= MOST:
            return (
                f"the boxes look like {best}, while {expected} is expected: only so do they have the areas that are "
                "written beside them; convert them"
            )
    return ""


def _is_doubtful(inside: np.ndarray) -> bool:
    return 1 - inside.mean() >= (DOUBT if len(inside) >= MANY_BOXES else DOUBT_OF_FEW)


def _inside(box_format: BoxFormat, numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which boxes, read in this format, have their corners in order and inside the image: (N,) booleans."""
    x1, y1, x2, y2 = box_format.corners(numbers, sizes)
    slack_x, slack_y = np.maximum(sizes * BORDER_SHARE, BORDER_PIXELS)
    width, height = sizes
    ordered = (x2 >= x1) & (y2 >= y1)
    return ordered & (x1 >= -slack_x) & (y1 >= -slack_y) & (x2 <= width + slack_x) & (y2 <= height + slack_y)


def _agrees(box_format: BoxFormat, numbers: np.ndarray, sizes: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Which boxes, read in this format, have their annotated area: (N,) booleans."""
    x1, y1, x2, y2 = box_format.corners(numbers, sizes)
    return np.abs((x2 - x1) * (y2 - y1) - areas) <= SAME_AREA * areas
