"""A course of two small lessons, with every explorer in it, for tests of the pages."""

import base64
import io
import json
from pathlib import Path

import pytest
from built_explorers import World
from PIL import Image

from frcnn_edu.explorers.page_state import KEEPING, KIND, kept_state
from frcnn_edu.site.exporter import write_site

FIRST = """# 00 · Overview: two lessons

*5 minutes.* The lessons are

| lesson | about |
|---|---|
| 00 overview | you are here |
| [01 anchors](01_anchors.ipynb) | boxes laid out beforehand |

See [the assignments](assignments/README.md), and [the grid](01_anchors.ipynb#the-grid)."""

GRID = """# 01 · Anchors: where it starts

*10 minutes, 5 of them for the exercises.* A size $s$ and

$$w = \\frac{s}{\\sqrt{r}}, \\quad k = \\log_2 s$$

## The grid"""

SEE = "**See:** it has two colours.\n\n## Your turn\n\n<details><summary>Hint</summary>\n\nIt is *easy*.\n</details>"


def markdown(source: str, name: str) -> dict:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def code(source: str, name: str, *outputs: dict) -> dict:
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "execution_count": 1,
        "source": source,
        "outputs": list(outputs),
    }


def shown(data: dict, kind: str = "execute_result") -> dict:
    more = {"execution_count": 1} if kind == "execute_result" else {}
    return {"output_type": kind, "metadata": {}, "data": data, **more}


def picture(color: str = "red", kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(file, kind)
    return base64.b64encode(file.getvalue()).decode("ascii")


def explorer_output(widget: object) -> dict:
    """What a lesson keeps of an explorer that it shows."""
    data = {"text/plain": repr(widget)} | kept_state(widget)
    if type(widget).__name__ == "Question":
        return shown(data | {"text/html": widget._html()})
    return shown(data | {"image/jpeg": picture("blue", "JPEG")})


def write_small_site(folder: Path, world: World) -> None:
    """Write the lessons into `folder`/notebooks, and their site, without the playground, into `folder`/site."""
    with pytest.MonkeyPatch.context() as patch:
        write_course(folder / "notebooks", patch, world)
    write_site(folder / "site", folder / "notebooks", playground=False)


def write_course(folder: Path, monkeypatch: object, world: World) -> dict[str, object]:
    """Write the lessons; returns the explorers of the second, by the names of their cells."""
    monkeypatch.setenv(KEEPING, "1")
    names = [name for name in world.makers() if name != "FileDrop"]
    explorers = {name.lower(): world.makers()[name]() for name in names}
    figure = shown({"image/png": picture(), "text/plain": "<Figure size 40x30 with 1 Axes>"}, "display_data")
    bar = shown({"text/plain": "0%|  | 0/60"}, "display_data")
    first = [markdown(FIRST, "title"), code("import torch", "is-it-installed")]
    second = [
        markdown(GRID, "title"),
        code("draw()", "figure", figure, bar),
        markdown(SEE, "see"),
        code("print(1)", "said", {"output_type": "stream", "name": "stdout", "text": ["1 < 2\n"]}),
        *(code(f"{name}", name, explorer_output(widget)) for name, widget in explorers.items()),
        code("\n".join(["x = 1"] * 20), "long"),
        code("card.compare(3)", "folded") | {"metadata": {"jupyter": {"source_hidden": True}}},
        code("page", "page", shown({"text/plain": "UploadPage(0 files looked at)"})),
    ]
    (folder / "assignments").mkdir(parents=True)
    (folder / "assignments" / "README.md").write_text("for teachers")
    for name, cells in (("00_overview", first), ("01_anchors", second)):
        lesson = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{name}.ipynb").write_text(json.dumps(lesson), encoding="utf-8")
    assert KIND in second[4]["outputs"][0]["data"]
    return explorers
