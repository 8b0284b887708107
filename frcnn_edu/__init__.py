"""Faster R-CNN from scratch, small enough to read in an evening.

Read the modules in the order in which an image travels; each imports only from those before it:
`config`, `processes`, `boxes`, `images`, `anchors`, `matching`, `losses`, `roi_pool`, `rpn`, `roi_heads`, `pretrained`,
`backbones`, `faster_rcnn`, `levels`, `datasets`, `data_report`, `metrics`, `errors`, `checkpoints`, `training`,
`trained`, `bug_zoo`, `blood_cells`.

Around them stand the drawings in `viz`, the tables of the course in `conventions` and `glossary`, the explorers in
`widgets`, what the learner writes in `exercises`, and the command line in `__main__`. Nothing is loaded before it is
asked for.
"""

__version__ = "0.1.0"
