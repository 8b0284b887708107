"""Bundles: one script out of a few.

The browser receives an explorer as one string, yet an explorer stands on the canvas script. `bundle` makes the one
string: every script that is imported becomes a function with a scope of its own in front of the script that needs it.
It understands three lines, each alone on its line, which are the standard's own, so the files are modules as they lie:

    import { createCanvas } from "../js/canvas/box_canvas.js";
    export { createCanvas };
    export default { render };
"""

import re
from pathlib import Path

HERE = Path(__file__).parent

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export \{([^}]*)\};$", re.MULTILINE)
_DEFAULT = re.compile(r"^export default .*;$", re.MULTILINE)


def bundle(script: str | Path) -> str:
    """The text of `script` with all that it imports in front of it, for an anywidget's `_esm`.

    An imported path is relative to the script that names it or, for scripts kept elsewhere, to this folder.
    Raises FileNotFoundError for a file that is in neither place, ValueError for an import it cannot follow.
    """
    script = Path(script)
    modules: dict[Path, str] = {}
    text = _inline_imports(script, modules)
    if not _DEFAULT.search(text):
        raise ValueError(f"{script.name} needs a line 'export default {{ render }};', or nothing can be shown")
    return "\n".join([*modules.values(), text])


def _inline_imports(script: Path, modules: dict[Path, str]) -> str:
    """The script's text with each import replaced by names taken from `modules`, which grows by what is imported."""
    text = script.read_text(encoding="utf-8")
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
