"""Formulas of the lessons are typeset by JupyterLab, stars and all, whether or not anything has run."""

import re

import pytest
from jupyterlab_driver import NOTEBOOK
from lesson_files import LESSONS, cells

pytestmark = pytest.mark.browser

STAR = "mjx-c.mjx-c2217"
"""How MathJax's output names an asterisk."""


@pytest.fixture(scope="module")
def notebook(open_notebook):
    return open_notebook([{**cell, "id": f"formulas-{number}"} for number, (_, cell) in enumerate(SHOWN)])


def shown():
    """Every cell of a lesson that holds a displayed formula, and its lesson."""
    found = [(path, cell) for path in LESSONS for cell in cells(path, "markdown")]
    return [(path.stem, cell) for path, cell in found if "$$" in cell["source"]]


SHOWN = shown()


@pytest.mark.parametrize("number", range(len(SHOWN)), ids=lambda number: f"{SHOWN[number][0]}:{SHOWN[number][1]['id']}")
def test_displayed_formulas_are_typeset(notebook, number):
    source = SHOWN[number][1]["source"]
    notebook.page.evaluate(f"{NOTEBOOK}.content.scrollToItem({number}, 'start')")
    cell = notebook.page.locator(f'[data-windowed-list-index="{number}"]')
    formulas = cell.locator("mjx-container[display='true']")
    formulas.first.wait_for()
    assert formulas.count() == source.count("$$") // 2
    assert "$$" not in cell.inner_text()
    stars = len(re.findall(r"\^\{?\*|\^\\ast", "".join(re.findall(r"\$\$(.*?)\$\$", source, re.DOTALL))))
    assert formulas.locator(STAR).count() >= stars
