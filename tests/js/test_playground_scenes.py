"""The playground draws its scenes in the browser: with the same random numbers they are those of `datasets.shapes`."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from node_tools import node

from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.shapes import CLASS_NAMES, SPLITS, ShapesConfig, _Scene
from frcnn_edu.training.loop import evaluate

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SCENES = 100
SIDE = 256
DIFFICULTIES = (0.5,) * 80 + (0.0,) * 10 + (1.0,) * 10


class Recorder:
    """A generator of random numbers that remembers what it gave."""

    def __init__(self, index):
        self.rng = np.random.Generator(np.random.PCG64([0, SPLITS["test"], index]))
        self.numbers, self.grain = [], b""

    def random(self, size=None):
        drawn = self.rng.random(size)
        self.numbers += np.ravel(drawn).tolist()
        return drawn

    def integers(self, low, high, size=None, dtype=np.int64):
        drawn = self.rng.integers(low, high, size, dtype)
        if size is None:
            self.numbers.append(int(drawn))
        else:
            self.grain = drawn.tobytes()
        return drawn


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Images (3, H, W) as Python draws them and as the page does, targets, and the page's shapes."""
    folder = tmp_path_factory.mktemp("scenes")
    python, targets, cases = [], [], []
    for index, difficulty in enumerate(DIFFICULTIES):
        draws = Recorder(index)
        scene = _Scene(ShapesConfig(image_size=SIDE, difficulty=difficulty), draws)
        python.append(torch.from_numpy(scene.finished()))
        boxes = torch.tensor(np.array(scene.boxes, np.float32).reshape(-1, 4))
        targets.append({"boxes": boxes, "labels": torch.tensor(scene.labels, dtype=torch.int64)})
        grain = base64.b64encode(draws.grain).decode()
        cases.append({"difficulty": difficulty, "numbers": draws.numbers, "grain": grain})
    given = {"size": {"width": SIDE, "height": SIDE}, "scenes": cases}
    (folder / "cases.json").write_text(json.dumps(given))
    flags = ("--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",)
    done = node(
        *flags, HERE / "draw_scenes.js", folder / "cases.json", folder / "pixels", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    levels = torch.from_numpy(np.fromfile(folder / "pixels", np.uint8)).view(SCENES, 3, SIDE, SIDE)
    return python, list(levels.float() / 255), targets, json.loads(done.stdout)


def test_the_page_draws_the_same_pixels(scenes):
    python, page, *_ = scenes
    levels = torch.stack([(255 * (a - b)).abs() for a, b in zip(python, page, strict=True)])  # (N, 3, H, W)
    changed = (levels > 0.5).float().mean().item()
    print(f"{changed:.6%} of the values differ, by at most {levels.max():.0f} levels")
    assert changed < 1e-4, "single pixels on the edge of a stripe may differ, no more"


def test_the_page_draws_the_same_shapes(scenes):
    _, _, targets, shapes = scenes
    for target, drawn in zip(targets, shapes, strict=True):
        assert [one["kind"] for one in drawn] == [CLASS_NAMES[label] for label in target["labels"].tolist()]
        if drawn:
            boxes = torch.tensor([one["box"] for one in drawn]).clamp(0, SIDE)
            torch.testing.assert_close(boxes, target["boxes"], atol=1e-3, rtol=0)


def test_the_detector_finds_as_much_in_them(scenes):
    """mAP at IoU 0.5 on the page's scenes and on Python's."""
    python, page, targets, _ = scenes
    model = load_trained()
    maps = []
    for images in (python, page):
        dataset = list(zip(images, targets, strict=True))
        maps.append(evaluate(model, dataset, class_names=CLASS_NAMES, progress=False).map)
    print(f"mAP@0.5 on {SCENES} scenes: {maps[0]:.4f} drawn by Python, {maps[1]:.4f} by the page")
    assert maps[0] > 0.6
    assert abs(maps[0] - maps[1]) <= 0.02
