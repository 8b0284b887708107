"""The driver sees what goes wrong: a test of a lesson that cannot fail would be worth nothing."""

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def broken(open_notebook):
    notebook = open_notebook(
        [
            "import ipywidgets\nslider = ipywidgets.IntSlider(description='broken')\n"
            "slider.observe(lambda change: 1 / 0, 'value')\nslider",
            "from IPython.display import Javascript, HTML\nHTML('<img src=\"https://example.org/picture.png\">')",
            "Javascript('console.error(\"from a cell\")')",
            "answer = {'boxes': [1.5, 2]}",
            "raise ValueError('from a cell')",
        ]
    )
    notebook.run_all()
    return notebook


def test_finds_a_cell_that_raised(broken):
    assert broken.cell_errors() == ["ValueError: from a cell"]


def test_finds_a_console_error(broken):
    assert any("from a cell" in line for line in broken.console)


def test_finds_and_stops_a_request_that_leaves_this_computer(broken):
    assert set(broken.outside) == {"https://example.org/picture.png"}


def test_finds_a_callback_that_raised(broken):
    broken.evaluate("1")
    broken.page.locator(".widget-slider .noUi-handle").focus()
    broken.page.keyboard.press("ArrowRight")
    broken.wait_until("slider.value == 1")
    broken.settle()
    assert any("ZeroDivisionError" in error for error in broken.callback_errors())


def test_asks_the_kernel(broken):
    assert broken.evaluate("answer") == {"boxes": [1.5, 2]}
    with pytest.raises(RuntimeError, match="NameError"):
        broken.evaluate("nobody")
