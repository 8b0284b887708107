"""Images on axes: the ground that boxes and heat maps are drawn on.

Drawings take the axes that they are given, or make a figure of their own, which a notebook shows when the cell ends;
nothing else of pyplot's state is touched. The picture lies where the boxes think it does: its left edge at 0, its
right edge at W, so that pixel (i, j) covers the square from (j, i) to (j + 1, i + 1). matplotlib's own default
puts pixel centres on whole numbers and would show every box half a pixel off.
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

LONG_SIDE = 7.0
"""Longer side of a picture in a figure of its own, in inches: 700 px in a notebook."""

RANGE_SLACK = 1e-3
"""How far a value may leave [0, 1] by rounding."""


def show_image(image: Tensor, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Show an image, (3, H, W) or (1, H, W) or (H, W) floats in [0, 1], in pixel coordinates, without ticks.

    Raises TypeError or ValueError where `image` is none.
    """
    check_image(image)
    pixels = image.detach().cpu().float().reshape(-1, *image.shape[-2:]).permute(1, 2, 0)  # (H, W, 1 or 3)
    height, width = pixels.shape[:2]
    ax = figure_axes(width, height) if ax is None else ax
    ax.imshow(pixels.expand(-1, -1, 3).clamp(0, 1).numpy(), extent=(0, width, height, 0), interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def figure_axes(width: float, height: float) -> Axes:
    """Axes in a new figure of the shape width : height, `LONG_SIDE` inches long, laid out so that nothing is cut."""
    scale = LONG_SIDE / max(width, height)
    _, ax = plt.subplots(figsize=(width * scale, height * scale), layout="constrained")
    return ax


def check_image(image: Tensor) -> None:
    """Return if `image` is one image as a float tensor in [0, 1]; raises TypeError or ValueError that says why not."""
    if not isinstance(image, Tensor):
        raise TypeError(
            f"image must be a tensor (3, H, W), got {type(image).__name__}; "
            "frcnn_edu.datasets.image_files has load_image for files and image_tensor for PIL images"
        )
    shape = tuple(image.shape)
    if image.ndim not in (2, 3) or (image.ndim == 3 and shape[0] not in (1, 3)) or 0 in shape:
        hint = "; move the channels to the front with image.permute(2, 0, 1)" if shape[-1:] in ((3,), (4,)) else ""
        raise ValueError(f"image must be (3, H, W), (1, H, W) or (H, W), got {shape}{hint}")
    if not image.is_floating_point():
        raise TypeError(f"image must be floats in [0, 1], got {image.dtype}; for 0 to 255 divide by 255")
    low, high = (value.item() for value in torch.aminmax(image.detach()))
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):
        raise ValueError(f"image must lie in [0, 1], got {low:g} to {high:g}; undo a normalisation before drawing")
