"""Pictures of answers: expected beside got."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_beside(right: Tensor, answer: Tensor | None) -> "Figure":
    """Expected boxes on the left, the learner's on the right, on equal axes; the first box is drawn bold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), layout="constrained", dpi=80)
    left, beside = figure.subplots(1, 2)
    seen = right if answer is None else torch.cat((right, answer))
    low, high = seen.min().item(), seen.max().item()
    room = 0.08 * (high - low) + 1
    for axes, boxes, title in ((left, right, "expected"), (beside, answer, "yours")):
        axes.set(title=title, xlim=(low - room, high + room), ylim=(high + room, low - room), aspect="equal")
        axes.axhline(0, color="gray", linewidth=0.6)
        axes.axvline(0, color="gray", linewidth=0.6)
        _add_boxes(axes, boxes)
    return figure


def _add_boxes(axes: "Axes", boxes: Tensor | None) -> None:
    from matplotlib.collections import LineCollection

    if boxes is None:
        axes.text(0.5, 0.4, "no rows of four to draw", ha="center", transform=axes.transAxes)
        return
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3, 0, 1]].reshape(-1, 5, 2).numpy()  # (N, 5, 2)
    colors = [f"C{i % 10}" for i in range(len(corners))]
    widths = [3.0 if i == 0 else 1.2 for i in range(len(corners))]
    axes.add_collection(LineCollection(corners, colors=colors, linewidths=widths))


def draw_kept_beside(boxes: Tensor, scores: Tensor, right: Tensor, answer: Tensor) -> "Figure":
    """The boxes that should be kept on the left, those that were on the right; the others are dashed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), layout="constrained", dpi=80)
    low, high = boxes.amin(dim=0).tolist()[:2], boxes.amax(dim=0).tolist()[2:]
    for axes, indices, title in zip(figure.subplots(1, 2), (right, answer), ("expected", "yours"), strict=True):
        axes.set(title=f"{title}: kept", xlim=(low[0] - 5, high[0] + 5), ylim=(high[1] + 5, low[1] - 8), aspect="equal")
        kept = {int(index) for index in indices.flatten().tolist()} if indices.ndim <= 1 else set()
        for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            color, width, style = (f"C{index % 10}", 2.2, "-") if index in kept else ("gray", 1.0, "--")
            axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=color, linewidth=width, linestyle=style)
            if len(boxes) < 10 or index in kept:
                axes.text(x1, y1, f"{index}: {scores[index]:.2f}", fontsize=8, va="bottom", color=color)
    return figure


def draw_maps_beside(
    feature: Tensor, region: tuple[int, int, int, int], right: Tensor, answer: Tensor | None
) -> "Figure":
    """One channel of a map with the region's cells framed, and beside it the bins expected and got."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained", dpi=80)
    low, high = feature.min().item(), feature.max().item()
    titles = ("map, channel 0", "expected", "yours")
    for axes, values, title in zip(
        figure.subplots(1, 3, width_ratios=(2, 1, 1)), (feature, right, answer), titles, strict=True
    ):
        axes.set(title=title, xticks=[], yticks=[])
        if values is None:
            axes.text(0.5, 0.5, "no map to draw", ha="center", transform=axes.transAxes)
            continue
        axes.imshow(values.numpy(), vmin=low, vmax=high, cmap="viridis")
        for (row, column), value in zip(torch.ones_like(values).nonzero().tolist(), values.flatten(), strict=True):
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color=_ink(value, low, high))
        if values is feature:
            x1, y1, x2, y2 = (edge - 0.5 for edge in region)
            axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color="#D55E00", linewidth=2.5)
    return figure


def draw_point(feature: Tensor, y: float, x: float, right: float, answer: float | None) -> "Figure":
    """One channel of a map with a point on it, and the values expected and got there."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 3.4), layout="constrained", dpi=80)
    axes = figure.subplots()
    low, high = feature.min().item(), feature.max().item()
    axes.imshow(feature.numpy(), vmin=low, vmax=high, cmap="viridis")
    for (row, column), value in zip(torch.ones_like(feature).nonzero().tolist(), feature.flatten(), strict=True):
        axes.text(column, row - 0.2, f"{value:.1f}", ha="center", fontsize=8, color=_ink(value, low, high))
    axes.plot(x, y, "X", color="#D55E00", markeredgecolor="white", markersize=12)
    got = "no number" if answer is None else f"{answer:.3g}"
    axes.set(title=f"channel 0 at y = {y:g}, x = {x:g}: expected {right:.3g}, yours {got}", xlabel="x", ylabel="y")
    axes.title.set_fontsize(9)
    axes.set(xticks=range(feature.shape[1]), yticks=range(feature.shape[0]))
    return figure


def _ink(value: Tensor, low: float, high: float) -> str:
    """A colour for letters that can be read on a cell of this value."""
    return "white" if value < low + 0.6 * (high - low) else "black"


def draw_precision_recall(
    recalls: list[float], precisions: list[float], envelope: list[float], right: float, answer: float | None
) -> "Figure":
    """Precision against recall, the envelope over it with its area, and the two average precisions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.2), layout="constrained", dpi=80)
    axes = figure.subplots()
    if recalls:
        edges, heights = [0.0, *recalls], [envelope[0], *envelope]
        axes.fill_between(edges, heights, step="pre", alpha=0.25, color="#0072B2", label="the area that is due")
        axes.step(edges, heights, where="pre", color="#0072B2")
        axes.plot(recalls, precisions, "o--", color="#D55E00", markersize=4, label="precision after each detection")
        axes.legend(fontsize=8, loc="lower right")
    got = "no single number" if answer is None else f"{answer:.4g}"
    axes.set(title=f"expected {right:.4g}, yours {got}", xlabel="recall", ylabel="precision")
    axes.set(xlim=(0, 1.03), ylim=(0, 1.08))
    return figure
