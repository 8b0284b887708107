"""Explorers of lesson 00: the detector at work, and one anchor's life.

`LiveDetector` lets one draw a scene while the detector answers: the kernel paints the scene and asks the model, and the
script shows the picture and the answer.

`AnchorLife` has six steps: the place, the anchor that stands on it, its label, its move onto the object, the pooled
grid, the answer. Everything shown was computed by the package and handed in: anchors, matches, deltas, one channel of a
feature map. The script computes two things, because they follow the hand: the move and the pooling. The deltas are the
targets of training: where an anchor should go, not where a trained network sends it. Only positive anchors have such
targets, so only they live beyond the third step.
"""

from frcnn_edu.explorers.lesson_00_overview.anchor_life import LABEL_NAMES, POOLED_SIZE, STEPS, AnchorLife
from frcnn_edu.explorers.lesson_00_overview.live_detector import KINDS, STAGES, LiveDetector

__all__ = [
    "KINDS",
    "LABEL_NAMES",
    "POOLED_SIZE",
    "STAGES",
    "STEPS",
    "AnchorLife",
    "LiveDetector",
]
