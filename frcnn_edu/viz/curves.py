"""Curves: losses over steps, recall over IoU, precision over recall.

Lines differ in colour, in dashes and in their markers; any one of the three tells them apart.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from frcnn_edu.viz.palette import CURVE_LINES

FIGURE_SIZE = (7.0, 4.0)

FEW = 12
"""Up to so many points are marked one by one."""

Curve = Tensor | Sequence[float]


def plot_curves(
    curves: Mapping[str, Curve],
    x: Curve | None = None,
    x_label: str = "",
    y_label: str = "",
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Plot named curves, each (N,), over common positions `x`, (N,), or over 0, 1, 2, …

    NaN leaves a gap. Raises ValueError for no curve, more curves than line styles, or lengths that differ.
    """
    if not 1 <= len(curves) <= len(CURVE_LINES):
        raise ValueError(f"between 1 and {len(CURVE_LINES)} curves can be told apart, got {len(curves)}")
    rows = {name: _row(name, curve) for name, curve in curves.items()}
    places = {name: torch.arange(len(row)) if x is None else _row("x", x) for name, row in rows.items()}
    for name, row in rows.items():
        if len(places[name]) != len(row):
            raise ValueError(f"x has {len(places[name])} positions, but curve {name!r} {len(row)} values")
    if ax is None:
        _, ax = plt.subplots(figsize=FIGURE_SIZE, layout="constrained")
    for (name, row), (color, dashes, marker) in zip(rows.items(), CURVE_LINES, strict=False):
        ax.plot(
            places[name],
            row,
            color=color,
            linestyle=dashes,
            marker=marker,
            markevery=None if len(row) <= FEW else [len(row) - 1],
            label=name,
        )
    ax.set(xlabel=x_label, ylabel=y_label, title=title or "")
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, handlelength=4)
    return ax


def _row(name: str, curve: Curve) -> Tensor:
    values = torch.as_tensor(curve).detach().cpu().float()
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name!r} must have shape (N,) with N at least 1, got {tuple(values.shape)}")
    return values
