"""Bundles: one script out of a few, one style sheet out of a few.

The browser receives an explorer as one string, yet an explorer's script imports others. `bundle` makes the one string:
every script that is imported becomes a function with a scope of its own in front of the script that needs it. It
understands three statements, each starting on a line of its own, which are the standard's own, so the files are modules
as they lie:

    import { createCanvas } from "../js/canvas/box_canvas.js";
    export { createCanvas };
    export default { render };

Colours come with it: scripts find `viz.palette` in the constant FRCNN_EDU_PALETTE, style sheets in variables.

With ANYWIDGET_HMR=1 in the environment both functions return a file instead, which follows its sources: anywidget
(with the package watchfiles) reloads it in the open page as soon as one of them is saved.
"""

import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from frcnn_edu.viz.palette import COLORS, LOOKS, RAMP, STATES, TEXT_COLORS

HERE = Path(__file__).parent
SHEETS = (HERE / "js/canvas/box_canvas.css", HERE / "js/kit/kit.css")
"""The style sheets that every explorer has."""

POLL_SECONDS = 0.3
"""How often files are looked at during development."""

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export \{([^}]*)\};$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
_DEFAULT = re.compile(r"^export default ([^;]*);$", re.MULTILINE)


def bundle(script: str | Path) -> str | Path:
    """The text of `script` with all that it imports in front of it, for an anywidget's `_esm`.

    An imported path is relative to the script that names it or, for scripts kept elsewhere, to this folder.
    Raises FileNotFoundError for a file that is in neither place, ValueError for an import it cannot follow.
    """
    script = Path(script)
    return _deliver(script.name, lambda: _bundle(script))


def bundle_all(scripts: Mapping[str, Path], function: str) -> str:
    """One classic script out of several, which share what they import: it calls `function` with what each exports.

    Raises what `bundle` does.
    """
    modules: dict[Path, str] = {}
    entries = []
    for name, script in scripts.items():
        text = _inline_imports(script, modules)
        (exported,) = _DEFAULT.findall(text)
        body = _DEFAULT.sub("", _EXPORT.sub("", text))
        entries.append(f"{json.dumps(name)}: (() => {{\n{body}\nreturn {exported};\n}})()")
    listed = ",\n".join(entries)
    parts = [_palette(), *modules.values(), f"{function}({{\n{listed}\n}});"]
    return "(() => {\n" + "\n".join(parts) + "\n})();\n"


def styles(*sheets: Path) -> str | Path:
    """The text of `SHEETS` and these sheets, with the palette's colours as variables, for an anywidget's `_css`."""
    name = sheets[-1].name if sheets else "explorers.css"
    return _deliver(name, lambda: "\n".join([_variables(), *map(_read, (*SHEETS, *sheets))]))


def _bundle(script: Path) -> str:
    modules: dict[Path, str] = {}
    text = _inline_imports(script, modules)
    if not _DEFAULT.search(text):
        raise ValueError(f"{script.name} needs a line 'export default {{ render }};', or nothing can be shown")
    return "\n".join([_palette(), *modules.values(), text])


def _inline_imports(script: Path, modules: dict[Path, str]) -> str:
    """The script's text with each import replaced by names taken from `modules`, which grows by what is imported."""
    text = _COMMENT.sub("", _read(script))
    for _, name in _IMPORT.findall(text):
        source = _find(name, script.parent)
        if source not in modules:
            modules[source] = _as_function(_inline_imports(source, modules), _variable(source))
    text = _IMPORT.sub(lambda line: f"const {{{line[1]}}} = {_variable(_find(line[2], script.parent))};", text)
    if left := re.search(r"^import\b.*", text, re.MULTILINE):
        raise ValueError(f'{script.name}: cannot bundle {left[0]!r}; write import {{ name }} from "./file.js";')
    return text


def _find(name: str, beside: Path) -> Path:
    for folder in (beside, HERE):
        if (folder / name).is_file():
            return (folder / name).resolve()
    raise FileNotFoundError(f"{name} is imported, but is neither in {beside} nor in {HERE}")


def _as_function(text: str, variable: str) -> str:
    names = ",".join(_EXPORT.findall(text))
    body = _DEFAULT.sub("", _EXPORT.sub("", text))
    return f"const {variable} = (() => {{\n{body}\nreturn {{{names}}};\n}})();"


def _variable(script: Path) -> str:
    return "module_" + re.sub(r"\W", "_", "/".join(script.parts[-2:]))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def palette_data() -> dict:
    """`viz.palette` as plain data, for the scripts."""
    states = {state.key: state.as_dict() for state in STATES}
    looks = {key: look.as_dict() for key, look in LOOKS.items()}
    return {"colors": COLORS, "states": states, "looks": looks, "ramp": RAMP}


def _palette() -> str:
    return f"const FRCNN_EDU_PALETTE = {json.dumps(palette_data())};"


def _variables() -> str:
    """Rules that define --NAME for every colour, and --NAME-text for those that text is written in."""
    colors = [f"--{name.replace('_', '-')}: {color};" for name, color in COLORS.items()]
    light, dark = ([f"--{name}-text: {pair[i]};" for name, pair in TEXT_COLORS.items()] for i in (0, 1))
    where = ".box-canvas, .upload-area, .question-card"
    in_the_dark = ", ".join(f'[data-jp-theme-light="false"] {one}' for one in where.split(", "))
    return f"{where} {{ {' '.join([*colors, *light])} }}\n{in_the_dark} {{ {' '.join(dark)} }}"


def _deliver(name: str, make: Callable[[], str]) -> str | Path:
    """The text that `make` returns or, during development, a file that follows it."""
    if os.environ.get("ANYWIDGET_HMR") != "1":
        return make()
    path = Path(tempfile.mkdtemp(prefix="frcnn-edu-")) / name
    path.write_text(make(), encoding="utf-8")
    _followed()[path] = make
    return path


@cache
def _followed() -> dict[Path, Callable[[], str]]:
    """The files that follow their sources, and a thread that sees to it."""
    followed: dict[Path, Callable[[], str]] = {}
    threading.Thread(target=_follow, args=(followed,), daemon=True).start()
    return followed


def _follow(followed: dict[Path, Callable[[], str]]) -> None:
    while True:
        time.sleep(POLL_SECONDS)
        for path, make in list(followed.items()):
            try:
                text = make()
            except (OSError, ValueError):  # a file in the middle of being saved
                continue
            if text != _read(path):
                path.write_text(text, encoding="utf-8")
