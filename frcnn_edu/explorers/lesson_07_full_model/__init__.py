"""Explorers of lesson 07: the whole detector, while it learns, at work, and broken (Faster R-CNN, section 3).

`TimeMachine` scrubs through training on one scene, `BiographyExplorer` tells where each detection came from, and
`BugZooExplorer` has one predict what a mistake costs before it shows what was measured.

Models run in Python, when an explorer is opened; what follows the hand is computed in the browser, in the scripts
beside the modules.
"""

from frcnn_edu.explorers.lesson_07_full_model.biography import LIFE_STATES, BiographyExplorer, biographies
from frcnn_edu.explorers.lesson_07_full_model.bug_zoo import (
    PREDICTIONS,
    BugDescription,
    BugResult,
    BugZooExplorer,
    right_prediction,
)
from frcnn_edu.explorers.lesson_07_full_model.time_machine import (
    LEAST_SCORE,
    MOST_PROPOSALS,
    OBJECTNESS_ALPHA,
    Snapshot,
    TimeMachine,
    take_snapshot,
)
from frcnn_edu.explorers.lesson_07_full_model.verdicts import (
    FILM_STATES,
    FOUND,
    PROPOSAL,
    RIGHT,
    TRUTH,
    WRONG,
    right_ones,
)

__all__ = [
    "FILM_STATES",
    "FOUND",
    "LEAST_SCORE",
    "LIFE_STATES",
    "MOST_PROPOSALS",
    "OBJECTNESS_ALPHA",
    "PREDICTIONS",
    "PROPOSAL",
    "RIGHT",
    "TRUTH",
    "WRONG",
    "BiographyExplorer",
    "BugDescription",
    "BugResult",
    "BugZooExplorer",
    "Snapshot",
    "TimeMachine",
    "biographies",
    "right_ones",
    "right_prediction",
    "take_snapshot",
]
