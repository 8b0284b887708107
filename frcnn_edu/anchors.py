"""Anchors: the boxes that the network starts from.

Every cell of a feature map has the same few boxes, one per size and aspect ratio; the network predicts which of them
contain an object and how to move each (Faster R-CNN, section 3.1.1). The paper's nine have sizes 128, 256, 512 and
ratios 0.5, 1, 2.

An anchor of size s and ratio r (height / width) has area s**2. Cell (i, j) is centred on
``(j * stride, i * stride)`` plus ``offset * stride``: 0 is torchvision's choice, 0.5 the middle of the cell; the
paper's code has 7.5 px. torchvision rounds base anchors to whole pixels, which changes their area slightly; here that
is the option `rounded`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

PAPER_SIZES = (128.0, 256.0, 512.0)
PAPER_ASPECT_RATIOS = (0.5, 1.0, 2.0)


def base_anchors(sizes: Sequence[float], aspect_ratios: Sequence[float], rounded: bool = False) -> Tensor:
    """The anchors of one cell, centred on (0, 0), in pixels: (R * S, 4), ordered by ratio, then size.

    `rounded` rounds corners to whole pixels, halves to even, as torchvision does.
    Raises ValueError where a list is empty or a number is not above 0. Source: section 3.1.1.
    """
    size = _positive(sizes, "sizes")[None, :]  # (1, S)
    ratio = _positive(aspect_ratios, "aspect_ratios")[:, None]  # (R, 1)
    width = (size / ratio.sqrt()).flatten()  # (R * S,)
    height = (size * ratio.sqrt()).flatten()  # (R * S,)
    anchors = torch.stack((-width, -height, width, height), dim=1) / 2  # (R * S, 4)
    return anchors.round() if rounded else anchors


def grid_anchors(
    base_anchors: Tensor, feature_size: tuple[int, int], stride: float | tuple[float, float], offset: float = 0.0
) -> Tensor:
    """The base anchors at every cell of a feature map: (A, 4) -> (H * W * A, 4), rows, then columns, then anchors.

    `feature_size` is (H, W) in cells, `stride` the pixels a cell is wide (or (height, width)), `offset` where in its
    cell an anchor's centre lies, in cells. Raises ValueError for a map without cells or a stride that is not above 0.
    """
    height, width = feature_size
    stride_y, stride_x = stride if isinstance(stride, tuple) else (stride, stride)
    if height < 1 or width < 1:
        raise ValueError(f"feature_size must be (H, W) with at least one cell, got {feature_size}")
    if not (stride_y > 0 and stride_x > 0):
        raise ValueError(f"stride must be above 0 pixels, got {stride}")
    dtype, device = base_anchors.dtype, base_anchors.device
    y = (torch.arange(height, dtype=dtype, device=device) + offset) * stride_y  # (H,)
    x = (torch.arange(width, dtype=dtype, device=device) + offset) * stride_x  # (W,)
    y, x = torch.meshgrid(y, x, indexing="ij")  # (H, W) each
    centers = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)  # (H * W, 1, 4)
    return (centers + base_anchors).reshape(-1, 4)  # (H * W * A, 4)


class AnchorGenerator(nn.Module):
    """Lays base anchors over each level of a feature pyramid; one level is a pyramid of one.

    `sizes` and `aspect_ratios` hold one tuple per level. `strides` are the pixels a cell is wide at each level; left
    out, they are read off the shapes, image // map, as in torchvision. That is exact only where the map divides the
    padded image: 600 // 38 is 15 where the network's stride is 16.
    Raises ValueError where the levels do not fit together or a number is not above 0.
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[float]] = (PAPER_SIZES,),
        aspect_ratios: Sequence[Sequence[float]] = (PAPER_ASPECT_RATIOS,),
        strides: Sequence[float] | None = None,
        offset: float = 0.0,
        rounded: bool = False,
    ) -> None:
        super().__init__()
        if len(sizes) == 0 or any(not isinstance(level, Sequence) for level in (*sizes, *aspect_ratios)):
            raise ValueError(f"sizes and aspect_ratios hold one tuple per level, such as ((128, 256),), got {sizes}")
        if len(sizes) != len(aspect_ratios) or (strides is not None and len(strides) != len(sizes)):
            raise ValueError(
                f"one entry per level is needed: {len(sizes)} sizes, {len(aspect_ratios)} aspect_ratios"
                + (f", {len(strides)} strides" if strides is not None else "")
            )
        self.sizes, self.aspect_ratios = sizes, aspect_ratios
        self.strides, self.offset, self.rounded = strides, offset, rounded
        self.cell_anchors = [base_anchors(s, r, rounded) for s, r in zip(sizes, aspect_ratios, strict=True)]

    def num_anchors_per_location(self) -> list[int]:
        """How many anchors stand on a cell, per level."""
        return [len(anchors) for anchors in self.cell_anchors]

    def forward(self, feature_maps: Sequence[Tensor], image_size: tuple[int, int]) -> list[Tensor]:
        """The anchors of each level, (H * W * A, 4), for maps (B, C, H, W) of images padded to `image_size` (H, W).

        They are the same for every image of the batch, and lie on the maps' device, in float32 at least.
        """
        if len(feature_maps) != len(self.cell_anchors):
            raise ValueError(f"{len(self.cell_anchors)} levels of anchors, but {len(feature_maps)} feature maps")
        levels = []
        for level, (cell, feature) in enumerate(zip(self.cell_anchors, feature_maps, strict=True)):
            height, width = feature.shape[-2:]
            stride = self.strides[level] if self.strides else (image_size[0] // height, image_size[1] // width)
            dtype = torch.promote_types(feature.dtype, torch.float32)
            levels.append(grid_anchors(cell.to(feature.device, dtype), (height, width), stride, self.offset))
        return levels


def _positive(values: Sequence[float], name: str) -> Tensor:
    numbers = [float(value) for value in values]
    if not numbers:
        raise ValueError(f"{name} is empty: give at least one number")
    if not all(0 < number < math.inf for number in numbers):
        raise ValueError(f"{name} must be finite numbers above 0, got {tuple(numbers)}")
    return torch.tensor(numbers)
