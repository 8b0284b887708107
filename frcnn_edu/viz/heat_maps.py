"""Heat maps: a value per cell of a feature map, laid over the image that it was computed from.

Cells are drawn as squares and not smoothed: how coarse the map is, is what the lessons are about. The colours are
the palette's.
"""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from torch import Tensor

from frcnn_edu.viz.axes import show_image
from frcnn_edu.viz.palette import COLOR_MAP


def draw_heat_map(
    image: Tensor,
    heat: Tensor,
    stride: float | None = None,
    limits: tuple[float, float] | None = None,
    label: str | None = None,
    alpha: float = 0.65,
    offset: float = 0.5,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Lay `heat`, (h, w), over an image, (3, H, W) in [0, 1], with a colour bar called `label`.

    A cell covers `stride` pixels; without it the map is stretched over the image. `offset` is the centre of cell
    (0, 0) in cells, as in `grid_anchors`: at 0.5 the cell begins in the image's corner, at 0 it is centred there.
    `limits` are the values of the darkest and the brightest colour, by default the map's extremes. NaN is transparent.
    Raises TypeError or ValueError for an invalid image, heat map or number.
    """
    _check_heat_map(heat)
    if limits is not None and not limits[0] < limits[1]:
        raise ValueError(f"limits must be (low, high) with low < high, got {limits}")
    if stride is not None and not stride > 0:
        raise ValueError(f"stride must be above 0 pixels, got {stride}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    ax = show_image(image, ax, title)
    height, width = image.shape[-2:]
    rows, columns = heat.shape
    cell_width, cell_height = (width / columns, height / rows) if stride is None else (stride, stride)
    left, top = (offset - 0.5) * cell_width, (offset - 0.5) * cell_height
    low, high = limits or (None, None)
    values = heat.detach().cpu().float().numpy()  # (h, w)
    if offset < 0.5:  # what lies beyond the last centres is nearest to the last cells
        values = np.pad(values, ((0, 1), (0, 1)), mode="edge")
        rows, columns = values.shape
    extent = (left, left + columns * cell_width, top + rows * cell_height, top)
    colors = mpl.colormaps[COLOR_MAP]
    overlay = ax.imshow(values, colors, alpha=alpha, vmin=low, vmax=high, extent=extent, interpolation="nearest")
    ax.set(xlim=(0, width), ylim=(height, 0))
    opaque = ScalarMappable(overlay.norm, colors)  # no photograph lies under the bar
    ax.figure.colorbar(opaque, ax=ax, label=label, shrink=0.8, pad=0.02)
    return ax


def _check_heat_map(heat: Tensor) -> None:
    if not isinstance(heat, Tensor):
        raise TypeError(f"heat must be a tensor (h, w), got {type(heat).__name__}")
    if heat.ndim != 2 or heat.numel() == 0:
        raise ValueError(
            f"heat must be one map (h, w), got {tuple(heat.shape)}; choose a channel, or take the maximum over anchors"
        )
    if heat.isnan().all() or heat.isinf().any():
        raise ValueError("heat contains infinity or only NaN; if a network computed it, its training has diverged")
