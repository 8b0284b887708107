"""Text of a lesson as HTML: formulas as MathML, which browsers set and read out by themselves, and links to the pages.

Headings get names to link to, and are kept, with the text below them, for the list of sections and the search.
"""

import re
from collections.abc import Callable
from html import escape, unescape

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

FUNCTION = re.compile(r"(<msub><mi>(?:log|ln)</mi><m[no]>\w+</m[no]></msub>|(?<!<msub>)<mi>(?:log|ln)</mi>)(?!<mo)")
"""The name of a function, which its argument follows."""
NAME = re.compile(r"(?<=<msub>)(<mi>\w</mi>)<mrow>((?:<mi>\w</mi>){2,})</mrow>(?=</msub>)")
"""Several letters below the line: a name, and no product."""
STAR = "&#x0002A;", "&#x02217;"
"""The asterisk of text, and that of mathematics."""
TAG = re.compile(r"<[^>]+>")


def formula(tex: str, block: bool = False) -> str:
    """A formula as MathML; what it says in TeX goes with it."""
    text = convert(tex.strip(), display="block" if block else "inline")
    text = NAME.sub(lambda found: f"{found[1]}<mi>{re.sub('</?mi>', '', found[2])}</mi>", text.replace(*STAR))
    return FUNCTION.sub(r'\1<mspace width="0.17em"/>', text)


def plain_text(html: str) -> str:
    """The text of a piece of HTML."""
    return " ".join(unescape(TAG.sub(" ", html)).split())


def slug(text: str) -> str:
    """A name for a heading, as a part of an address."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")


class _Renderer(IPythonRenderer):
    """As nbconvert's, with MathML, links that lead to pages, and headings that are told of."""

    def __init__(self, link: Callable[[str], str | None], on_heading: Callable[[int, str, str], str]) -> None:
        super().__init__(escape=False, exclude_anchor_links=True)
        self.lead, self.on_heading = link, on_heading

    def block_math(self, body: str) -> str:
        """A formula of its own."""
        return f'<span class="formula scrolls">{formula(body, block=True)}</span>'

    def inline_math(self, body: str) -> str:
        """A formula in the text."""
        return formula(body)

    def latex_environment(self, name: str, body: str) -> str:
        """A formula of its own, in its environment."""
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """A link, or the text alone where it leads to a file that no page shows."""
        target = self.lead(url)
        return text if target is None else f'<a href="{escape(target)}">{text}</a>'

    def heading(self, text: str, level: int, **attrs: object) -> str:
        """A heading with a name."""
        return f'<h{level} id="{self.on_heading(level, text, plain_text(text))}">{text}</h{level}>\n'

    def table(self, text: str) -> str:
        """A table that can be wider than a small screen."""
        return f'<div class="scrolls"><table>{text}</table></div>\n'


def to_html(source: str, link: Callable[[str], str | None], on_heading: Callable[[int, str, str], str]) -> str:
    """Markdown as HTML. `link` says where a link leads, or None for nowhere.

    `on_heading(level, html, text)` is told of each heading and returns the name that it gets.
    """
    return MarkdownWithMath(renderer=_Renderer(link, on_heading)).render(source)
