"""Images on axes, under boxes and heat maps.

A drawing uses the axes that it is given or makes a new figure, which a notebook shows when the cell ends; pyplot's
state is otherwise unchanged. Pixel (i, j) covers the square from (j, i) to (j + 1, i + 1), the coordinates of boxes;
matplotlib's default, pixel centres on whole numbers, would show every box half a pixel off.
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

LONG_SIDE = 7.0
"""Longer side of an image in a new figure, in inches: 700 px in a notebook."""

RANGE_SLACK = 1e-3
"""How far values may exceed [0, 1] because of rounding."""


def show_image(image: Tensor, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Show an image, float (3, H, W), (1, H, W) or (H, W) in [0, 1], in pixel coordinates, without ticks.

    Raises TypeError or ValueError for an invalid image.
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
    """Axes in a new figure of the proportions width : height, `LONG_SIDE` inches on its longer side."""
    scale = LONG_SIDE / max(width, height)
    _, ax = plt.subplots(figsize=(width * scale, height * scale), layout="constrained")
    return ax


def check_image(image: Tensor) -> None:
    """Raise TypeError or ValueError unless `image` is a float tensor (3, H, W), (1, H, W) or (H, W) in [0, 1]."""
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
        raise TypeError(f"image must be floats in [0, 1], got {image.dtype}; divide by 255")
    low, high = (value.item() for value in torch.aminmax(image.detach()))
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):
        raise ValueError(f"image must lie in [0, 1], got {low:g} to {high:g}; undo normalisation before drawing")
