"""A data set at a glance: some of its images with their boxes, and all its boxes by width and height."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from frcnn_edu.datasets.data_report import DataReport
from frcnn_edu.datasets.folder import FolderDataset
from frcnn_edu.datasets.image_files import ImageError
from frcnn_edu.datasets.summary import one_line
from frcnn_edu.viz.box_plots import draw_boxes
from frcnn_edu.viz.fonts import literal
from frcnn_edu.viz.labels import add_label
from frcnn_edu.viz.palette import GREEN, ORANGE, PURPLE, SKY_BLUE, STATES, VERMILION, state_index
from frcnn_edu.viz.style import ink

FIGURE_SIZE = (5.2, 5.0)
LOOKS = ((VERMILION, "o"), (SKY_BLUE, "s"), (GREEN, "^"), (ORANGE, "D"), (PURPLE, "v"))
"""Colour and marker of a class; the sixth looks like the first again."""

TICKS = (8, 16, 32, 64, 128, 256, 512, 1024)

COLUMNS = 3
TILE = 4.2
"""Inches: the side of one image among the examples."""

TITLE = 0.1
"""The height of a title, as a share of `TILE`."""

DPI = 100
TILE_PIXELS = 640
MOST_NAMES = 30
"""Boxes of one image that get their name, the largest first; more names would hide the image."""

LONGEST_TITLE = 40


def draw_examples(dataset: FolderDataset, count: int = 9) -> Figure:
    """Images from all over a data set with their boxes and class names, in a figure of its own.

    Images with boxes come first. Boxes marked difficult or crowd are drawn as ignored. Damaged images are passed over.
    """
    examples = list(islice(_examples(dataset, count), count))
    columns = min(COLUMNS, len(examples)) or 1
    shapes = [image.shape[1] / image.shape[2] for _, image, _ in examples] or [1.0]
    heights = [min(max(shapes[start : start + columns]), 1.0) + TITLE for start in range(0, len(shapes), columns)]
    figure = Figure(figsize=(columns * TILE, sum(heights) * TILE), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).flatten()
    for ax in axes:
        ax.set_axis_off()
    for ax, (index, image, target) in zip(axes, examples, strict=False):
        _draw_example(image, target, dataset.class_names, ax)
        name = one_line(dataset.path(index).name)
        style = literal(name if len(name) <= LONGEST_TITLE else f"...{name[-LONGEST_TITLE:]}")
        ax.set_title(style.pop("text"), **style)
    return figure


def _examples(dataset: FolderDataset, count: int) -> Iterator[tuple[int, Tensor, dict[str, Tensor]]]:
    """Index, image and target: first `count` images with boxes evenly over the data set, then all others."""
    counts = [len(target["boxes"]) for target in dataset.targets()]
    with_boxes = [index for index, number in enumerate(counts) if number]
    spread = [with_boxes[step * len(with_boxes) // count] for step in range(count) if with_boxes]
    for index in dict.fromkeys([*spread, *with_boxes, *range(len(dataset))]):
        with suppress(ImageError, OSError):
            yield index, *dataset.preview(index, TILE_PIXELS)


def _draw_example(image: Tensor, target: dict[str, Tensor], class_names: tuple[str, ...], ax: Axes) -> None:
    """One image with its boxes, and the names of the largest of them."""
    boxes = target["boxes"]
    largest = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).argsort(descending=True)  # (N,)
    set_aside = (target["difficult"] | target["iscrowd"])[largest].tolist()
    names = [class_names[label] for label in target["labels"][largest].tolist()]
    states = ["ignored" if aside else "ground truth" for aside in set_aside]
    draw_boxes(image, boxes[largest], states=states, ax=ax)
    for box, name, state in list(zip(boxes[largest].tolist(), names, states, strict=True))[:MOST_NAMES]:
        add_label(ax, name, tuple(box), STATES[state_index(state)].color)


MOST_INSIDE = 8
"""Classes and anchors that a legend may list within the plot; a longer one stands beside it."""


def plot_shapes(report: DataReport, anchors: Tensor | None = None, ax: Axes | None = None, title: str = "") -> Axes:
    """A dot for every box by its width and height, both in doublings, and a cross for each of `anchors`, (K, 2)."""
    if ax is None:
        _, ax = plt.subplots(figsize=FIGURE_SIZE, layout="constrained")
    for label, name in enumerate(report.class_names):
        width, height = report.shapes[report.labels == label].T
        if len(width):
            color, marker = LOOKS[(label - 1) % len(LOOKS)]
            ax.scatter(width, height, s=9, color=color, marker=marker, alpha=0.4, linewidths=0, label=name)
    if anchors is not None:
        width, height = anchors.T  # (K,) each
        ax.scatter(width, height, s=90, color=ink(), marker="+", linewidths=1.8, label=f"{len(anchors)} anchors")
    ax.set(xscale="log", yscale="log", xlabel="width, px", ylabel="height, px", title=title, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(plt.FixedLocator(TICKS))
        axis.set_major_formatter("{x:.0f}")
        axis.set_minor_locator(plt.NullLocator())
    ax.grid(alpha=0.3)
    few = len(ax.get_legend_handles_labels()[0]) <= MOST_INSIDE
    place = (
        {"loc": "lower right"} if few else {"loc": "upper left", "bbox_to_anchor": (1.02, 1), "ncols": 2, "fontsize": 7}
    )
    legend = ax.legend(frameon=True, markerscale=1.5, **place)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)
    return ax
