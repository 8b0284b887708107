"""What a restless learner does with the explorers of a cell, for the kernel of a lesson: `play()` moves everything.

Every trait that the hand can write goes to its other end, every box that can be dragged to another place, every slider
of ipywidgets to its far end. What an explorer refuses by an error of traits is put back: the hand cannot do it either.
"""

import math
import re
from collections.abc import Iterator

import anywidget
import ipywidgets
import numpy as np
import traitlets

from frcnn_edu.explorers.base import BoxCanvas

WRITES = re.compile(r'trait: "(\w+)"')
TELLS = re.compile(r"tell\((?:this\.model, |model, )?\{([^}]*)\}")
BY_NAME = ("sizes", "ratios", "high", "low")
"""Traits that a script writes by a name that it is given."""

PASSIVE = {"hovered", "min_score", "min_size"}
"""What comes and goes with the pointer, or has a slider only in some explorers."""

_played: set[str] = set()


def play() -> list[str]:
    """Move everything in the explorers that have come since the last call; returns what was moved."""
    moved = []
    for key, widget in list(ipywidgets.widget._instances.items()):
        if key not in _played:
            _played.add(key)
            moved += [f"{type(widget).__name__}.{name}" for name in _play_with(widget)]
    return moved


def _play_with(widget: ipywidgets.Widget) -> Iterator[str]:
    if isinstance(widget, BoxCanvas) and len(widget.boxes) and widget.editable.any():
        widget._edit = {"number": 1, "moves": list(_moves(widget)), "final": True}
        yield "boxes"
    for name in sorted(_written_by_hand(widget)):
        if any(_set(widget, name, value) for value in _other_ends(widget, name)):
            yield name


def _moves(canvas: BoxCanvas) -> Iterator[dict]:
    """Each editable box to the opposite corner of the image, at half its size."""
    height, width = canvas.image.shape[:2]
    for index in np.flatnonzero(canvas.editable):
        x1, y1, x2, y2 = canvas.boxes[index].tolist()
        left, top = width - x2, height - y2
        yield {"index": int(index), "box": [left, top, left + (x2 - x1) / 2, top + (y2 - y1) / 2]}


def _written_by_hand(widget: ipywidgets.Widget) -> set[str]:
    if isinstance(widget, ipywidgets.ValueWidget) and not isinstance(widget, anywidget.AnyWidget):
        return {"value"} if isinstance(widget, ipywidgets.DOMWidget) and not _is_output(widget) else set()
    script = str(getattr(widget, "_esm", ""))
    names = set(WRITES.findall(script))
    for told in TELLS.findall(script):
        names |= set(re.findall(r"(\w+)(?=:|,|\s*$)", re.sub(r":[^,]*", ":", told)))
    if "[trait]" in script:
        names |= set(BY_NAME)
    return {name for name in names & set(widget.trait_names(sync=True)) if name[0] != "_" and name not in PASSIVE}


def _is_output(widget: ipywidgets.Widget) -> bool:
    """Whether the learner cannot change it: text, pictures, progress."""
    return isinstance(widget, ipywidgets.HTML | ipywidgets.Label | ipywidgets.Image | ipywidgets.IntProgress)


def _other_ends(widget: ipywidgets.Widget, name: str) -> list:
    """Values to try, the farthest from today's first."""
    trait, now = widget.traits()[name], getattr(widget, name)
    holder = widget if name == "value" else trait
    low, high = (getattr(holder, end, None) for end in ("min", "max"))
    if isinstance(now, bool):
        return [not now]
    if isinstance(trait, traitlets.Enum):
        return [value for value in trait.values if value != now]
    if isinstance(now, int | float) and None not in (low, high) and math.isfinite(high - low):
        return [low if now - low > high - now else high]
    if isinstance(now, int):
        return [now + 1, now - 1]
    if isinstance(now, float):
        return [now * 4, now / 4, now + 0.5]
    if isinstance(now, tuple) and now and all(isinstance(value, int | float) for value in now):
        return [tuple(value * 2 for value in now), tuple(type(value)(value / 2) for value in now)]
    if options := getattr(widget, "options", None):
        return [value for value in options if value != now]
    return []


def _set(widget: ipywidgets.Widget, name: str, value: object) -> bool:
    before = getattr(widget, name)
    try:
        setattr(widget, name, value)
    except (traitlets.TraitError, ValueError, IndexError):
        setattr(widget, name, before)
    return getattr(widget, name) != before
