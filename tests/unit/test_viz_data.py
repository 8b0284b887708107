"""Drawings of lesson 08: a mark at its place for each box, mistake and run."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.collections import PathCollection, PolyCollection

from frcnn_edu import viz
from frcnn_edu.datasets.data_report import examine_targets
from frcnn_edu.training.mistakes import KINDS, MISSED, find_errors
from frcnn_edu.viz.labels import BoxLabel
from frcnn_edu.viz.mistake_plots import LOOKS

NAMES = ("__background__", "cat", "dog")
IMAGE = torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(0))
FOUND = {
    "boxes": torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50], [20, 0, 30, 10], [60, 20, 70, 30]]),
    "labels": torch.tensor([1, 1, 2, 2, 1]),
    "scores": torch.tensor([0.9, 0.8, 0.7, 0.7, 0.6]),
}
TARGET = {
    "boxes": torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [64, 20, 74, 30]]),
    "labels": torch.tensor([1, 1, 1]),
}
EXPECTED = {"right": 1, "duplicate": 1, "background": 1, "class": 1, "localisation": 1, MISSED: 2}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def errors():
    found = find_errors([FOUND], [TARGET], NAMES)
    assert found.total == EXPECTED, "the case has one of each kind"
    return found


def test_every_kind_has_its_own_style_and_only_mistakes_are_labelled():
    ax = viz.draw_errors(IMAGE, FOUND, TARGET, errors().images[0], NAMES)
    drawn = [one for one in ax.collections if isinstance(one, PolyCollection)]
    assert [len(one.get_paths()) for one in drawn] == [EXPECTED[kind] for kind in (*KINDS, MISSED)]
    corners = torch.tensor(drawn[0].get_paths()[0].vertices[:4]).float()
    assert corners.tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]
    labels = [one.get_text() for one in ax.get_children() if isinstance(one, BoxLabel)]
    assert labels == ["cat", "dog", "dog", "cat"]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [f"{kind} ({EXPECTED[kind]})" for kind in (*KINDS, MISSED)]
    assert len({(look.color, look.dash, look.width) for look in LOOKS.values()}) == len(LOOKS)
    assert len({look.dash for look in LOOKS.values()}) == 5, "told apart without colour, but for right and missed"


def test_bars_add_up_to_the_mistakes_of_each_class():
    found = errors()
    ax = viz.plot_errors(found)
    ends = {}
    for bar in ax.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0), bar.get_x() + bar.get_width())
    totals = [sum(counts.values()) - counts["right"] for counts in found.per_class.values()]
    assert [ends[row] for row in sorted(ends)] == totals


def test_a_dot_for_every_box_and_a_cross_for_every_anchor():
    report = examine_targets([TARGET, FOUND], [(80, 60)] * 2, NAMES)
    ax = viz.plot_shapes(report, torch.tensor([[10.0, 20.0], [40.0, 40.0]]))
    dots = [one for one in ax.collections if isinstance(one, PathCollection)]
    assert [len(one.get_offsets()) for one in dots] == [6, 2, 2]
    assert dots[-1].get_offsets().tolist() == [[10, 20], [40, 40]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cat", "dog", "2 anchors"]


@pytest.mark.parametrize("shared", [False, True])
def test_runs_are_rows_from_the_top_with_and_without_shared_axes(shared):
    values = {"one": [0.1, 0.3], "two": [0.5]}
    _, axes = plt.subplots(1, 2, sharey=shared)
    for ax in axes:
        viz.plot_runs(values, "mAP", ax=ax)
        low, high = ax.get_ylim()
        assert low > high, "the first row is on top"
        points = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "o"]
        assert points == [[[0.1, 0], [0.3, 0]], [[0.5, 1]]]
        means = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "|"]
        assert means == [[[pytest.approx(0.2), 0]], [[0.5, 1]]]
