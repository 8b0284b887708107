"""The convention card: what a box, a ratio, a label is, everywhere in this course.

Half of the trouble with detectors is that two pieces of code mean different things by the same four numbers. Here is
the one meaning that every module, lesson and test keeps to; lesson 00 prints it, and ``tests/unit/test_conventions.py``
asserts each line of it on the code.
"""

from dataclasses import dataclass

from frcnn_edu.viz.tables import Table


@dataclass(frozen=True)
class Convention:
    """One line of the card: what it is about, the rule, and who sees it otherwise."""

    name: str
    rule: str
    elsewhere: str


CARD = (
    Convention(
        "boxes",
        "`(N, 4)` float tensors `x1, y1, x2, y2` in pixels, origin top left, x to the right, y down. Continuous: "
        "a width is `x2 - x1`, without a + 1",
        "COCO files hold `x, y, width, height`; the paper's code adds 1; a tensor image is indexed `[:, y, x]`",
    ),
    Convention(
        "aspect ratio",
        "height / width. An anchor of size `s` and ratio `r` has area `s²`: `w = s / √r`, `h = s · √r`",
        "some say width / height, so that their 2 is our 0.5",
    ),
    Convention(
        "the nine anchors",
        "sizes 128, 256, 512 by ratios 0.5, 1, 2, on every cell of a feature map of stride 16",
        "the paper writes the ratios 2:1, 1:1, 1:2; pyramids have one size per level",
    ),
    Convention(
        "anchor order",
        "rows, then columns, then ratio by ratio with the sizes within. Cell `(i, j)` is centred on "
        "`(j · stride, i · stride)` plus `offset · stride`; `offset` is 0",
        "torchvision: 0 too; the paper's code 7.5 px; 0.5 is the middle of the cell",
    ),
    Convention(
        "labels",
        "of anchors 1 positive, 0 negative, -1 ignored; of objects a class, and class 0 is the background",
        "YOLO's files count classes from 0, without a background",
    ),
    Convention(
        "deltas",
        "`((gx - ax) / aw, (gy - ay) / ah, log(gw / aw), log(gh / ah))` from anchor `a` to ground truth `g`, "
        "x and y of centres. The second stage multiplies by `(10, 10, 5, 5)`",
        "the paper's code divides by their spread instead, 0.1, 0.1, 0.2, 0.2: the same",
    ),
    Convention(
        "images and targets",
        'an image is float `(3, H, W)` in [0, 1]; its target `{"boxes": (N, 4), "labels": (N,)}`, and `N` may be 0',
        "PIL and OpenCV have `(H, W, 3)` in 0 to 255, OpenCV blue first",
    ),
    Convention(
        "parameter names",
        "torchvision's: `rpn.head.cls_logits.weight`, `roi_heads.box_head.fc6.weight`, …",
        "so `load_state_dict` of a torchvision Faster R-CNN just works",
    ),
)
"""Every line, in the order in which one stumbles over it."""


def table() -> Table:
    """The card as a table for a notebook."""
    return Table(("", "here", "elsewhere"), [(line.name, line.rule, line.elsewhere) for line in CARD])
