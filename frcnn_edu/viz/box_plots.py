"""Boxes on an image: ground truth, anchors, proposals, detections.

Colour, dashes and width of a box show its state (see `palette`), as on the canvas in the browser. A dark outline under
each line keeps it visible on bright images.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.patheffects as effects
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor

from frcnn_edu.boxes import check_boxes
from frcnn_edu.viz.axes import check_image, figure_axes, show_image
from frcnn_edu.viz.labels import add_label
from frcnn_edu.viz.palette import STATES, State, state_index
from frcnn_edu.viz.style import ink

POINTS_PER_PIXEL = 0.75
"""The palette uses CSS pixels, 96 per inch, matplotlib points, 72 per inch."""

SEAM = 1.0
"""How much wider than its line the dark outline is, in points."""

MOST_SEAMS = 400
"""With more boxes there are no outlines: they would merge and hide the image, and drawing them takes seconds."""

MARGIN = 0.01
"""Margin for half a line where anchors cross the border of the image, as a share of the view's longer side."""

Labels = Sequence[str] | Sequence[int] | Tensor
States = str | Sequence[str] | Sequence[int] | Tensor

DPI = 100
FILE_WIDTH, LONGEST_SIDE, SHORTEST_SIDE = 640, 2000, 160
"""Pixels of a drawing that goes into a file: a strip of 1 x 5000 would take 61 GB at that width."""


def draw_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Labels | None = None,
    scores: Tensor | None = None,
    states: States | None = None,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw boxes, (N, 4) in pixels, on an image, (3, H, W) in [0, 1], each in the colour and dashes of its state.

    `labels` are N strings, or indices (N,) into `class_names`; `scores`, (N,), are appended to them. `states` is one
    name of the palette, N names, or N indices; by default boxes with scores are detections, others ground truth.
    Several states get a legend below. Raises TypeError or ValueError for an invalid image, invalid boxes, or where
    there is not one entry per box, and KeyError for an unknown state.
    """
    check_boxes(boxes)
    texts = _texts(labels, scores, class_names, len(boxes))
    indices = _state_indices(states, "ground truth" if scores is None else "detection", len(boxes))
    ax = show_image(image, ax, title)
    _add_boxes(ax, boxes, indices)
    for box, text, index in zip(boxes.tolist(), texts, indices, strict=bool(texts)):
        add_label(ax, text, tuple(box), STATES[index].color)
    if len(set(indices)) > 1:
        _add_legend(ax, indices)
    return ax


def detections_figure(image: Tensor, boxes: Tensor, names: Sequence[str], scores: Tensor) -> Figure:
    """An image with its detections, for a file: a figure of its own that the image fills.

    It is enlarged to a width of 640 px and reduced to a longer side of 2000 px; no side is shorter than 160 px.
    """
    height, width = image.shape[-2:]
    scale = min(max(1, FILE_WIDTH / width), LONGEST_SIDE / max(width, height))
    wide, high = (max(SHORTEST_SIDE, side * scale) / DPI for side in (width, height))  # inches
    figure = Figure(figsize=(wide, high), dpi=DPI)
    ax = draw_boxes(image, boxes, labels=names, scores=scores, states="detection", ax=figure.add_axes((0, 0, 1, 1)))
    ax.set_adjustable("datalim")  # beside a narrow strip there is room for labels
    return figure


def draw_anchors(
    image: Tensor,
    anchors: Tensor,
    states: States = "anchor",
    gt_boxes: Tensor | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw anchors, (N, 4) in pixels, with dots at their centres, and ground-truth boxes, (M, 4), over them.

    Where anchors cross the border of the image, the view is extended to show them, and the border is drawn.
    `states` as for `draw_boxes`. Raises what `draw_boxes` raises.
    """
    check_image(image)
    check_boxes(anchors, "anchors")
    gt_boxes = anchors.new_zeros(0, 4) if gt_boxes is None else gt_boxes
    check_boxes(gt_boxes, "gt_boxes")
    indices = _state_indices(states, "anchor", len(anchors))
    indices += [state_index("ground truth")] * len(gt_boxes)
    left, top, right, bottom = _view(image, anchors)
    ax = show_image(image, figure_axes(right - left, bottom - top) if ax is None else ax, title)
    x, y = (anchors[:, :2] + anchors[:, 2:]).detach().cpu().T / 2  # (N,) each
    ax.scatter(x, y, s=6, color="white", edgecolors="black", linewidths=0.5, zorder=3)
    _add_boxes(ax, torch.cat((anchors, gt_boxes)), indices)
    if (left, top, right, bottom) != (0, 0, image.shape[-1], image.shape[-2]):
        ax.add_patch(Rectangle((0, 0), image.shape[-1], image.shape[-2], fill=False, color=ink(), linewidth=1))
    ax.set(xlim=(left, right), ylim=(bottom, top))
    if len(set(indices)) > 1:
        _add_legend(ax, indices)
    return ax


def line_style(state: State) -> dict[str, Any]:
    """A state's colour, width and dashes as arguments of matplotlib, which measures dashes in line widths."""
    dashes = tuple(length / state.width for length in state.dash)
    return {
        "color": state.color,
        "linewidth": state.width * POINTS_PER_PIXEL,
        "linestyle": (0, dashes) if dashes else "solid",
    }


def box_collection(boxes: Tensor, style: dict[str, Any]) -> PolyCollection:
    """Boxes, (N, 4), as one collection in a `line_style`; a patch for each takes seconds with 17 100 anchors."""
    corners = boxes.detach().cpu()[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).numpy()  # (N, 4 corners, 2)
    style = {"edgecolor" if name == "color" else name: value for name, value in style.items()}
    return PolyCollection(corners, facecolor="none", **style)  # type: ignore[arg-type]  # the stubs know lists only


def _add_boxes(ax: Axes, boxes: Tensor, indices: list[int]) -> None:
    """One collection per state, in the palette's order."""
    for index in sorted(set(indices)):
        style = line_style(STATES[index])
        lines = box_collection(boxes[[one == index for one in indices]], style)
        lines.set_label(STATES[index].label)
        if len(boxes) <= MOST_SEAMS:
            lines.set_path_effects(_seam(style["linewidth"]))
        ax.add_collection(lines, autolim=False)


def _seam(line_width: float) -> list[effects.AbstractPathEffect]:
    """The effects that draw a wider, dark line under a line of this width."""
    return [effects.Stroke(linewidth=line_width + SEAM, foreground="black", alpha=0.6), effects.Normal()]


def _add_legend(ax: Axes, indices: list[int]) -> None:
    """The name and the number of boxes of each state, below the image."""
    handles = [
        Line2D([], [], label=f"{STATES[index].label} ({indices.count(index)})", **line_style(STATES[index]))
        for index in sorted(set(indices))
    ]
    for handle in handles:
        handle.set_path_effects(_seam(handle.get_linewidth()))
    columns = min(len(handles), 4)
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=columns, frameon=False, handlelength=3
    )


def _view(image: Tensor, boxes: Tensor) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 around the image and all boxes, with a margin on the sides where a box crosses the border."""
    border = torch.tensor([[0.0, 0.0, image.shape[-1], image.shape[-2]]])
    everything = torch.cat((border, boxes.detach().cpu()))  # (1 + N, 4)
    low, high = everything[:, :2].amin(dim=0), everything[:, 2:].amax(dim=0)  # (2,) each
    margin = MARGIN * (high - low).max()
    low, high = low - margin * (low < border[0, :2]), high + margin * (high > border[0, 2:])
    return (*low.tolist(), *high.tolist())


def _texts(labels: Labels | None, scores: Tensor | None, class_names: Sequence[str] | None, count: int) -> list[str]:
    """The text of each box: N strings, or none at all."""
    if labels is None and scores is None:
        return []
    names = [""] * count if labels is None else _names(labels, class_names)
    values = [None] * count if scores is None else torch.as_tensor(scores).tolist()
    for name, entries in (("labels", names), ("scores", values)):
        if len(entries) != count:
            raise ValueError(f"one entry per box is needed: {count} boxes, {len(entries)} {name}")
    return [name if value is None else f"{name} {value:.2f}".strip() for name, value in zip(names, values, strict=True)]


def _names(labels: Labels, class_names: Sequence[str] | None) -> list[str]:
    entries: list[Any] = labels.tolist() if isinstance(labels, Tensor) else list(labels)
    if class_names is None:
        return [str(entry) for entry in entries]
    beyond = [entry for entry in entries if not 0 <= entry < len(class_names)]
    if beyond:
        raise ValueError(f"label {beyond[0]} has no name: class_names has {len(class_names)}, the background included")
    return [class_names[entry] for entry in entries]


def _state_indices(states: States | None, default: str, count: int) -> list[int]:
    if states is None or isinstance(states, str):
        return [state_index(default if states is None else states)] * count
    entries = states.tolist() if isinstance(states, Tensor) else states
    indices = [state_index(entry) if isinstance(entry, str) else int(entry) for entry in entries]
    if len(indices) != count:
        raise ValueError(f"one state per box is needed: {count} boxes, {len(indices)} states")
    beyond = [index for index in indices if not 0 <= index < len(STATES)]
    if beyond:
        raise ValueError(f"states must be indices into the palette, 0 to {len(STATES) - 1}, got {beyond[0]}")
    return indices
