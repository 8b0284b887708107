"""Pictures as small PNG files: of few colours, and transparent where they were."""

import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_png(figure: "Figure") -> bytes:
    """The figure as a PNG of at most 256 colours, cut to what is drawn."""
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return with_few_colors(Image.open(file))


def with_few_colors(picture: Image.Image) -> bytes:
    """The picture as a PNG of at most 256 colours."""
    rgba = picture.convert("RGBA")
    lowest, _ = rgba.getchannel("A").getextrema()
    few = rgba.convert("RGB").quantize() if lowest == 255 else rgba.quantize(method=Image.Quantize.FASTOCTREE)
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    return file.getvalue()
