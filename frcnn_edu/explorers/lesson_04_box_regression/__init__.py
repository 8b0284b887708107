"""Explorers of lesson 04: box regression under the hand (Faster R-CNN, section 3.1.2, equation 2).

`DeltaExplorer` holds an anchor, its object and the four deltas between them: drag the boxes and the deltas follow; a
third box is the anchor, moved by deltas of one's own. `PullExplorer` shows where a detector sent the anchors of one
image at each snapshot of its training; the detector's boxes come from Python, and the script measures their IoU.
"""

from frcnn_edu.explorers.lesson_04_box_regression.deltas import ANCHOR, OBJECT, PAIR, DeltaExplorer, raw_offsets
from frcnn_edu.explorers.lesson_04_box_regression.pull import PullExplorer, Pulls, pulls, trained_pulls

__all__ = [
    "ANCHOR",
    "OBJECT",
    "PAIR",
    "DeltaExplorer",
    "PullExplorer",
    "Pulls",
    "pulls",
    "raw_offsets",
    "trained_pulls",
]
