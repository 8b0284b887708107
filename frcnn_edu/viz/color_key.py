"""The key to the course's colours: every state that a box can be in, with its line."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from frcnn_edu.viz.axes import figure_axes
from frcnn_edu.viz.palette import COLOR_MAP, SLATE, STATES

MEANINGS = {
    "anchor": "an anchor, a candidate, a proposal; paler or darker by its shape",
    "positive": "an anchor labelled as an object, and the box that it becomes",
    "negative": "an anchor labelled as background; a wrong detection",
    "ignored": "an anchor without a label: training leaves it out",
    "ground truth": "an object as a person has drawn it",
    "detection": "a box that the detector returns",
    "suppressed": "a box that non-maximum suppression has removed",
}
"""What each state of the palette says of a box, by key."""


def draw_color_key() -> Axes:
    """Draw the line of every state of the palette with its name and meaning, and last the ramp of maps."""
    rows = len(STATES) + 1
    ax = figure_axes(700, 34 * rows)
    for row, state in enumerate(STATES):
        ax.add_patch(Rectangle((0, row + 0.1), 1.6, 0.8, color=SLATE))
        dashes = (0, tuple(length / state.width for length in state.dash)) if state.dash else "solid"
        ax.plot([0.15, 1.45], [row + 0.5] * 2, color=state.color, linestyle=dashes, linewidth=state.width)
        ax.text(1.8, row + 0.5, state.label, va="center", weight="bold")
        ax.text(4.2, row + 0.5, MEANINGS[state.key], va="center")
    shades = np.linspace(0, 1, 64)[None]
    ax.imshow(shades, COLOR_MAP, extent=(0, 1.6, rows - 0.1, rows - 0.9), aspect="auto")
    ax.text(1.8, rows - 0.5, "map", va="center", weight="bold")
    ax.text(4.2, rows - 0.5, "features or scores, from small (dark) to large (bright)", va="center")
    ax.set(xlim=(0, 12), ylim=(rows, 0))
    ax.set_axis_off()
    return ax
