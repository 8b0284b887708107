"""The convention card: what boxes, ratios and labels mean everywhere in this course.

Many errors in detectors come from two pieces of code that interpret the same four numbers differently. Every module,
lesson and test follows this card; lesson 00 shows it, and ``tests/unit/test_conventions.py`` asserts each line of it.
"""

from dataclasses import dataclass

from frcnn_edu.viz.tables import Table


@dataclass(frozen=True)
class Convention:
    """One line of the card: its subject, the rule, and what other code does."""

    name: str
    rule: str
    elsewhere: str


CARD = (
    Convention(
        "boxes",
        "`(N, 4)` float tensors `x1, y1, x2, y2` in pixels, origin top left, x to the right, y down; continuous: "
        "a width is `x2 - x1`, without + 1",
        "COCO files have `x, y, width, height`; the paper's code adds 1; image tensors are indexed `[:, y, x]`",
    ),
    Convention(
        "aspect ratio",
        "height / width. An anchor of size `s` and ratio `r` has area `s²`: `w = s / √r`, `h = s · √r`",
        "in some code width / height: its 2 is our 0.5",
    ),
    Convention(
        "the nine anchors",
        "sizes 128, 256, 512 and ratios 0.5, 1, 2, at every cell of a feature map of stride 16",
        "the paper writes the ratios 2:1, 1:1, 1:2; pyramids have one size per level",
    ),
    Convention(
        "anchor order",
        "rows, then columns, then ratios, then sizes. Cell `(i, j)` is centred on "
        "`(j · stride, i · stride)` plus `offset · stride`; `offset` is 0",
        "0 in torchvision too, 7.5 px in the paper's code; 0.5 is the middle of the cell",
    ),
    Convention(
        "labels",
        "anchors: 1 positive, 0 negative, -1 ignored; objects: their class, where 0 is the background",
        "YOLO files count classes from 0, without a background",
    ),
    Convention(
        "deltas",
        "`((gx - ax) / aw, (gy - ay) / ah, log(gw / aw), log(gh / ah))` from anchor `a` to ground truth `g`, "
        "x and y of centres. The second stage multiplies them by `(10, 10, 5, 5)`",
        "the paper's code divides by the standard deviations 0.1, 0.1, 0.2, 0.2, which is the same",
    ),
    Convention(
        "images and targets",
        'images: float `(3, H, W)` in [0, 1]; targets: `{"boxes": (N, 4), "labels": (N,)}`, where `N` may be 0',
        "PIL and OpenCV have `(H, W, 3)` in 0 to 255, OpenCV in the order blue, green, red",
    ),
    Convention(
        "parameter names",
        "torchvision's: `rpn.head.cls_logits.weight`, `roi_heads.box_head.fc6.weight`, …",
        "so `load_state_dict` accepts the weights of a torchvision Faster R-CNN",
    ),
)
"""Every line, in the order of the lessons."""


def table() -> Table:
    """The card as a table for a notebook."""
    return Table(("", "here", "elsewhere"), [(line.name, line.rule, line.elsewhere) for line in CARD])
