"""The detector that ships: its weights are small, and its precision is that of its report."""

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


def test_its_precision_is_that_of_its_report():
    reported = trained_report()["map"][trained_steps()[-1]]
    assert reported > 0.8
    assert precision(load_trained()) == pytest.approx(reported, abs=0.1)


def test_the_snapshots_go_from_step_0_to_the_last():
    steps = trained_steps()
    assert steps[0] == 0
    assert list(steps) == sorted(steps)
    assert len(steps) >= 5
    assert precision(load_trained(0)) < 0.05
    assert steps[-1] == trained_report()["recipe"]["steps"] == len(trained_report()["losses"]["loss_classifier"])


def test_every_snapshot_loads_as_a_new_model_in_evaluation_mode():
    for step in trained_steps():
        model = load_trained(step)
        assert not model.training
        assert all(values.dtype == torch.float32 for values in model.state_dict().values())
    model.rpn.head.conv[0][0].weight.data.zero_()
    assert load_trained().rpn.head.conv[0][0].weight.any()


def test_all_snapshots_together_are_small():
    files = list(data_path("tiny").iterdir())
    assert sum(file.stat().st_size for file in files) < MEGABYTES_AT_MOST * 1e6
    assert {file.name for file in files} == {
        trained.REPORT_FILE,
        *(trained._weights_file(step) for step in trained_steps()),
    }


def test_the_readme_has_the_figures_of_the_report():
    readme = (data_path(".") / "README.md").read_text(encoding="utf-8")
    row = " | ".join(f"{precision:.3f}" for precision in trained_report()["map"].values())
    assert f"| mAP@0.5 on 200 unseen scenes | {row} |" in readme


def test_a_step_without_weights_raises():
    with pytest.raises(ValueError, match=r"weights for the steps 0, .*, not for 7"):
        load_trained(7)


def test_one_call_trains_it_from_scratch(tmp_path, monkeypatch, capsys):
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
