"""The training that a learner watches: it learns, and stopped it hands over the detector that ships."""

import pytest
import torch

from frcnn_edu.course import live_training
from frcnn_edu.course.live_training import STEPS_VARIABLE, train_or_load
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.shapes import PLAIN, Shapes
from frcnn_edu.training.checkpoints import Recipe

pytestmark = pytest.mark.slow

SCENES = Shapes(1000, config=PLAIN)
STEPS = 80


@pytest.fixture
def curves(monkeypatch):
    """What the live curve was told, in place of pictures."""
    told = []
    monkeypatch.setattr(live_training, "LiveCurve", lambda steps: lambda done, model, history: told.append(history))
    monkeypatch.delenv(STEPS_VARIABLE, raising=False)
    return told


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_it_learns_from_the_first_steps_on(curves, capsys):
    model = train_or_load(SCENES, Recipe(STEPS))
    total = curves[-1].total
    assert len(curves) == len(total) == STEPS
    assert sum(total[-20:]) < 0.75 * sum(total[:10]) * 2
    objectness = curves[-1].losses["loss_objectness"]
    assert sum(objectness[-20:]) < 0.4 * sum(objectness[:20])
    assert f"Trained for {STEPS} steps" in capsys.readouterr().out
    assert not model.training
    assert not same_weights(model, load_trained())


def test_stopped_it_goes_on_with_the_detector_that_ships(curves, capsys, monkeypatch):
    monkeypatch.setenv(STEPS_VARIABLE, "2")
    model = train_or_load(SCENES, Recipe(STEPS))
    assert len(curves) == 2
    assert capsys.readouterr().out.startswith("Stopped.")
    assert same_weights(model, load_trained())
    assert not model.training
