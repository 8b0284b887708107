"""Bundles: one script out of a few.

The browser receives an explorer as one string, yet an explorer stands on the canvas script. `bundle` makes the one
string: every script that is imported becomes a function with a scope of its own in front of the script that needs it.
It understands three lines, each alone on its line, which are the standard's own, so the files are modules as they lie:

    import { createCanvas } from "./box_canvas.js";
    export { createCanvas };
    export default { render };
"""

import re
from pathlib import Path

HERE = Path(__file__).parent

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export \{([^}]*)\};$", re.MULTILINE)
_DEFAULT = re.compile(r"^export default .*;$", re.MULTILINE)


def bundle(script: str | Path) -> str:
    """The text of `script` with all that it imports in front of it, for an anywidget's `_esm`.

    An imported file is looked for beside the script, then beside `box_canvas.js`.
    Raises FileNotFoundError for a file that is in neither place, ValueError for an import it cannot follow.
    """
    script = Path(script)
    modules: dict[str, str] = {}
    text = _inline_imports(script, modules)
    if not _DEFAULT.search(text):
        raise ValueError(f"{script.name} needs a line 'export default {{ render }};', or nothing can be shown")
    return "\n".join([*modules.values(), text])


def _inline_imports(script: Path, modules: dict[str, str]) -> str:
    """The script's text with each import replaced by names taken from `modules`, which grows by what is imported."""
    text = script.read_text(encoding="utf-8")
    for _, file_name in _IMPORT.findall(text):
        if file_name not in modules:
            source = _find(file_name, script.parent)
            modules[file_name] = _as_function(_inline_imports(source, modules), file_name)
    text = _IMPORT.sub(lambda line: f"const {{{line[1]}}} = {_variable(line[2])};", text)
    if left := re.search(r"^import\b.*", text, re.MULTILINE):
        raise ValueError(f'{script.name}: cannot bundle {left[0]!r}; write import {{ name }} from "./file.js";')
    return text


def _find(file_name: str, beside: Path) -> Path:
    for folder in (beside, HERE):
        if (folder / file_name).is_file():
            return folder / file_name
    raise FileNotFoundError(f"{file_name} is imported, but lies neither in {beside} nor beside box_canvas.js")


def _as_function(text: str, file_name: str) -> str:
    names = ",".join(_EXPORT.findall(text))
    body = _DEFAULT.sub("", _EXPORT.sub("", text))
    return f"const {_variable(file_name)} = (() => {{\n{body}\nreturn {{{names}}};\n}})();"


def _variable(file_name: str) -> str:
    return "module_" + re.sub(r"\W", "_", file_name)
