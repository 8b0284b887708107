"""Names in any script and with any character are drawn as they are written."""

import warnings
from collections import Counter
from pathlib import Path

import matplotlib
import pytest
import torch
from matplotlib import font_manager

from frcnn_edu.training.mistakes import Errors
from frcnn_edu.viz import detections_figure, fonts, plot_errors
from frcnn_edu.viz.fonts import literal

IN_STIX_ONLY = "\u24b6"
"""A character that DejaVu Sans, matplotlib's usual font, lacks; STIX, which comes with matplotlib, has it."""

NOWHERE = "\U0001f9ff"
"""A character that no font of matplotlib's own has."""


@pytest.fixture(autouse=True)
def _fonts_of_matplotlib(monkeypatch):
    """Only those that come with it, on every computer."""
    own = Path(matplotlib.get_data_path())
    entries = [entry for entry in font_manager.fontManager.ttflist if Path(entry.fname).is_relative_to(own)]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
    for function in (fonts._family_with, fonts._warn_of_missing):
        function.cache_clear()
    yield
    for function in (fonts._family_with, fonts._warn_of_missing):
        function.cache_clear()


@pytest.mark.parametrize("name", ["US$ 5_$", "$\\frac$", "a^{b}_c", "%s {x}", "\\", "$", "two\nlines"])
def test_text_that_looks_like_a_formula_is_drawn_as_text(tmp_path, name):
    assert literal(name) == {"text": name, "fontfamily": ["sans-serif"], "parse_math": False}
    draw_everywhere(name, tmp_path)


def test_a_font_is_found_for_a_character_that_the_usual_one_lacks(tmp_path):
    assert literal(f"a {IN_STIX_ONLY}")["fontfamily"] == ["sans-serif", "STIXGeneral"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_everywhere(f"a {IN_STIX_ONLY}", tmp_path)


def test_a_character_of_no_font_is_a_question_mark_and_one_warning_says_so(tmp_path):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert literal(f"a {NOWHERE}{IN_STIX_ONLY}\udcff")["text"] == f"a ?{IN_STIX_ONLY}?"
        draw_everywhere(f"{NOWHERE} again", tmp_path)
    assert [str(one.message) for one in said] == [
        "names hold characters that no installed font has: they are drawn as '?'"
    ]


def draw_everywhere(name: str, folder: Path) -> None:
    """The drawings that show class names."""
    box = torch.tensor([[5.0, 5, 30, 30]])
    detections_figure(torch.rand(3, 40, 40), box, [name], torch.tensor([0.5])).savefig(folder / "found.png")
    axes = plot_errors(Errors([], {name: Counter(right=1, missed=2)}))
    axes.figure.savefig(folder / "errors.png")
    assert [label.get_text() for label in axes.get_yticklabels()] == [literal(name)["text"]]
