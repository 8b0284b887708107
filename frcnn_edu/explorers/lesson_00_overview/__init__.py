"""The explorer of lesson 00: one anchor's life, from its place on the feature map to the class of its object.

Six steps: the place, the anchor that stands on it, its label, its move onto the object, the pooled grid, the answer.
Everything shown was computed by the package and handed in: anchors, matches, deltas, one channel of a feature map. The
script computes two things, because they follow the hand: the move and the pooling.

The deltas handed in are the targets of training: where an anchor should go, not where a trained network sends it.
Only positive anchors have such targets, so only they live beyond the third step.
"""

from frcnn_edu.explorers.lesson_00_overview.anchor_life import LABEL_NAMES, POOLED_SIZE, STEPS, AnchorLife

__all__ = [
    "LABEL_NAMES",
    "POOLED_SIZE",
    "STEPS",
    "AnchorLife",
]
