"""The explorers of the pages: their scripts in one file, their states in a file a lesson, and each on its own."""

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from frcnn_edu import explorers
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.explorers.bundle import bundle, bundle_all, styles
from frcnn_edu.explorers.lesson_06_roi_pooling.heads import half_weights
from frcnn_edu.explorers.page_state import key_of, keys_in, packed

EXPLORERS = Path(explorers.__file__).parent
LARGE = 400_000
"""Letters of base64 from which bytes get a file of their own, fetched when their explorer starts."""

Kept = Mapping[str, Any]


@cache
def scripts() -> dict[str, Path]:
    """Every script that shows something, by its path without the ending."""
    paths = sorted(EXPLORERS.rglob("*.js"))
    shown = [path for path in paths if re.search(r"^export default ", path.read_text(encoding="utf-8"), re.MULTILINE)]
    return {path.relative_to(EXPLORERS).with_suffix("").as_posix(): path for path in shown}


@cache
def script_of(kind: str) -> str:
    """Which of `scripts` an explorer has, by the full name of its class; raises LookupError where none is it."""
    module, _, name = kind.rpartition(".")
    text = getattr(import_module(module), name)._esm
    for script, path in scripts().items():
        if bundle(path) == str(text):
            return script
    raise LookupError(f"no script of {EXPLORERS} is that of {kind}")


@cache
def shipped_buffers() -> dict[str, str]:
    """What lessons need not keep because the course ships it: the heads of its detector, by key."""
    heads = load_trained().roi_heads
    content = half_weights(heads.box_head, heads.box_predictor).tobytes()
    return {key_of(content): packed(content)}


def completed(kept: dict[str, Any], earlier: Mapping[str, str]) -> dict[str, Any]:
    """A kept state with what the course ships and what the lesson has kept `earlier`, by key.

    Raises LookupError where bytes are missing all the same.
    """
    known = shipped_buffers() | dict(earlier) | kept["buffers"]
    wanted = set(keys_in(kept))
    if missing := wanted - set(known):
        raise LookupError(f"{kept['class']} lacks the bytes {', '.join(sorted(missing))}")
    return kept | {"buffers": {key: text for key, text in known.items() if key in wanted}}


def all_scripts() -> str:
    """The script of every explorer, as one classic script."""
    return bundle_all(scripts(), "frcnnEdu.define")


def all_styles() -> str:
    """The style sheets of every explorer, as one."""
    return str(styles(*sorted(EXPLORERS.glob("lesson_*/*.css")), EXPLORERS / "question" / "question.css"))


def title_of(kept: Kept) -> str:
    """What an explorer shows, as the first sentence of its class says it."""
    module, _, name = kept["class"].rpartition(".")
    words = inspect.getdoc(getattr(import_module(module), name)) or name
    return re.split(r"[.:;](?:\s|$)", words, maxsplit=1)[0].replace("`", "")


def short_name(kept: Kept) -> str:
    """GridExplorer as grid-explorer."""
    return "-".join(re.findall(r"IoU|[A-Z][a-z]*", kept["class"].rpartition(".")[2])).lower()


def state_files(name: str, kept: Mapping[str, Kept]) -> dict[str, str]:
    """The scripts that hand states and bytes to a page: the first has them all but those that are `LARGE`."""
    buffers = {key: text for one in kept.values() for key, text in one["buffers"].items()}
    large = {key: text for key, text in buffers.items() if len(text) > LARGE}
    small = {key: text for key, text in buffers.items() if key not in large}
    entries = {
        place: {
            "script": script_of(one["class"]),
            "state": one["state"],
            "answers": one["answers"],
            "later": [f"data/{key}.js" for key in one["buffers"] if key in large],
        }
        for place, one in kept.items()
    }
    files = {f"data/{name}.js": _call(small, entries)}
    return files | {f"data/{key}.js": _call({key: text}) for key, text in large.items()}


def alone(kept: Kept) -> dict[str, str]:
    """Script and state of one explorer, for a page that is a single file: it starts in the place called "alone"."""
    script = script_of(kept["class"])
    entry = {"script": script, "state": kept["state"], "answers": kept["answers"], "later": []}
    return {
        "script": bundle_all({script: scripts()[script]}, "frcnnEdu.define"),
        "state": _call(kept["buffers"], {"alone": entry}),
    }


def _call(buffers: Mapping[str, str], entries: Mapping[str, Any] | None = None) -> str:
    given = [buffers] if entries is None else [buffers, entries]
    return f"frcnnEdu.keep({', '.join(json.dumps(one, ensure_ascii=False) for one in given)});\n"


def embed_names(pages: Iterable[tuple[str, Kept]]) -> dict[str, str]:
    """A file name for each explorer, given in the order of the lessons: grid-explorer, then grid-explorer-2."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for place, kept in pages:
        name = short_name(kept)
        counts[name] = counts.get(name, 0) + 1
        names[place] = name if counts[name] == 1 else f"{name}-{counts[name]}"
    return names
