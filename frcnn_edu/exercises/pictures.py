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
