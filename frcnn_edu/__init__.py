"""Faster R-CNN from scratch, small enough to read in an evening.

The modules beside this file are the detector, read in the order in which an image travels: `config`, `images`,
`backbones` (with `pretrained`, where weights come from), `boxes`, `anchors`, `matching`, `losses`, `roi_pool`, `rpn`,
`roi_heads`, `faster_rcnn`.

Everything else lives in a folder, and imports only from the detector and from the folders named before it: `datasets`,
`training`, `viz`, then `explorers` and `exercises`, `course`, which holds what only the lessons need, `site`, which
makes pages of the lessons, and `commands`, those of the command line, which is `__main__`. Importing the package loads
neither torch nor matplotlib nor Jupyter.
"""

__version__ = "0.1.0"
