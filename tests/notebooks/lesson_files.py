"""Where the lessons lie, and how to read them."""

import json
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def cells(path: Path, kind: str | None = None) -> list[dict]:
    """The cells of a lesson, or those of one kind ("code" or "markdown"), each with its source as one string."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in found if kind in (None, cell["cell_type"])]
