"""Labels of boxes: text that stays inside its axes and does not overlap other labels.

When a label is drawn, and the size of everything is known, it tries a few places around its box, takes the first that
is free, and is moved inside the axes.
"""

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform

from frcnn_edu.viz.fonts import literal

FONT_SIZE = 9.0
PADDING = 2.0  # points between the text and the edge of its patch
POINTS_PER_INCH = 72
LUMINANCE = (0.299, 0.587, 0.114)
BRIGHT = 0.5


class BoxLabel(Text):
    """The label of one box, x1, y1, x2, y2 in data coordinates: black or white text on `color`."""

    def __init__(self, text: str, box: tuple[float, float, float, float], color: str) -> None:
        super().__init__(
            0, 0, **literal(text), fontsize=FONT_SIZE, va="bottom", ha="left", transform=IdentityTransform()
        )
        self.box = box
        self.set_color(readable_on(color))
        self.set_bbox({"facecolor": color, "edgecolor": "none", "pad": PADDING, "alpha": 0.9})
        self.place: Bbox | None = None

    def draw(self, renderer: RendererBase) -> None:
        """Find a free place, then draw there."""
        if isinstance(self.axes, Axes):
            self._move_to_a_free_place(self.axes, renderer)
        super().draw(renderer)

    def _move_to_a_free_place(self, axes: Axes, renderer: RendererBase) -> None:
        labels = [artist for artist in axes.get_children() if isinstance(artist, BoxLabel)]
        earlier = labels[: labels.index(self)]  # drawn before this one in the same pass
        taken = [one.place for one in earlier if one.place is not None and one.get_visible()]
        self.set_position((0, 0))
        extent, pad = self.get_window_extent(renderer), PADDING * axes.figure.dpi / POINTS_PER_INCH
        width, height = extent.width + 2 * pad, extent.height + 2 * pad
        places = [pushed_inside(place, axes.bbox) for place in self._places(axes, width, height)]
        self.place = next((place for place in places if not any(overlap(place, other) for other in taken)), places[0])
        self.set_position((self.place.x0 + pad - extent.x0, self.place.y0 + pad - extent.y0))

    def _places(self, axes: Axes, width: float, height: float) -> Iterator[Bbox]:
        """Above the box, inside its top, inside its bottom, below it; each flush left, then flush right."""
        corners = axes.transData.transform([self.box[:2], self.box[2:]])  # display pixels, y grows upwards
        (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
        for y in (top, top - height, bottom, bottom - height):
            for x in (left, right - width):
                yield Bbox.from_bounds(x, y, width, height)


def add_label(ax: Axes, text: str, box: tuple[float, float, float, float], color: str) -> BoxLabel:
    """Add the label of a box to the axes."""
    label = BoxLabel(text, box, color)
    ax.add_artist(label)
    label.set_in_layout(False)
    return label


def readable_on(color: Any) -> str:
    """Black or white, whichever is more legible on `color`, any colour that matplotlib takes."""
    luminance = sum(weight * channel for weight, channel in zip(LUMINANCE, to_rgb(color), strict=True))
    return "black" if luminance > BRIGHT else "white"


def pushed_inside(place: Bbox, frame: Bbox) -> Bbox:
    """`place` moved just far enough to lie inside `frame`; if it is too large, to its left or bottom edge."""
    x = max(min(place.x0, frame.x1 - place.width), frame.x0)
    y = max(min(place.y0, frame.y1 - place.height), frame.y0)
    return Bbox.from_bounds(x, y, place.width, place.height)


def overlap(first: Bbox, second: Bbox) -> bool:
    """Whether the two places intersect in more than an edge."""
    return first.x0 < second.x1 and second.x0 < first.x1 and first.y0 < second.y1 and second.y0 < first.y1
