"""Tables for notebooks: HTML, with plain text as the fallback."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

CELL = "text-align: left; vertical-align: top; padding: 4px 12px 4px 0"


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; text in backticks is shown as code.

    With a `summary` a notebook shows that line alone, and the table once it is clicked.
    Raises ValueError for a row that has not as many cells as the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    summary: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise ValueError(f"row {number} has {len(row)} cells, the header {len(self.header)}")

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in (self.header, *self.rows))

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="{CELL}">{_html(text)}</th>' for text in self.header)
        rows = ["".join(f'<td style="{CELL}">{_html(text)}</td>' for text in row) for row in self.rows]
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        return f"<details><summary>{_html(self.summary)}</summary>\n{table}\n</details>" if self.summary else table


def _html(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
