"""The way through the lessons: the list, and a small map of the architecture whose blocks lead to their lessons."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from frcnn_edu.viz.architecture import ALWAYS, BLOCKS, FIGURE_WIDTH, MAP_SIZE, TRAINING, draw_architecture
from frcnn_edu.viz.palette import BLACK, GROUND, INK, LEAF, QUIET_INK, SKY, WHITE

THEMED = {INK: "ink", QUIET_INK: "quiet", GROUND: "raised", BLACK: "ink", WHITE: "ground", SKY: "sky", LEAF: "leaf"}
"""Colours of the map that a page has names for, because they differ in the dark."""


@dataclass(frozen=True)
class Lesson:
    """One lesson of the course, as the menu names it."""

    path: Path
    title: str
    minutes: str
    about: str = ""

    @property
    def number(self) -> str:
        """Two digits."""
        return self.path.stem[:2]

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"{self.path.stem}.html"

    @property
    def name(self) -> str:
        """Its title without its number."""
        return self.title.partition(" · ")[2] or self.title


def find_lessons(folder: Path) -> list[Lesson]:
    """The lessons of a folder of notebooks, in their order; titles and minutes are those of their first cells.

    What each is about is in the table of the first lesson.
    """
    lessons = []
    abouts: dict[str, str] = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        abouts = abouts or dict(re.findall(r"^\| \[?(\d\d) [^|]*\| ([^|]*?) \|$", "\n".join(texts), re.MULTILINE))
        title = texts[0].splitlines()[0].removeprefix("# ")
        found = re.search(r"\*(\d+ minutes)", texts[0])
        about = abouts.get(path.stem[:2], "")
        lessons.append(Lesson(path, title, found[1] if found else "", "" if about == "you are here" else about))
    return lessons


def small_map(lessons: Sequence[Lesson], current: str = "") -> str:
    """The architecture as SVG: a block for each stage, with the number of its lesson; `current` is lit."""
    width, height = MAP_SIZE
    pages = {lesson.number: lesson for lesson in lessons}
    lines = [
        f'<polyline points="{" ".join(f"{x},{height - y}" for x, y in points)}"{dashed}/>'
        for group, dashed in ((ALWAYS, ""), (TRAINING, ' class="training"'))
        for points in group
    ]
    blocks = []
    for block in BLOCKS:
        frame, lesson = block.frame, pages.get(block.lesson)
        top = height - frame.y - frame.height
        x, y = frame.x + frame.width / 2, top + frame.height / 2
        shape = (
            f'<rect x="{frame.x}" y="{top}" width="{frame.width}" height="{frame.height}" rx="2"/>'
            f'<text x="{x}" y="{y}">{block.lesson}</text>'
        )
        lit = ' class="lit" aria-current="page"' if block.lesson == current else ""
        said = escape(f"{block.title}: lesson {block.lesson}", quote=True)
        blocks.append(f'<a href="{lesson.page}" aria-label="{said}"{lit}>{shape}</a>' if lesson else f"<g>{shape}</g>")
    return (
        f'<svg class="map" viewBox="-1 -1 {width + 2} {height + 2}" role="group" aria-label="The architecture">'
        f'<g class="arrows" aria-hidden="true">{"".join(lines)}</g>{"".join(blocks)}</svg>'
    )


def large_map(lessons: Sequence[Lesson]) -> str:
    """The map of the lessons, drawn by `draw_architecture`, in the colours of the page, its blocks leading to them."""
    width, height = MAP_SIZE
    figure = Figure(figsize=(FIGURE_WIDTH, FIGURE_WIDTH * height / width))
    draw_architecture(ax=figure.add_axes((0, 0, 1, 1)))
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "map"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = file.getvalue()
    inside = drawn[drawn.index('<g id="figure_1">') : drawn.rindex("</svg>")]
    inside = re.sub(r'<defs>.*?</defs>| clip-path="[^"]*"| id="[^"]*"|<!--.*?-->', "", inside, flags=re.DOTALL)
    for color, name in THEMED.items():
        inside = re.sub(re.escape(color), f"var(--{name})", inside, flags=re.IGNORECASE)
    inside = inside.replace("'DejaVu Sans'", "inherit")
    points = 72 * FIGURE_WIDTH / width
    pages = {lesson.number: lesson for lesson in lessons}
    links = []
    for block in BLOCKS:
        frame, lesson = block.frame, pages.get(block.lesson)
        if lesson is None:
            continue
        sides = (frame.x, height - frame.y - frame.height, frame.width, frame.height)
        x, y, wide, tall = (round(side * points, 1) for side in sides)
        said = escape(f"{block.title}: lesson {block.lesson}, {lesson.name}", quote=True)
        area = f'<rect x="{x}" y="{y}" width="{wide}" height="{tall}" rx="7"/>'
        links.append(f'<a href="{lesson.page}" aria-label="{said}">{area}</a>')
    view = f"0 0 {width * points:.1f} {height * points:.1f}"
    return (
        f'<svg class="large-map" viewBox="{view}" role="group" aria-label="The architecture of Faster R-CNN">'
        f'<g aria-hidden="true">{inside}</g><g class="links">{"".join(links)}</g></svg>'
    )
