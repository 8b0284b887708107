"""Explorers of lesson 03: what the region proposal network answers, and what its loss makes of each answer.

`ObjectnessExplorer` shows the score of every anchor as maps, one for each shape; `LossExplorer` takes equation 1 apart:
every sampled anchor with its terms, its weights and its gradient, and the column of them all that sums to the loss.

Both take passes of real networks, one for each step of a training, and draw in the browser.
"""

from frcnn_edu.explorers.lesson_03_rpn_and_loss.loss import (
    LARGEST_DOT,
    LOSS_STATES,
    OBJECT,
    PANEL_HEIGHT,
    STATE_OF_LABEL,
    LossExplorer,
)
from frcnn_edu.explorers.lesson_03_rpn_and_loss.objectness import ObjectnessExplorer
from frcnn_edu.explorers.lesson_03_rpn_and_loss.passes import PassExplorer

__all__ = [
    "LARGEST_DOT",
    "LOSS_STATES",
    "OBJECT",
    "PANEL_HEIGHT",
    "STATE_OF_LABEL",
    "LossExplorer",
    "ObjectnessExplorer",
    "PassExplorer",
]
