"""The blood cells that ship: complete, consistent with themselves and, where it is present, with the data set."""

import os
from pathlib import Path

import pytest
import torch

from frcnn_edu.course.blood_cells import (
    VARIANTS,
    load_ablation,
    mean_and_spread,
    photograph,
    photograph_names,
)
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.folder import open_folder
from frcnn_edu.training.metrics import evaluate

BCCD = os.environ.get("FRCNN_EDU_BCCD")
LARGEST = 2**20
"""Largest size of the example in bytes."""


@pytest.fixture(scope="module")
def ablation():
    return load_ablation()


def test_every_variant_has_several_seeds_from_0(ablation):
    for name in VARIANTS:
        seeds = [run.seed for run in ablation.of(name)]
        assert seeds == list(range(len(seeds))), name
        assert len(seeds) >= 2, "one seed has no spread"
    assert len(ablation.runs) == sum(len(ablation.of(name)) for name in VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_saved_detections_have_the_saved_precision(ablation, name):
    run = ablation.run(name)
    found, targets = run.found(), ablation.splits["test"].targets()
    assert len(found) == len(targets) == 72
    for iou, saved in ((0.5, run.map_50), (0.75, run.map_75)):
        result = evaluate(found, targets, iou_threshold=iou, class_names=ablation.class_names)
        assert result.map == pytest.approx(saved, abs=0.01), "scores and boxes are rounded in the file"
    assert len(run.losses) == ablation.conditions["steps"]


def test_the_conditions_are_those_of_the_lesson(ablation):
    assert (ablation.conditions["min_size"], ablation.conditions["max_size"]) == (480, 960)
    assert ablation.conditions["test_images"] is None


def test_the_images_that_ship_are_from_the_test_split_with_their_licence(ablation):
    names = photograph_names()
    assert len(names) == 12
    assert set(names) <= set(ablation.splits["test"].names)
    assert all(photograph(name).shape == (3, 480, 640) for name in names)
    assert "MIT License" in data_path("blood_cells/LICENSE").read_text(encoding="utf-8")
    files = [data_path("bccd_steps.json"), *Path(data_path("blood_cells")).iterdir()]
    assert sum(path.stat().st_size for path in files) < LARGEST
    with pytest.raises(FileNotFoundError):
        photograph("BloodImage_99999.jpg")


@pytest.mark.skipif(not BCCD, reason="FRCNN_EDU_BCCD does not name a folder with the BCCD data set")
def test_the_boxes_are_those_of_the_data_set(ablation):
    for name in ("train", "test"):
        split, there = ablation.splits[name], open_folder(BCCD, name, for_training=name == "train", quiet=True)
        assert ablation.class_names == there.class_names
        assert split.names == [there.path(index).name for index in range(len(there))]
        for saved, target in zip(split.targets(), there.targets(), strict=True):
            assert torch.equal(saved["labels"], target["labels"])
            torch.testing.assert_close(saved["boxes"], target["boxes"], atol=0.05, rtol=0)


def test_detections_that_were_not_kept_raise(ablation):
    (other,) = [run for run in ablation.of("full") if run.seed == 1]
    with pytest.raises(ValueError, match="seed 1 were not kept"):
        other.found()
    with pytest.raises(KeyError, match="no run of 'full' with seed 99"):
        ablation.run("full", 99)


def test_mean_and_spread():
    assert mean_and_spread([1.0, 2.0, 3.0]) == (2, 1)
    mean, spread = mean_and_spread([1.0])
    assert (mean, spread != spread) == (1, True)
