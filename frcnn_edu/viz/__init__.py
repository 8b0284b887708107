"""Drawings in matplotlib: boxes, anchors, heat maps, curves, and the diagram of the architecture.

Each function draws on given axes or in a new figure, and returns the axes. matplotlib is imported with the first of
them: the canvas in the browser needs only `palette`, which is plain data.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

HOMES = {
    "detections_figure": "box_plots",
    "draw_anchors": "box_plots",
    "draw_architecture": "architecture",
    "draw_boxes": "box_plots",
    "draw_color_key": "color_key",
    "draw_errors": "mistake_plots",
    "draw_examples": "data_plots",
    "draw_heat_map": "heat_maps",
    "plot_curves": "curves",
    "plot_errors": "mistake_plots",
    "plot_runs": "runs",
    "plot_shapes": "data_plots",
    "show_image": "axes",
}
"""The module of each drawing."""

__all__ = list(HOMES)


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(HOMES)}")
    import_module(f"{__name__}.style").use_notebook_style()
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
