"""Pictures in a notebook: without a ground, in an ink that can be read on a light page and on a dark one."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

import frcnn_edu.site
from frcnn_edu.viz import style
from frcnn_edu.viz.palette import MIDTONE
from frcnn_edu.viz.png import with_few_colors

CELLS = (
    "import matplotlib.pyplot as plt\nfrom frcnn_edu import viz\nviz.draw_architecture('rpn');",
    "figure, axes = plt.subplots(figsize=(3, 2))\naxes.plot([1, 2], label='curve')\naxes.legend(title='title');",
    "import torch\nviz.show_image(torch.zeros(3, 64, 64), title='title');",
)
JUPYTERLAB = ("#FFFFFF", "#111111")
"""--jp-layout-color0, the ground of outputs, in JupyterLab's two themes."""


@pytest.fixture(scope="module")
def shown():
    """What a kernel shows of `CELLS`, a picture each."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    return [[one for one in cell.outputs if "image/png" in one.get("data", {})] for cell in notebook.cells]


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def page_grounds() -> list[str]:
    sheet = (Path(frcnn_edu.site.__file__).parent / "assets" / "frame.css").read_text(encoding="utf-8")
    return [color for pair in re.findall(r"--card: light-dark\((.*?), (.*?)\)", sheet) for color in pair]


def test_the_ink_can_be_read_on_every_ground_that_a_page_has():
    grounds = [*JUPYTERLAB, *page_grounds()]
    assert len(grounds) == 4
    assert {ground: round(contrast(MIDTONE, ground), 1) for ground in grounds if contrast(MIDTONE, ground) < 4} == {}


def test_a_picture_has_no_ground_and_asks_for_none(shown):
    for (output,) in shown:
        assert output.metadata == {}, "JupyterLab would paint a ground under it"
        alpha = np.array(Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).getchannel("A"))
        assert alpha[0, 0] == 0
        assert alpha.max() == 255


def test_nothing_of_a_curve_is_nearly_white_or_nearly_black(shown):
    """Text and lines must stand out from both; (without a photograph and the sketches of the map)."""
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(shown[1][0].data["image/png"]))))
    solid = pixels[pixels[..., 3] == 255][:, :3]
    assert len(solid)
    assert solid.max(axis=1).min() > 90
    assert solid.min(axis=1).max() < 165


def test_files_of_commands_stay_black_on_white(monkeypatch):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    monkeypatch.setattr(style, "use_notebook_style", style.use_notebook_style.__wrapped__)
    style.use_notebook_style()
    assert dict(mpl.rcParams) == before
    assert style.ink() == "black"


@pytest.mark.parametrize("opaque", [True, False])
def test_few_colours_keep_what_is_seen_through(opaque):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[:20, :, 3] *= opaque
    few = Image.open(io.BytesIO(with_few_colors(Image.fromarray(pixels))))
    assert few.mode == "P"
    alpha = np.array(few.convert("RGBA"))[..., 3]
    assert (alpha[:20] == 255 * opaque).all()
    assert (alpha[20:] == 255).all()
