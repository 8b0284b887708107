"""The detector that ships: its weights are there, small, and as good as its report says."""

import json

import pytest
import torch

from frcnn_edu import datasets
from frcnn_edu.course import shipped_detector as trained
from frcnn_edu.course.shipped_detector import load_trained, trained_report, trained_steps
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.loop import evaluate

MEGABYTES_AT_MOST = 15
UNSEEN = Shapes(24, split="test")


def precision(model):
    return evaluate(model, UNSEEN, class_names=UNSEEN.class_names, progress=False).map


def test_it_finds_what_its_report_says():
    reported = trained_report()["map"][trained_steps()[-1]]
    assert reported > 0.8
    assert precision(load_trained()) == pytest.approx(reported, abs=0.1)


def test_the_snapshots_go_from_nothing_to_the_end():
    steps = trained_steps()
    assert steps[0] == 0
    assert list(steps) == sorted(steps)
    assert len(steps) >= 5
    assert precision(load_trained(0)) < 0.05
    assert steps[-1] == trained_report()["recipe"]["steps"] == len(trained_report()["losses"]["loss_classifier"])


def test_every_snapshot_loads_in_evaluation_mode_and_stands_alone():
    for step in trained_steps():
        model = load_trained(step)
        assert not model.training
        assert all(values.dtype == torch.float32 for values in model.state_dict().values())
    model.rpn.head.conv[0][0].weight.data.zero_()
    assert load_trained().rpn.head.conv[0][0].weight.any()


def test_all_together_they_stay_small():
    files = list(data_path("tiny").iterdir())
    assert sum(file.stat().st_size for file in files) < MEGABYTES_AT_MOST * 1e6
    assert {file.name for file in files} == {
        trained.REPORT_FILE,
        *(trained._weights_file(step) for step in trained_steps()),
    }


def test_the_readme_tells_what_the_report_says():
    readme = (data_path(".") / "README.md").read_text(encoding="utf-8")
    row = " | ".join(f"{precision:.3f}" for precision in trained_report()["map"].values())
    assert f"| mAP@0.5 on 200 unseen scenes | {row} |" in readme


def test_a_step_that_was_not_kept_is_named():
    with pytest.raises(ValueError, match=r"kept at the steps 0, .*, not at 7"):
        load_trained(7)


def test_it_is_made_from_nothing_by_one_call(tmp_path, monkeypatch, capsys):
    trained.make(tmp_path / "tiny", Recipe(steps=3, batch_size=2), snapshots=(0, 2), scenes=2)
    assert "step 3: mAP@0.5" in capsys.readouterr().out
    assert json.loads((tmp_path / "tiny" / trained.REPORT_FILE).read_text())["recipe"]["steps"] == 3
    monkeypatch.setattr(datasets, "course_folder", lambda name: tmp_path)
    trained_report.cache_clear()
    try:
        assert trained_steps() == (0, 2, 3)
        changed = [load_trained(step).rpn.head.conv[0][0].weight for step in trained_steps()]
        assert not torch.equal(changed[0], changed[1])
        assert not torch.equal(changed[1], changed[2])
    finally:
        trained_report.cache_clear()
