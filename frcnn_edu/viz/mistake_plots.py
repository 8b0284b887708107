"""Mistakes drawn on an image, a line style for each kind, and their counts as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from torch import Tensor

from frcnn_edu.training.mistakes import BACKGROUND, CLASS, DUPLICATE, KINDS, LOCALISATION, MISSED, RIGHT, Errors, Judged
from frcnn_edu.viz.axes import show_image
from frcnn_edu.viz.box_plots import box_collection, line_style
from frcnn_edu.viz.fonts import literal
from frcnn_edu.viz.labels import add_label
from frcnn_edu.viz.palette import (
    DASH_DOT,
    FINE_DOTS,
    GREEN,
    LONG_DASHES,
    ORANGE,
    PURPLE,
    SHORT_DASHES,
    SKY_BLUE,
    VERMILION,
    YELLOW,
    State,
)
from frcnn_edu.viz.style import ink

LOOKS = {
    RIGHT: State(RIGHT, GREEN, width=1.5),
    DUPLICATE: State(DUPLICATE, PURPLE, dash=DASH_DOT, width=2.5),
    CLASS: State(CLASS, ORANGE, dash=LONG_DASHES, width=2.5),
    LOCALISATION: State(LOCALISATION, SKY_BLUE, dash=SHORT_DASHES, width=2.5),
    BACKGROUND: State(BACKGROUND, VERMILION, dash=FINE_DOTS, width=2.5),
    MISSED: State(MISSED, YELLOW, width=3),
}
SEAM = [effects.Stroke(linewidth=3.5, foreground="black", alpha=0.6), effects.Normal()]
HATCHES = dict(zip(LOOKS, ("", "..", "//", "\\\\", "xx", ""), strict=True))


def draw_errors(
    image: Tensor,
    found: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    judged: Judged,
    class_names: Sequence[str],
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw an image, (3, H, W), its detections by kind, and the missed objects; mistakes are labelled by class."""
    ax = show_image(image, ax, title)
    kinds = judged.kinds
    groups = {kind: found["boxes"][[index for index, one in enumerate(kinds) if one == kind]] for kind in KINDS}
    groups[MISSED] = target["boxes"][judged.missed]
    handles = []
    for kind, boxes in groups.items():
        if len(boxes):
            style = line_style(LOOKS[kind])
            handles.append(Line2D([], [], label=f"{kind} ({len(boxes)})", **style))
            lines = box_collection(boxes, style)
            lines.set_path_effects(SEAM)
            ax.add_collection(lines, autolim=False)
    for box, label, kind in zip(found["boxes"].tolist(), found["labels"].tolist(), kinds, strict=True):
        if kind in KINDS and kind != RIGHT:
            add_label(ax, class_names[label], tuple(box), LOOKS[kind].color)
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, handlelength=3)
    return ax


def plot_errors(errors: Errors, ax: Axes | None = None, title: str = "") -> Axes:
    """Bars: the number of mistakes of each kind, and of missed objects, for each class."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7.0, 1.2 + 0.5 * len(errors.per_class)), layout="constrained")
    rows = np.arange(len(errors.per_class))
    left = np.zeros(len(rows), int)
    for kind in (*KINDS[1:], MISSED):
        counts = np.array([of_class[kind] for of_class in errors.per_class.values()], int)
        style: dict[str, Any] = {
            "color": LOOKS[kind].color,
            "edgecolor": ink(),
            "linewidth": 0.5,
            "hatch": HATCHES[kind],
        }
        ax.barh(rows, counts, left=left, label=kind, **style)
        left += counts
    names = [literal(name) for name in errors.per_class]
    ax.set_yticks(rows, [name.pop("text") for name in names])
    for label, name in zip(ax.get_yticklabels(), names, strict=True):
        label.set(**name)
    ax.invert_yaxis()
    ax.set(xlabel="mistakes and missed objects", title=title)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return ax
