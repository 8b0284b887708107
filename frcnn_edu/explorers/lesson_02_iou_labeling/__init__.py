"""Explorers of lesson 02: from overlap to a label, from labels to a training step (Faster R-CNN, section 3.1.2).

`IoUExplorer` measures two boxes, `LabelExplorer` labels every anchor of a photograph while an object is dragged, and
`SampleExplorer` draws the anchors that a training step looks at.

The first two compute in the browser, in the script beside them, and so follow the hand. The third asks Python's
`BalancedSampler`, whose random numbers no script could repeat.
"""

from frcnn_edu.explorers.lesson_02_iou_labeling.label import (
    BACKGROUND,
    BY_IOU,
    BY_RULE,
    DROPPED,
    LABEL_STATES,
    MOSAIC_ALPHA,
    SHADE,
    TRUTH,
    UNSURE,
    LabelExplorer,
)
from frcnn_edu.explorers.lesson_02_iou_labeling.pair import FACTORS, PAIR_STATES, SCALES, SHIFTS, IoUExplorer
from frcnn_edu.explorers.lesson_02_iou_labeling.sample import SAMPLE_STATES, SampleExplorer

__all__ = [
    "BACKGROUND",
    "BY_IOU",
    "BY_RULE",
    "DROPPED",
    "FACTORS",
    "LABEL_STATES",
    "MOSAIC_ALPHA",
    "PAIR_STATES",
    "SAMPLE_STATES",
    "SCALES",
    "SHADE",
    "SHIFTS",
    "TRUTH",
    "UNSURE",
    "IoUExplorer",
    "LabelExplorer",
    "SampleExplorer",
]
