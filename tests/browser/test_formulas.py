"""Formulas of the lessons are typeset by JupyterLab, stars and all, whether or not anything has run."""

import re

import pytest
from jupyterlab_driver import NOTEBOOK
from lesson_files import LESSONS, cells

pytestmark = pytest.mark.browser

STAR = "mjx-c.mjx-c2217"
"""How MathJax's output names an asterisk."""


def displayed(path):
    """The cells of a lesson that hold a displayed formula: index and source."""
    found = enumerate(cells(path))
    return [(n, cell["source"]) for n, cell in found if cell["cell_type"] == "markdown" and "$$" in cell["source"]]


@pytest.mark.parametrize("path", [one for one in LESSONS if displayed(one)], ids=lambda path: path.stem)
def test_displayed_formulas_are_typeset(path, open_notebook):
    notebook = open_notebook(path)
    for number, source in displayed(path):
        notebook.page.evaluate(f"{NOTEBOOK}.content.scrollToItem({number}, 'start')")
        cell = notebook.page.locator(f'[data-windowed-list-index="{number}"]')
        formulas = cell.locator("mjx-container[display='true']")
        formulas.first.wait_for()
        assert formulas.count() == source.count("$$") // 2
        assert "$$" not in cell.inner_text()
        stars = len(re.findall(r"\^\{?\*|\^\\ast", "".join(re.findall(r"\$\$(.*?)\$\$", source, re.DOTALL))))
        assert formulas.locator(STAR).count() >= stars
