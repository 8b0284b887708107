"""Drawings for the lessons, on matplotlib: boxes, anchors, heat maps, curves, and the map of the architecture.

Each function takes axes or makes a figure of its own, and returns the axes. matplotlib is loaded with the first of
them, not before: the canvas in the browser needs only `palette`, which is data.
"""

from importlib import import_module

HOMES = {
    "detections_figure": "box_plots",
    "draw_anchors": "box_plots",
    "draw_architecture": "architecture",
    "draw_boxes": "box_plots",
    "draw_errors": "mistake_plots",
    "draw_examples": "data_plots",
    "draw_heat_map": "heat_maps",
    "plot_curves": "curves",
    "plot_errors": "mistake_plots",
    "plot_runs": "runs",
    "plot_shapes": "data_plots",
    "show_image": "axes",
}
"""The module in which each drawing lives."""

__all__ = list(HOMES)


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it draws {', '.join(HOMES)}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
