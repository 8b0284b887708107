"""Faster R-CNN from scratch, small enough to read in an evening.

Read the modules in the order in which an image travels: `boxes`, `anchors`, `matching`, `losses`, `roi_pool`, `rpn`,
`roi_heads`, `backbones`, `faster_rcnn`. Drawings live in `frcnn_edu.viz`, explorers in `frcnn_edu.widgets`, photographs
and other data in `frcnn_edu.datasets`; none of those is loaded before it is asked for.
"""

__version__ = "0.1.0"
