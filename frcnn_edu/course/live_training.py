"""The training that a learner watches: its curve grows, the stop button ends it, and the lesson goes on either way."""

import os

import torch

from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.faster_rcnn import FasterRCNN, fasterrcnn_tiny
from frcnn_edu.training.checkpoints import History, Recipe
from frcnn_edu.training.loop import train
from frcnn_edu.viz.live_curve import LiveCurve

STEPS_VARIABLE = "FRCNN_EDU_STEPS"
"""An environment variable: a training is stopped after so many steps, as if by hand; for tests."""


def train_or_load(dataset: Shapes, recipe: Recipe) -> FasterRCNN:
    """A tiny detector trained on `dataset` while its losses are drawn, or the shipped one if the training is stopped.

    It is stopped by KeyboardInterrupt, which JupyterLab's stop button (the square above the notebook) raises between
    two steps. Says which of the two is returned; both are in evaluation mode and know the same classes.
    """
    torch.manual_seed(recipe.seed)
    model = fasterrcnn_tiny(len(dataset.class_names))
    curve, limit = LiveCurve(recipe.steps), int(os.environ.get(STEPS_VARIABLE, recipe.steps))

    def on_step(done: int, model: FasterRCNN, history: History) -> None:
        curve(done, model, history)
        if done == limit < recipe.steps:
            raise KeyboardInterrupt

    try:
        history = train(model, dataset, recipe, on_step=on_step, progress=False)
    except KeyboardInterrupt:
        print("Stopped. The lesson goes on with the detector that ships with the course.")
        return load_trained()
    print(f"Trained for {len(history)} steps. The lesson goes on with this detector.")
    return model
