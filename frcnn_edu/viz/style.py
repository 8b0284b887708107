"""How matplotlib draws in a notebook: on no ground, in an ink that can be read on a light and on a dark page.

The page's theme may change after a picture has been made, so that one picture has to serve both. What commands write
into files stays black on white.
"""

import sys
from functools import cache
from typing import Any

import matplotlib as mpl

from frcnn_edu.viz.palette import MIDTONE

INKED = (
    "text.color",
    "axes.edgecolor",
    "axes.labelcolor",
    "xtick.color",
    "ytick.color",
    "grid.color",
    "legend.edgecolor",
    "hatch.color",
)
STYLE: dict[Any, str] = dict.fromkeys(INKED, MIDTONE) | {"axes.facecolor": "none", "savefig.facecolor": "none"}


def ink() -> str:
    """The colour of text and axes in pictures as they are drawn now."""
    return mpl.rcParams["text.color"]


@cache
def use_notebook_style() -> None:
    """Draw for light and dark pages from now on, where this is the kernel of a notebook; else change nothing."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        return
    from matplotlib_inline.backend_inline import set_matplotlib_formats
    from matplotlib_inline.config import InlineBackend

    mpl.rcParams.update(STYLE)
    # The figures keep their white ground and lose it as they are shown: for a figure without one, IPython would ask
    # JupyterLab for a white or a black ground, by the lightness of its ticks.
    inline = InlineBackend.instance(parent=shell)
    inline.print_figure_kwargs = inline.print_figure_kwargs | {"facecolor": "none"}
    set_matplotlib_formats(*inline.figure_formats, **inline.print_figure_kwargs)
