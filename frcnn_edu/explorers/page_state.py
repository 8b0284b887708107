"""What a page without Python needs of an explorer: its traits as they are, and the answers that Python would give.

`make notebooks` keeps both with the explorer's output; `frcnn_edu.site` lays them into the page, where the explorer's
script finds them as it would find a kernel. A learner's own notebooks do not keep them: they would double in size.

    {"class": "frcnn_edu.explorers.….GridExplorer", "state": {trait: value}, "buffers": {key: text},
     "answers": [{"traits": ["picture"], "given": [[0], [1]], "states": [{trait: value}, …]}]}

where a value that is bytes stands in `buffers`, deflated and in base64, and is {"buffer": key} in its place.

An explorer may have two methods: `page_traits()` returns traits that only a page needs, `recorded()` names the traits
whose answers the page keeps, and their values.
"""

import base64
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from ipywidgets import Widget

KIND = "application/vnd.frcnn-edu.explorer+json"
"""The kind of output that holds it; what shows notebooks does not know it, and takes the next one."""

KEEPING = "FRCNN_EDU_KEEP_STATE"
"""With this variable set to 1 a kernel's explorers keep their state."""

NEEDS_KERNEL = "needs_kernel"
"""Among the page's traits of an explorer it says that the page can show no more than its picture."""

PICTURES_ON_A_PAGE = 5
"""Of a data set's pictures, which Python hands over one by one, a page has at most this many."""

OF_THE_FRONT_END = {"layout", "tabbable", "tooltip"}


def kept_state(widget: Widget) -> dict[str, Any]:
    """The state of an explorer, as a part of its output, or nothing where it is not to be kept."""
    if os.environ.get(KEEPING) != "1":
        return {}
    buffers: dict[str, bytes] = {}
    page: dict[str, Any] = getattr(widget, "page_traits", dict)()
    if page.get(NEEDS_KERNEL):
        return {KIND: {NEEDS_KERNEL: True}}
    kind = type(widget)
    content = {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "state": _stored(_traits(widget) | page, buffers),
        "answers": [_answers(widget, names, given, buffers) for names, given in getattr(widget, "recorded", list)()],
        "buffers": {key: packed(value) for key, value in buffers.items()},
    }
    return {KIND: content}


def keys_in(kept: Mapping[str, Any]) -> Iterator[str]:
    """The keys of all buffers that a kept state names."""
    for state in (kept["state"], *(state for answers in kept["answers"] for state in answers["states"])):
        yield from (value["buffer"] for value in state.values() if isinstance(value, dict) and "buffer" in value)


def packed(value: bytes) -> str:
    """Bytes as a page takes them: deflated (zlib), in base64."""
    return base64.b64encode(zlib.compress(value, 9)).decode("ascii")


def key_of(value: bytes | memoryview) -> str:
    """By what a buffer is known."""
    return hashlib.sha256(value).hexdigest()[:16]


def _traits(widget: Widget) -> dict[str, Any]:
    """What the browser hears of the widget: its own traits, and not those that ipywidgets and anywidget add."""
    state = widget.get_state()
    return {
        name: value
        for name, value in state.items()
        if name not in OF_THE_FRONT_END
        and not name.startswith(("_model_", "_view_", "_dom_", "_anywidget_", "_esm", "_css"))
    }


def _answers(widget: Widget, names: tuple[str, ...], given: list[tuple], buffers: dict[str, bytes]) -> dict[str, Any]:
    """What the widget says after each setting of these traits; afterwards it is as it was."""
    states, most = [], _traits(widget)
    before = {name: getattr(widget, name) for name in (*names, *most)}
    for values in given:
        for name, value in zip(names, values, strict=True):
            setattr(widget, name, value)
        states.append(_traits(widget))
    for name, value in before.items():
        if name in names or _traits(widget)[name] != most[name]:
            setattr(widget, name, value)
    changing = {name for state in states for name, value in state.items() if value != most[name]} - set(names)
    kept = [_stored({name: state[name] for name in sorted(changing)}, buffers) for state in states]
    return {"traits": list(names), "given": [list(values) for values in given], "states": kept}


def _stored(state: Mapping[str, Any], buffers: dict[str, bytes]) -> dict[str, Any]:
    """The state as JSON can hold it, its bytes in `buffers`."""
    stored = {}
    for name, value in state.items():
        if isinstance(value, bytes | memoryview):
            key = key_of(value)
            buffers[key] = bytes(value)
            value = {"buffer": key}
        stored[name] = min(value, PICTURES_ON_A_PAGE) if name == "num_pictures" else value
    return stored
