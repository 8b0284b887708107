"""Explorers: the pieces of a lesson that move under the hand.

Most stand on one canvas, `BoxCanvas`, which draws in the browser what was sent to it once; a `Question` asks before
the lesson answers. anywidget and ipywidgets are loaded when a widget is first asked for, not before.
"""

from importlib import import_module

_HOMES = {"BoxCanvas": "base", "Grid": "still", "Question": "question", "guesses": "question"}

__all__ = ["BoxCanvas", "Grid", "Question", "guesses"]


def __getattr__(name: str) -> object:
    """`BoxCanvas`, `Question` and their companions, imported when first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
