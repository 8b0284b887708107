"""Plots of answers: the expected answer beside the learner's.

Each takes a case of an exercise, the right answer and the learner's, which may have any shape, and returns a figure.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.losses import smooth_l1
from frcnn_edu.viz.labels import readable_on
from frcnn_edu.viz.palette import BLUE, VERMILION
from frcnn_edu.viz.style import ink

EXPECTED: dict[str, Any] = {"color": BLUE, "label": "expected"}
YOURS: dict[str, Any] = {"color": VERMILION, "label": "yours"}
WRONG = " \N{BALLOT X}"

MOST_CELLS = 50
"""Larger tables are not drawn."""


def boxes_beside(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """Expected boxes and the learner's on equal axes, the first box bold."""
    figure, sides = _figure(7, 3.4, 2)
    drawable = answer.ndim == 2 and answer.shape[1] == right.shape[1]
    seen = torch.cat((right, answer)) if drawable else right
    low, high = seen.min().item(), seen.max().item()
    room = 0.08 * (high - low) + 1
    for axes, boxes, title in zip(sides, (right, answer), ("expected", "yours"), strict=True):
        axes.set(title=title, xlim=(low - room, high + room), ylim=(high + room, low - room), aspect="equal")
        axes.axhline(0, color="gray", linewidth=0.6)
        axes.axvline(0, color="gray", linewidth=0.6)
        if boxes is right or drawable:
            corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3, 0, 1]].reshape(-1, 5, 2)  # (N, 5 corners, 2)
            colors, widths = [f"C{index % 10}" for index in range(len(boxes))], [3.0] + [1.2] * len(boxes)
            axes.add_collection(LineCollection(list(corners.numpy()), colors=colors, linewidths=widths))
        else:
            _write(axes, "no rows of four to draw")
    return figure


def decoded_beside(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """Deltas as what they decode to: the ground truth, and the boxes that the learner's lead to."""
    anchors = case[1].double()
    led = decode_boxes(answer, anchors) if answer.shape == right.shape else answer.new_zeros(0)
    figure = boxes_beside(case, decode_boxes(right, anchors), led)
    for axes, title in zip(figure.axes, ("expected: the ground truth", "yours: where your deltas lead"), strict=True):
        axes.set(title=title, xlabel="dashed: the anchors")
        for anchor in anchors.tolist():
            _outline(axes, anchor, color="gray", linestyle="--", linewidth=1)
    return figure


def kept_beside(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """The boxes that NMS should keep, and those that the learner's keeps; suppressed ones are dashed."""
    boxes, scores, _ = case
    figure, sides = _figure(7, 3.4, 2)
    low, high = boxes.amin(dim=0).tolist()[:2], boxes.amax(dim=0).tolist()[2:]
    for axes, indices, title in zip(sides, (right, answer), ("expected: kept", "yours: kept"), strict=True):
        axes.set(title=title, xlim=(low[0] - 5, high[0] + 5), ylim=(high[1] + 5, low[1] - 8), aspect="equal")
        kept = {int(index) for index in indices.flatten().tolist()} if indices.ndim <= 1 else set()
        for index, box in enumerate(boxes.tolist()):
            color, width, style = (f"C{index % 10}", 2.2, "-") if index in kept else ("gray", 1.0, "--")
            _outline(axes, box, color=color, linewidth=width, linestyle=style)
            if len(boxes) < 10 or index in kept:
                axes.text(box[0], box[1], f"{index}: {scores[index]:.2f}", fontsize=8, va="bottom", color=color)
    return figure


def iou_tables(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """The boxes, and the tables of their IoU."""
    figure, (drawn, left, beside) = _figure(9, 3.2, 3)
    for boxes, color, style, side in ((case[0], BLUE, "-", "bottom"), (case[1], VERMILION, "--", "top")):
        for index, box in enumerate(boxes.tolist()):
            _outline(drawn, box, color=color, linestyle=style)
            drawn.text(box[0], box[1 if side == "bottom" else 3], str(index), color=color, weight="bold", va=side)
    drawn.invert_yaxis()
    drawn.set(title="boxes1 and boxes2 (dashed)", aspect="equal")
    for axes, values, title in ((left, right, "expected"), (beside, answer, "yours")):
        axes.set(title=title, xlabel="boxes2", ylabel="boxes1")
        if values.ndim != 2 or not 0 < values.numel() <= MOST_CELLS:
            _write(axes, "no table to draw")
            continue
        off = (values - right).abs() > 1e-4 if values.shape == right.shape else values.isnan()  # none of them is
        texts = [f"{v:.2f}" if abs(v) < 100 else f"{v:.0e}" for v in values.flatten().tolist()]
        marks = [WRONG if wrong else "" for wrong in off.flatten().tolist()]
        _table(axes, values, [text + mark for text, mark in zip(texts, marks, strict=True)], 0, 1, cmap="Blues")
        axes.set(xticks=range(values.shape[1]), yticks=range(values.shape[0]))
    return figure


def labels_beside(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """The table of IoU with a column of expected labels and one of the learner's."""
    iou = case[0]
    objects = iou.shape[1]
    figure, (axes,) = _figure(5.6, 0.34 * len(iou) + 1.2)
    axes.set(xlim=(-0.5, objects + 2.5), ylim=(len(iou) - 0.5, -0.5), yticks=range(len(iou)), ylabel="anchor")
    names = [*(f"IoU with {j}" for j in range(objects)), "expected", "yours"]
    axes.set_xticks([*range(objects), objects + 1, objects + 2], labels=names, fontsize=8)
    axes.xaxis.tick_top()
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    for i, row in enumerate(iou.tolist()):
        for j, value in enumerate(row):
            axes.text(j, i, f"{value:.2f}", **middle)
        axes.text(objects + 1, i, f"{right[i]:g}", weight="bold", color=BLUE, **middle)
        if answer.shape == right.shape:
            wrong = bool(answer[i] != right[i])
            text, color = (f"{answer[i]:g}{WRONG}", VERMILION) if wrong else (f"{answer[i]:g}", ink())
            axes.text(objects + 2, i, text, color=color, **middle)
    return figure


def frequencies(draws: Sequence[tuple[Tensor, Tensor]], labels: Tensor) -> Figure:
    """How often each positive and each negative anchor was drawn, beside what chance would give."""
    figure, sides = _figure(7, 2.8, 2, sharey=True)
    for axes, drawn, label, name in zip(
        sides, zip(*draws, strict=True), (1, 0), ("positives", "negatives"), strict=True
    ):
        candidates = (labels == label).nonzero().squeeze(1)
        often = torch.bincount(torch.cat(drawn), minlength=len(labels))[candidates]
        axes.bar(range(len(candidates)), often.tolist(), **YOURS)
        axes.axhline(sum(map(len, drawn)) / len(candidates), color=BLUE, label="expected, about")
        axes.set(title=f"{name} in {len(draws)} draws", xlabel="anchor")
        axes.set_xticks(range(len(candidates)), labels=candidates.tolist(), fontsize=7)
        axes.legend(fontsize=8)
    return figure


def loss_curve(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """Smooth L1 over x: the expected loss as a line, the learner's as points."""
    x, beta = case[0], case[1] if len(case) > 1 else 1 / 9
    figure, (axes,) = _figure(4.6, 3.2)
    places = torch.linspace(-4, 4, 161) * beta
    axes.plot(places, smooth_l1(places, beta), **EXPECTED)
    if answer.shape == right.shape:
        axes.plot(x.flatten(), answer.flatten(), "o", **YOURS)
    axes.set(xlabel="x", ylabel="loss", title=f"beta = {beta:.3g}")
    axes.set(xlim=(-4 * beta, 4 * beta), ylim=(-1.4 * beta, 4.2 * beta))
    axes.legend(loc="upper center", ncols=2)
    return figure


def loss_bars(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """Both halves of the RPN's loss as bars."""
    figure, (axes,) = _figure(4.6, 3.0)
    for shift, values, style in ((-0.2, right, EXPECTED), (0.2, answer, YOURS)):
        axes.bar_label(axes.bar([shift, 1 + shift], values.tolist(), width=0.38, **style), fmt="%.3g")
    axes.set(ylabel="loss", xticks=[0, 1], xticklabels=["objectness half", "box half"])
    axes.margins(y=0.3)
    axes.legend(loc="upper center", ncols=2)
    return figure


def bins_beside(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """The first channel of a map with the region's cells framed, and the bins that it is pooled into."""
    feature, roi, _ = case
    x1, y1, x2, y2 = (round(edge) for edge in roi.tolist())
    figure, sides = _figure(9, 3.4, 3, width_ratios=(2, 1, 1))
    low, high = feature[0].min().item(), feature[0].max().item()
    titles = ("map, channel 0", "expected", "yours")
    for axes, maps, title in zip(sides, (feature, right, answer), titles, strict=True):
        axes.set(title=title, xticks=[], yticks=[])
        if maps.ndim == 3 and maps.numel():
            _table(axes, maps[0], [f"{value:.1f}" for value in maps[0].flatten().tolist()], low, high, fontsize=7)
        else:
            _write(axes, "no map to draw")
    _outline(sides[0], (x1 - 0.5, y1 - 0.5, x2 + 0.5, y2 + 0.5), color=VERMILION, linewidth=2.5)
    return figure


def point_on_map(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """The first channel of a map with the point, and the values there."""
    feature, y, x = case
    figure, (axes,) = _figure(4.4, 3.4)
    values = feature[0]
    texts = [f"{value:.1f}\n" for value in values.flatten().tolist()]
    _table(axes, values, texts, values.min().item(), values.max().item(), fontsize=8)
    axes.plot(x, y, "X", color=VERMILION, markeredgecolor="white", markersize=12)
    got = f"{answer[0]:.3g}" if answer.shape == right.shape else "no number"
    axes.set(xticks=range(values.shape[1]), yticks=range(values.shape[0]), xlabel="x", ylabel="y")
    axes.set_title(f"channel 0 at y = {y:g}, x = {x:g}: expected {right[0]:.3g}, yours {got}", fontsize=9)
    return figure


def precision_recall(case: tuple, right: Tensor, answer: Tensor) -> Figure:
    """Precision over recall, the area under its envelope, and the two average precisions."""
    scores, hits, ground_truths = case
    true = hits[scores.argsort(descending=True)].cumsum(0).tolist()
    recalls, precisions = [n / ground_truths for n in true], [n / place for place, n in enumerate(true, start=1)]
    figure, (axes,) = _figure(4.6, 3.2)
    if recalls:
        envelope = list(itertools.accumulate(precisions[::-1], max))[::-1]
        edges, heights = [0.0, *recalls], [envelope[0], *envelope]
        axes.fill_between(edges, heights, step="pre", alpha=0.25, color=BLUE, label="expected area")
        axes.step(edges, heights, where="pre", color=BLUE)
        axes.plot(recalls, precisions, "o--", color=VERMILION, markersize=4, label="precision after each detection")
        axes.legend(fontsize=8, loc="lower right")
    got = f"{answer.item():.4g}" if answer.numel() == 1 else "no single number"
    axes.set(title=f"expected {right.item():.4g}, yours {got}", xlabel="recall", ylabel="precision")
    axes.set(xlim=(0, 1.03), ylim=(0, 1.08))
    return figure


def _figure(width: float, height: float, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `width` by `height` inches, and its axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=80)
    figure.subplots(1, columns, **options)
    return figure, figure.axes


def _outline(axes: Axes, box: tuple[float, ...], **style: Any) -> None:
    x1, y1, x2, y2 = box
    axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], **style)


def _write(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.4, text, ha="center", transform=axes.transAxes)


def _table(
    axes: Axes, values: Tensor, texts: list[str], low: float, high: float, cmap: str = "viridis", fontsize: float = 10
) -> None:
    """A table (H, W) as coloured cells with a text in each, row by row."""
    image = axes.imshow(values.numpy(), vmin=low, vmax=high, cmap=cmap)
    places = itertools.product(range(values.shape[0]), range(values.shape[1]))
    for (row, column), value, text in zip(places, values.flatten().tolist(), texts, strict=True):
        color = readable_on(image.cmap(image.norm(value)))
        axes.text(column, row, text, ha="center", va="center", fontsize=fontsize, color=color)
