"""The canvas on paper: what the browser shows, as a matplotlib figure.

A notebook on GitHub, an export to HTML and a run without a browser show this instead of the live canvas. Same image,
same boxes, same lines, same legend; what needs a hand (handles, sliders, the readout) is left out.
"""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from frcnn_edu.viz.palette import State

if TYPE_CHECKING:
    from frcnn_edu.explorers.base import BoxCanvas

DPI = 100
POINTS_PER_PIXEL = 72 / DPI
LEGEND_HEIGHT = 24
LEGEND_ENTRY_WIDTH = 170
MAX_CAPTIONS = 100
NOTE_MARGIN = 8
NOTE = {"color": "black", "backgroundcolor": (1, 1, 1, 0.8), "fontsize": 8, "verticalalignment": "top"}


def canvas_figure(canvas: "BoxCanvas") -> Figure:
    """The canvas as a figure of the same width in pixels, with the legend under it."""
    height, width = canvas.image.shape[:2]
    margin = canvas.margin
    rows = _legend_rows(canvas)
    image_height = canvas.width * (height + 2 * margin) / (width + 2 * margin)
    total = image_height + rows * LEGEND_HEIGHT
    figure = Figure(figsize=(canvas.width / DPI, total / DPI), dpi=DPI)
    axes = figure.add_axes((0, 1 - image_height / total, 1, image_height / total))
    axes.imshow(canvas.image, extent=(0, width, height, 0))
    _draw_layers(axes, canvas, (width, height))
    for index in range(len(canvas.palette)):
        _draw_state(axes, canvas, index)
    _draw_notes(axes, canvas)
    canvas.draw(axes)
    axes.set(xlim=(-margin, width + margin), ylim=(height + margin, -margin))
    axes.set_axis_off()
    _draw_legend(figure, canvas, rows)
    return figure


def line_style(state: State) -> dict:
    """How matplotlib draws the state's line: keywords for a Line2D or a collection."""
    dash = (0, tuple(length / state.width for length in state.dash)) if state.dash else "solid"
    return {"color": state.color, "linewidth": state.width * POINTS_PER_PIXEL, "linestyle": dash}


def _draw_layers(axes: Axes, canvas: "BoxCanvas", size: tuple[int, int]) -> None:
    width, height = size
    if canvas.overlay.size:
        x1, y1, x2, y2 = canvas.overlay_extent or (0, 0, width, height)
        axes.imshow(canvas.overlay, extent=(x1, x2, y2, y1), interpolation="nearest")
    if canvas.grid:
        stride, offset = canvas.grid.stride, canvas.grid.offset
        x, y = (np.arange(np.ceil(side / stride)) * stride for side in size)
        axes.vlines(x, 0, height, color="white", linewidth=0.5, alpha=0.7)
        axes.hlines(y, 0, width, color="white", linewidth=0.5, alpha=0.7)
        centers = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2) + offset * stride  # (H * W, 2)
        axes.scatter(*centers.T, s=4, color="white", edgecolors="black", linewidths=0.3)
    axes.add_collection(LineCollection(canvas.lines.reshape(-1, 2, 2), colors="white", linewidths=1.2))
    axes.scatter(*canvas.points.T, s=14, color="white", edgecolors="black", linewidths=0.8)


def _draw_state(axes: Axes, canvas: "BoxCanvas", index: int) -> None:
    boxes = canvas.boxes[canvas.shown & (canvas.states == index)]  # (K, 4)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)  # (K, 4, 2)
    style = line_style(canvas.palette[index])
    axes.add_collection(PolyCollection(corners, facecolors="none", edgecolors=style.pop("color"), **style))


def _draw_notes(axes: Axes, canvas: "BoxCanvas") -> None:
    for x, y, text in canvas.texts:
        _draw_note(axes, canvas, x, y, text)
    if canvas.show_captions and canvas.captions:
        for index in np.flatnonzero(canvas.shown)[:MAX_CAPTIONS]:
            _draw_note(axes, canvas, *canvas.boxes[index, :2], canvas.captions[index])


def _draw_note(axes: Axes, canvas: "BoxCanvas", x: float, y: float, text: str) -> None:
    """Write at (x, y), or so far to the left of it that the text ends on the picture, as on the live canvas."""
    if not text:
        return
    length = TextPath((0, 0), text, size=NOTE["fontsize"]).get_extents().width / POINTS_PER_PIXEL + NOTE_MARGIN
    left, right = -canvas.margin, canvas.image.shape[1] + canvas.margin
    last = right - length * (right - left) / canvas.width
    axes.text(max(left, min(x, last)), y, text, **NOTE)


def _legend_rows(canvas: "BoxCanvas") -> int:
    per_row = max(1, canvas.width // LEGEND_ENTRY_WIDTH)
    return -(-len(np.unique(canvas.states)) // per_row)


def _draw_legend(figure: Figure, canvas: "BoxCanvas", rows: int) -> None:
    if rows == 0:
        return
    counts = np.bincount(canvas.states, minlength=len(canvas.palette))
    present = [(state, count) for state, count in zip(canvas.palette, counts, strict=True) if count]
    lines = [Line2D([], [], **line_style(state)) for state, _ in present]
    names = [f"{state.name} {count}" for state, count in present]
    columns = -(-len(present) // rows)
    figure.legend(lines, names, loc="lower left", ncols=columns, frameon=False, fontsize=9, handlelength=3)
