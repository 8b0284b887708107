"""Training runs side by side, a dot per seed, to compare a difference with the spread of the seeds."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from frcnn_edu.viz.palette import BLUE, SKY_BLUE
from frcnn_edu.viz.style import ink


def plot_runs(values: Mapping[str, Sequence[float]], x_label: str, ax: Axes | None = None, title: str = "") -> Axes:
    """A row for each entry of {name: a value per seed}: values as dots, their mean as a bar, their range as a line."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 0.8 + 0.5 * len(values)), layout="constrained")
    for row, seeds in enumerate(values.values()):
        ax.plot([min(seeds), max(seeds)], [row, row], color=SKY_BLUE, linewidth=6, solid_capstyle="round", alpha=0.6)
        ax.plot(seeds, [row] * len(seeds), "o", color=BLUE, markersize=5)
        ax.plot(sum(seeds) / len(seeds), row, "|", color=ink(), markersize=18, markeredgewidth=2)
    ax.set_yticks(range(len(values)), list(values))
    ax.set(xlabel=x_label, title=title, ylim=(len(values) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
