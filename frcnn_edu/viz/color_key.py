"""The key to the course's colours: every state that a box can be in, with its line."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from frcnn_edu.viz.axes import figure_axes
from frcnn_edu.viz.palette import SLATE, STATES, WHITE

MEANINGS = {
    "anchor": "an anchor, a candidate, a proposal",
    "positive": "an anchor or a proposal that is to find an object",
    "negative": "one that is to be background; a wrong detection",
    "ignored": "one that training leaves out",
    "ground truth": "an object as a person has drawn it",
    "detection": "a box that the detector returns",
    "suppressed": "a box that non-maximum suppression has removed",
}
"""What each state of the palette says of a box, by key."""


def draw_color_key() -> Axes:
    """Draw the line of every state of the palette with its name and meaning."""
    ax = figure_axes(700, 34 * len(STATES))
    for row, state in enumerate(STATES):
        ax.add_patch(Rectangle((0, row + 0.1), 1.6, 0.8, color=SLATE))
        dashes = (0, tuple(length / state.width for length in state.dash)) if state.dash else "solid"
        ax.plot([0.15, 1.45], [row + 0.5] * 2, color=state.color, linestyle=dashes, linewidth=state.width)
        ax.text(1.8, row + 0.5, state.label, va="center", weight="bold")
        ax.text(4.2, row + 0.5, MEANINGS[state.key], va="center")
    ax.set(xlim=(0, 12), ylim=(len(STATES), 0), facecolor=WHITE)
    ax.set_axis_off()
    return ax
