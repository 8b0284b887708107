"""Symptoms: the table is complete, and training and measuring point to the right row, and only then."""

import pytest
import torch
from small_detector import draw_images, draw_targets, small_detector

from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.loop import train
from frcnn_edu.training.symptoms import LEAST_MAP, TABLE, of_losses, of_map, symptom


class Scenes(list):
    """Two images with their targets."""


@pytest.fixture
def scenes():
    return Scenes(zip(draw_images(), draw_targets(), strict=True))


def test_every_row_has_causes_and_a_check():
    assert len(TABLE) == len({row.name for row in TABLE}) == 10
    for row in TABLE:
        assert len(row.causes) >= 2
        assert row.check
        assert str(row).startswith(row.seen)
        assert str(row).count("\n") == 0


def test_an_unknown_name_raises():
    with pytest.raises(KeyError, match="no symptom is called 'fever'; there are nan, "):
        symptom("fever")


@pytest.mark.parametrize(("mean", "name"), [(0.0, "no_map"), (LEAST_MAP, None), (0.9, None), (float("nan"), None)])
def test_only_an_map_near_0_is_a_symptom(mean, name):
    seen = of_map(mean)
    assert (seen and seen.name) == name


def test_a_hundred_steps_without_positives_are_a_symptom_and_one_positive_is_none():
    silent = {"loss_rpn_box_reg": [0.0] * 100, "loss_box_reg": [0.0] * 100}
    assert of_losses(silent).name == "unlabelled"
    assert of_losses({name: values[1:] for name, values in silent.items()}) is None
    assert of_losses(silent | {"loss_box_reg": [0.0] * 50 + [0.1] + [0.0] * 49}) is None


def test_a_training_without_boxes_points_to_its_row(scenes, capsys):
    empty = Scenes((image, {name: part[:0] for name, part in target.items()}) for image, target in scenes)
    train(small_detector(), empty, Recipe(steps=100, batch_size=1), progress=False)
    said = capsys.readouterr()
    assert (said.out + said.err).count("note: Few positives, or none") == 1


def test_a_training_that_ends_with_an_map_near_0_points_to_its_row(scenes, capsys):
    recipe = Recipe(steps=2, batch_size=1)
    train(small_detector(), scenes, recipe, measure=lambda model: 0.01, progress=False)
    assert "note: mAP stays near 0" in "".join(capsys.readouterr())
    train(small_detector(), scenes, recipe, measure=lambda model: 0.5, progress=False)
    assert "note:" not in "".join(capsys.readouterr())


def test_a_loss_that_is_not_finite_says_how_to_tell_the_causes_apart(scenes):
    model = small_detector()
    with torch.no_grad():
        model.rpn.head.cls_logits.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError) as stop:
        train(model, scenes, Recipe(steps=1, batch_size=1), progress=False)
    assert any(symptom("nan").check in note for note in stop.value.__notes__)
