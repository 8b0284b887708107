"""Where the lessons lie, and how to read them."""

import json
from collections.abc import Iterable
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def cells(path: Path, kind: str | None = None) -> list[dict]:
    """The cells of a lesson, or those of one kind ("code" or "markdown"), each with its source as one string."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in found if kind in (None, cell["cell_type"])]


def cells_called(path: Path, ids: Iterable[str]) -> list[dict]:
    """The cells of a lesson that have these ids, in the lesson's order; fails where one is not there."""
    wanted = set(ids)
    found = [cell for cell in cells(path) if cell["id"] in wanted]
    assert len(found) == len(wanted), f"{path.name} lacks the cells {wanted - {cell['id'] for cell in found}}"
    return found
