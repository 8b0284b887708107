"""The paper's settings, from which explorers start."""

import math

from frcnn_edu.matching import Matcher

STRIDE = 16.0

HIGH, LOW = Matcher.high_threshold, Matcher.low_threshold
"""IoU from which an anchor is positive, and below which it is negative (section 3.1.2)."""


def cells(image_size: tuple[int, int], stride: float) -> tuple[int, int]:
    """(H, W) of the feature map of an image of (height, width) pixels; a border that is left over gets a cell too."""
    height, width = image_size
    return math.ceil(height / stride), math.ceil(width / stride)
