"""A data set's boxes as dots by width and height, with the anchors among them."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.datasets.data_report import DataReport
from frcnn_edu.viz.palette import GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION

FIGURE_SIZE = (5.2, 5.0)
LOOKS = ((VERMILION, "o"), (SKY_BLUE, "s"), (GREEN, "^"), (ORANGE, "D"), (PURPLE, "v"))
"""Colour and marker of a class; the sixth looks like the first again."""

TICKS = (8, 16, 32, 64, 128, 256, 512, 1024)


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
        ax.scatter(width, height, s=90, color="black", marker="+", linewidths=1.8, label=f"{len(anchors)} anchors")
    ax.set(xscale="log", yscale="log", xlabel="width, px", ylabel="height, px", title=title, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(plt.FixedLocator(TICKS))
        axis.set_major_formatter("{x:.0f}")
        axis.set_minor_locator(plt.NullLocator())
    ax.grid(alpha=0.3)
    legend = ax.legend(loc="lower right", frameon=True, markerscale=1.5)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)
    return ax
