"""Explorers of lesson 06: a region on a feature map under the hand (Fast R-CNN, section 2.1; Mask R-CNN, section 3).

`PoolingExplorer` pools one channel with RoIPool and RoIAlign side by side, `GradientExplorer` shows which cells learn
from a region, `HeadsExplorer` asks a trained detector what it sees in a region.

The first two compute in the browser, so they stay alive on a page without a kernel; the third asks the model, and that
is Python's work.
"""

from frcnn_edu.explorers.lesson_06_roi_pooling.gradient import GradientExplorer
from frcnn_edu.explorers.lesson_06_roi_pooling.heads import HeadsExplorer
from frcnn_edu.explorers.lesson_06_roi_pooling.pooling import TITLES, PoolingExplorer
from frcnn_edu.explorers.lesson_06_roi_pooling.region import OPERATORS, PANEL_HEIGHT, REGION_STATES, RegionCanvas

__all__ = [
    "OPERATORS",
    "PANEL_HEIGHT",
    "REGION_STATES",
    "TITLES",
    "GradientExplorer",
    "HeadsExplorer",
    "PoolingExplorer",
    "RegionCanvas",
]
