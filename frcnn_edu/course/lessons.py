"""The lessons as a learner gets them: copies without outputs, in a folder where the learner's changes are kept.

Each copy holds in its metadata a digest of the lesson it was made from. It tells a copy that the learner has changed
from one that is as it was laid, and a lesson that has changed since from one that has not.
"""

import hashlib
import json
from itertools import chain, count
from pathlib import Path

from frcnn_edu.datasets import course_folder

FIRST_LESSON = "00_overview.ipynb"
MADE_FROM = "frcnn_edu_lesson"
"""The key of the digest in a copy's metadata."""


def lay_lessons(folder: Path) -> list[tuple[Path, Path]]:
    """Write a copy of every lesson into `folder`, and replace those that the learner has neither changed nor run.

    Where the learner has, the copy stays and a newer version is written beside it. Returns these pairs: the learner's
    copy, the newer version. Raises OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    laid = ((folder / path.name, _lay(path, folder)) for path in sorted(course_folder("notebooks").glob("*.ipynb")))
    return [(copy, newer) for copy, newer in laid if newer not in (None, copy)]


def _lay(path: Path, folder: Path) -> Path | None:
    """Write a copy of the lesson at `path` under the first name that no changed copy has; None if there is one."""
    lesson = _without_outputs(json.loads(path.read_text(encoding="utf-8")))
    lesson["metadata"][MADE_FROM] = digest = _digest(lesson)
    numbered = (folder / f"{path.stem}-{number}.ipynb" for number in count(2))
    for copy in chain([folder / path.name], numbered):
        made_from, untouched = _state(copy)
        if made_from == digest:
            break
        if untouched:
            draft = copy.with_suffix(".part")
            draft.write_text(json.dumps(lesson, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            return draft.replace(copy)
    return None


def _state(copy: Path) -> tuple[str | None, bool]:
    """The digest of the lesson that a copy was made from, and whether nobody has changed or run the copy since."""
    if not copy.exists():
        return None, True
    try:
        lesson = json.loads(copy.read_text(encoding="utf-8"))
        made_from = lesson["metadata"][MADE_FROM]
        was_run = any(cell.get("outputs") for cell in lesson["cells"])
        return made_from, not was_run and made_from == _digest(lesson)
    except (ValueError, KeyError, TypeError, AttributeError):  # no notebook, or none of ours
        return None, False


def _without_outputs(lesson: dict) -> dict:
    for cell in lesson["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return lesson


def _digest(lesson: dict) -> str:
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in lesson["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()
