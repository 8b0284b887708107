"""Drawings for the lessons, on matplotlib: boxes, anchors, heat maps, curves, and the map of the architecture.

Each function takes axes or makes a figure of its own, and returns the axes. matplotlib is loaded with the first of
them, not before: the canvas in the browser needs only `palette`, which is data.
"""

from importlib import import_module

HOMES = {
    "detections_figure": "boxes",
    "draw_anchors": "boxes",
    "draw_architecture": "architecture",
    "draw_boxes": "boxes",
    "draw_errors": "errors",
    "draw_heat_map": "heat_maps",
    "plot_curves": "curves",
    "plot_errors": "errors",
    "plot_runs": "runs",
    "plot_shapes": "data_report",
    "show_image": "images",
}
"""The module in which each drawing lives."""

__all__ = list(HOMES)


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it draws {', '.join(HOMES)}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
