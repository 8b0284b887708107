"""The canvas on paper: what the browser shows, as a matplotlib figure.

A notebook on GitHub, an export to HTML and a run without a browser show this instead of the live canvas. Same image,
same boxes, same lines, same legend; what needs a hand (handles, sliders, the readout) is left out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from torch import Tensor

from frcnn_edu.explorers.still import Still
from frcnn_edu.viz.box_plots import line_style
from frcnn_edu.viz.palette import State

DPI = 100
POINTS_PER_PIXEL = 72 / DPI
LEGEND_HEIGHT = 24
LEGEND_ENTRY_WIDTH = 170
MAX_CAPTIONS = 100
NOTE_MARGIN = 8
NOTE: dict[str, Any] = {"color": "black", "backgroundcolor": (1, 1, 1, 0.8), "fontsize": 8, "verticalalignment": "top"}


def canvas_figure(still: Still, draw: Callable[[Axes], None]) -> Figure:
    """The canvas as a figure of the same width in pixels, with the legend under it; `draw` adds to the picture."""
    height, width = still.image.shape[:2]
    margin = still.margin
    rows = _legend_rows(still)
    image_height = still.width * (height + 2 * margin) / (width + 2 * margin)
    total = image_height + rows * LEGEND_HEIGHT
    figure = Figure(figsize=(still.width / DPI, total / DPI), dpi=DPI)
    axes = figure.add_axes((0, 1 - image_height / total, 1, image_height / total))
    axes.imshow(still.image, extent=(0, width, height, 0))
    _draw_layers(axes, still)
    for index in range(len(still.palette)):
        _draw_state(axes, still, index)
    _draw_notes(axes, still)
    draw(axes)
    axes.set(xlim=(-margin, width + margin), ylim=(height + margin, -margin))
    axes.set_axis_off()
    _draw_legend(figure, still, rows)
    return figure


def outline(axes: Axes, box: Tensor, look: State) -> None:
    """Draw one box, (4,) in image pixels, on the picture."""
    x1, y1, x2, y2 = box.tolist()
    style = line_style(look)
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, facecolor="none", edgecolor=style.pop("color"), **style))


def with_panel(figure: Figure, height: int) -> tuple[Figure, Axes]:
    """The figure of a canvas made higher by `height` pixels, and axes in the new strip below it."""
    width_in, old_in = figure.get_size_inches()
    new_in = old_in + height / figure.dpi
    scale = old_in / new_in
    (picture,) = figure.axes
    x, y, width, tall = picture.get_position(original=True).bounds
    figure.set_size_inches(width_in, new_in)
    picture.set_position((x, y * scale + 1 - scale, width, tall * scale))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 1 - scale, 1, scale), figure.transFigure)
    return figure, figure.add_axes((0.13, 0.34 * (1 - scale), 0.83, 0.58 * (1 - scale)))


def _draw_layers(axes: Axes, still: Still) -> None:
    height, width = still.image.shape[:2]
    if still.overlay.size:
        x1, y1, x2, y2 = still.overlay_extent or (0, 0, width, height)
        axes.imshow(still.overlay, extent=(x1, x2, y2, y1), interpolation="nearest")
    if still.grid:
        stride, offset = still.grid.stride, still.grid.offset
        x, y = (np.arange(np.ceil(side / stride)) * stride for side in (width, height))
        axes.vlines(x, 0, height, color="white", linewidth=0.5, alpha=0.7)
        axes.hlines(y, 0, width, color="white", linewidth=0.5, alpha=0.7)
        centers = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2) + offset * stride  # (H * W, 2)
        x, y = centers.T
        axes.scatter(x, y, s=4, color="white", edgecolors="black", linewidths=0.3)
    axes.add_collection(LineCollection(list(still.lines.reshape(-1, 2, 2)), colors="white", linewidths=1.2))
    x, y = still.points.T
    axes.scatter(x, y, s=14, color="white", edgecolors="black", linewidths=0.8)


def _draw_state(axes: Axes, still: Still, index: int) -> None:
    boxes = still.boxes[still.shown & (still.states == index)]  # (K, 4)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)  # (K, 4, 2)
    style = line_style(still.palette[index])
    axes.add_collection(PolyCollection(corners, facecolors="none", edgecolors=style.pop("color"), **style))


def _draw_notes(axes: Axes, still: Still) -> None:
    for x, y, text in still.texts:
        _draw_note(axes, still, x, y, text)
    if still.show_captions and still.captions:
        for index in np.flatnonzero(still.shown)[:MAX_CAPTIONS]:
            x, y = still.boxes[index, :2]
            _draw_note(axes, still, x, y, still.captions[index])


def _draw_note(axes: Axes, still: Still, x: float, y: float, text: str) -> None:
    """Write at (x, y), or so far to the left of it that the text ends on the picture, as on the live canvas."""
    if not text:
        return
    length = TextPath((0, 0), text, size=NOTE["fontsize"]).get_extents().width / POINTS_PER_PIXEL + NOTE_MARGIN
    left, right = -still.margin, still.image.shape[1] + still.margin
    last = right - length * (right - left) / still.width
    axes.text(max(left, min(x, last)), y, text, **NOTE)


def _legend_rows(still: Still) -> int:
    per_row = max(1, still.width // LEGEND_ENTRY_WIDTH)
    return -(-len(still.counts) // per_row)


def _draw_legend(figure: Figure, still: Still, rows: int) -> None:
    if rows == 0:
        return
    lines = [Line2D([], [], **line_style(state)) for state, _ in still.counts]
    names = [f"{state.label} {count}" for state, count in still.counts]
    columns = -(-len(names) // rows)
    figure.legend(lines, names, loc="lower left", ncols=columns, frameon=False, fontsize=9, handlelength=3)
