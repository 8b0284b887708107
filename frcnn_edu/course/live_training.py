"""Trainings that a learner watches: the curve grows, the stop button ends them, and the lesson goes on either way."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.faster_rcnn import FasterRCNN, fasterrcnn_tiny
from frcnn_edu.training.checkpoints import History, Recipe
from frcnn_edu.training.loop import train
from frcnn_edu.viz.live_curve import LiveCurve

STEPS_VARIABLE = "FRCNN_EDU_STEPS"
"""An environment variable: a training is stopped after so many steps, as if by hand; for tests."""

OnStep = Callable[[int, FasterRCNN, History], None]


@dataclass(frozen=True)
class Watched:
    """How a training went."""

    history: History
    stopped: bool


def watch(steps: int, training: Callable[[OnStep], History]) -> Watched:
    """Run `training` of so many steps, which calls what it is given after each, and draw its curves meanwhile.

    It is stopped by KeyboardInterrupt, which JupyterLab's stop button (the square above the notebook) raises between
    two steps.
    """
    curve, limit = LiveCurve(steps), int(os.environ.get(STEPS_VARIABLE, steps))
    seen = [History()]

    def on_step(done: int, model: FasterRCNN, history: History) -> None:
        seen[:] = [history]
        curve(done, model, history)
        if done == limit < steps:
            raise KeyboardInterrupt

    try:
        return Watched(training(on_step), stopped=False)
    except KeyboardInterrupt:
        return Watched(seen[0], stopped=True)


def train_or_load(dataset: Shapes, recipe: Recipe) -> FasterRCNN:
    """A tiny detector trained on `dataset` while its losses are drawn, or the shipped one if the training is stopped.

    Says which of the two is returned; both are in evaluation mode and know the same classes.
    """
    torch.manual_seed(recipe.seed)
    model = fasterrcnn_tiny(len(dataset.class_names))
    watched = watch(recipe.steps, lambda on_step: train(model, dataset, recipe, on_step=on_step, progress=False))
    if watched.stopped:
        print("Stopped. The lesson goes on with the detector that ships with the course.")
        return load_trained()
    print(f"Trained for {len(watched.history)} steps. The lesson goes on with this detector.")
    return model
