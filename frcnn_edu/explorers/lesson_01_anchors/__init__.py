"""Explorers of lesson 01: anchors under the hand (Faster R-CNN, section 3.1.1).

`RatioExplorer` bends one anchor, `GridExplorer` lays them over a feature map, `CoverageExplorer` asks how well they
fit a data set, and three more show what anchors are bad at: `OddShapeExplorer`, `UsefulExplorer`, `SharedExplorer`.

All but one compute in the browser, in the script beside them, so they stay alive on a page without a kernel.
`CoverageExplorer` measures the boxes of a whole data set, and that is Python's work: the result travels as bytes.
"""

from frcnn_edu.explorers.lesson_01_anchors.anchor_canvas import AnchorCanvas, BestAnchors, best_anchors, best_box, look
from frcnn_edu.explorers.lesson_01_anchors.coverage import BINS, FIT_STATES, MISSED, CoverageExplorer
from frcnn_edu.explorers.lesson_01_anchors.grid import GridExplorer
from frcnn_edu.explorers.lesson_01_anchors.odd_shape import OddShapeExplorer
from frcnn_edu.explorers.lesson_01_anchors.ratio import RatioExplorer
from frcnn_edu.explorers.lesson_01_anchors.shared_anchors import SHARING_STATES, SharedExplorer
from frcnn_edu.explorers.lesson_01_anchors.useful_anchors import USE_STATES, UsefulExplorer

__all__ = [
    "BINS",
    "FIT_STATES",
    "MISSED",
    "SHARING_STATES",
    "USE_STATES",
    "AnchorCanvas",
    "BestAnchors",
    "CoverageExplorer",
    "GridExplorer",
    "OddShapeExplorer",
    "RatioExplorer",
    "SharedExplorer",
    "UsefulExplorer",
    "best_anchors",
    "best_box",
    "look",
]
