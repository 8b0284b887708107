"""The learner's copies of the lessons: without outputs, in a folder where the learner's changes are kept.

The metadata of a copy has a digest of the lesson that it was made from, which shows whether the copy has been changed,
and whether the lesson has been since.
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
    """Write a copy of every lesson into `folder`, replacing copies that were neither changed nor run.

    Other copies stay, and a newer version is written beside them. Returns pairs of such a copy and its newer version.
    Raises OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    laid = ((folder / path.name, _lay(path, folder)) for path in sorted(course_folder("notebooks").glob("*.ipynb")))
    return [(copy, newer) for copy, newer in laid if newer not in (None, copy)]


def _lay(path: Path, folder: Path) -> Path | None:
    """Write a copy of the lesson at `path`, numbered if a changed copy has its name; None if it already exists."""
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
    """The digest of the lesson that a copy was made from, and whether the copy is neither changed nor run."""
    if not copy.exists():
        return None, True
    try:
        lesson = json.loads(copy.read_text(encoding="utf-8"))
        made_from = lesson["metadata"][MADE_FROM]
        was_run = any(cell.get("outputs") for cell in lesson["cells"])
        return made_from, not was_run and made_from == _digest(lesson)
    except (ValueError, KeyError, TypeError, AttributeError):  # not a notebook, or not made by us
        return None, False


def _without_outputs(lesson: dict) -> dict:
    for cell in lesson["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return lesson


def _digest(lesson: dict) -> str:
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in lesson["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()
