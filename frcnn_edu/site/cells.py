"""The cells of a lesson as HTML: text, code, what the code showed, and a place for every explorer.

What needs a kernel is left out where it says nothing (progress bars, the cell that looks for the course) and shown as
its picture where it does. Pictures become files; the text that follows one describes it to those who cannot see it.
"""

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nbconvert.filters.ansi import ansi2html
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from frcnn_edu.explorers.page_state import KIND, NEEDS_KERNEL
from frcnn_edu.site.live import completed
from frcnn_edu.site.markdown import plain_text, slug, to_html
from frcnn_edu.site.menu import Lesson
from frcnn_edu.site.transparent import ALPHA, without_ground

LEFT_OUT = {"is-it-installed"}
LONG = 16
"""Lines of code from which it is folded."""

ALIVE_CLASS = re.compile(r"[A-Z]\w*(Explorer|Canvas|Machine|Life|Detector|Question)\(")
"""How the text of an explorer begins."""

PICTURES = {"image/png": "png", "image/jpeg": "jpg"}

ALIVE = "This picture moves: use the mouse, a finger or the keyboard."
ALONE = "On a page of its own"
NOT_ALIVE = (
    "This needs Python: open the lesson in JupyterLab, with <code>make lab</code>. "
    'On the <a href="index.html">front page</a> a detector runs without it.'
)
YOUR_TURN = (
    "The exercises run in JupyterLab, with <code>make lab</code>: there you write the code, and the checks tell you "
    "what is wrong with it. Here you can read the tasks, the hints and the solutions."
)
CODE = "Code, {count} lines"
"""What the pages say, beside what the lessons say."""


@dataclass(frozen=True)
class Section:
    """A heading and the text below it; `parts` grows while the lesson is read."""

    level: int
    name: str
    title: str
    html: str
    parts: list[str] = field(default_factory=list)


@dataclass
class LessonPage:
    """What becomes of one lesson: its HTML, its sections, the pictures and the explorers that it needs."""

    lesson: Lesson
    link: Callable[[str], str | None]
    """Where a link of the lesson leads on the site; None where no page shows it."""
    html: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    """File names and contents."""
    explorers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The kept states, see `explorers.page_state`, by the names of their places."""
    _bytes: dict[str, str] = field(default_factory=dict)
    """What the cells so far have kept; the same bytes are kept once."""
    _described: list[str] = field(default_factory=list)
    """Names of the pictures that the next text may describe."""

    def read(self) -> "LessonPage":
        """Turn the cells into HTML; raises ValueError for an explorer whose state was not kept."""
        for cell in json.loads(self.lesson.path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["id"] in LEFT_OUT:
                continue
            if cell["cell_type"] == "markdown":
                self._add_text(source, cell["id"])
            else:
                self._add_code(source, cell["metadata"].get("jupyter", {}).get("source_hidden", False))
                self._add_outputs(cell, source)
        return self

    # text

    def _add_text(self, source: str, name: str) -> None:
        html = to_html(source, self.link, self._on_heading)
        if self._described and html.startswith("<p><strong>See:"):
            html = html.replace("<p>", f'<p id="see-{name}">', 1)
            for place in self._described:
                self._replace(f'id="{place}"', f'id="{place}" aria-describedby="see-{name}"')
        self._described.clear()
        self.html.append(f'<div class="text">{html}</div>')
        if self.sections:
            self.sections[-1].parts.append(plain_text(re.sub(r"<h[1-6].*?</h[1-6]>", " ", html, flags=re.DOTALL)))

    def _on_heading(self, level: int, html: str, text: str) -> str:
        name = base = slug(text)
        taken = {section.name for section in self.sections}
        number = 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        self.sections.append(Section(level, name, text, html))
        return name

    def _replace(self, old: str, new: str) -> None:
        self.html = [part.replace(old, new) for part in self.html]

    # code

    def _add_code(self, source: str, folded: bool) -> None:
        code = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
        lines = source.count("\n") + 1
        block = f'<pre class="code"><code>{code}</code></pre>'
        if folded or lines > LONG:
            block = f"<details class='folded-code'><summary>{CODE.format(count=lines)}</summary>{block}</details>"
        self.html.append(block)

    # outputs

    def _add_outputs(self, cell: dict, source: str) -> None:
        made = [self._output(output, cell["id"], i, source) for i, output in enumerate(cell["outputs"])]
        shown = "".join(part for part in made if part)
        if shown:
            self.html.append(f'<div class="shown">{shown}</div>')

    def _output(self, output: dict, cell: str, index: int, source: str) -> str:
        if output["output_type"] == "stream":
            text = "".join(output["text"])
            return f'<pre class="said">{ansi2html(text)}</pre>' if text.strip() else ""
        data = {kind: value if kind == KIND else "".join(value) for kind, value in output.get("data", {}).items()}
        place = cell if index == 0 else f"{cell}-{index}"
        if KIND in data:
            return self._explorer(data, place)
        if ALIVE_CLASS.match(data.get("text/plain", "")):
            raise ValueError(
                f"{self.lesson.path.name}, cell {cell}: the state of an explorer was not kept; "
                f"run `make notebooks LESSON={self.lesson.path.stem}`"
            )
        if picture := self._picture(data, place, output["metadata"].get("image/jpeg", {}).get(ALPHA)):
            return f'<figure class="picture">{picture}</figure>'
        if "text/html" in data:
            guesses = " guesses" if source.rstrip().endswith("guesses()") else ""
            return f'<div class="table scrolls{guesses}">{_plain_style(data["text/html"])}</div>'
        if output["output_type"] == "execute_result":
            return f'<div class="needs-python"><p>{NOT_ALIVE}</p></div>'
        return ""

    def _picture(self, data: dict[str, str], place: str, alpha: str | None = None) -> str:
        """An image, as a file of its own; nothing where there is none. `alpha` is the opacity of a JPEG."""
        kind = next((kind for kind in PICTURES if kind in data), None)
        if kind is None:
            return ""
        content = base64.b64decode(data[kind])
        content, suffix = (without_ground(content, alpha), "webp") if alpha else (content, PICTURES[kind])
        file = f"figures/{self.lesson.number}-{place}.{suffix}"
        self.pictures[file] = content
        text = data.get("text/plain", "")
        section = self.sections[-1].title if self.sections else self.lesson.title
        alt = f"Picture of the section “{section}”" if text.startswith("<Figure") else text
        width, height = picture_size(content)
        self._described.append(f"picture-{place}")
        return (
            f'<img id="picture-{place}" src="{file}" alt="{escape(alt, quote=True)}" width="{width}" height="{height}" '
            f'loading="lazy" decoding="async">'
        )

    def _explorer(self, data: dict[str, Any], place: str) -> str:
        kept = data.pop(KIND)
        picture = self._picture(data, place)
        fallback = picture or data.get("text/html", "")
        if kept.get(NEEDS_KERNEL):
            return f'<figure class="picture">{fallback}<figcaption>{NOT_ALIVE}</figcaption></figure>'
        self._bytes |= kept["buffers"]
        self.explorers[place] = completed(kept, self._bytes)
        start = f'id="explorer-{place}" data-explorer="{place}"><div class="live"></div>'
        if not picture:
            return f'<div class="explorer-place card" {start}<div class="still">{fallback}</div></div>'
        caption = f'{ALIVE} <a href="{{{{embed {place}}}}}">{ALONE}</a>'
        return (
            f'<figure class="explorer-place" {start}<div class="still">{fallback}</div>'
            f"<figcaption>{caption}</figcaption></figure>"
        )


def picture_size(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG or a JPEG."""
    return Image.open(io.BytesIO(content)).size


def _plain_style(html: str) -> str:
    """Tables take their look from the page."""
    return re.sub(r' style="text-align: left;[^"]*"', "", html)
