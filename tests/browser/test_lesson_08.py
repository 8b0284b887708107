"""Lesson 08 in a real JupyterLab: the explorers on a pyramid's trace, with weights from a cache, and the upload page.

The cells are the lesson's own, up to the last explorer, and those of the page. The weights are drawn at random and lie
in a cache of the test's own under the name that torchvision gives COCO's, so that the lesson takes the way that it
takes for those: it neither asks the network nor falls back on the small detector. Pictures are made smaller, for time.
"""

import io

import pytest
import torch
import torchvision
from jupyterlab_driver import NOTEBOOK
from lesson_driver import assert_it_has_drawn, control, explorer, pixels
from lesson_files import NOTEBOOKS, cells_called
from PIL import Image

from frcnn_edu.pretrained import DETECTOR, weights_of

pytestmark = pytest.mark.browser

LESSON = NOTEBOOKS / "08_real_images.ipynb"
EXPLORERS = ("labels", "heads")
"""The lesson's explorers by their names in its kernel, in the order of the page."""

OPEN_THEM = ("label", "heads")
"""The cells that open them."""

IMPORTS = """\
from frcnn_edu.explorers.lesson_01_anchors import (
    GridExplorer, OddShapeExplorer, RatioExplorer, SharedExplorer, UsefulExplorer
)
from frcnn_edu.explorers.lesson_02_iou_labeling import IoUExplorer
from frcnn_edu.explorers.lesson_03_rpn_and_loss import LossExplorer, ObjectnessExplorer
from frcnn_edu.explorers.lesson_04_box_regression import DeltaExplorer, PullExplorer, trained_pulls
from frcnn_edu.explorers.lesson_05_proposals import NmsExplorer, StepsExplorer
from frcnn_edu.explorers.lesson_06_roi_pooling import GradientExplorer, PoolingExplorer
from frcnn_edu.explorers.lesson_07_full_model import BiographyExplorer
"""
OTHERS = {
    "grid": "GridExplorer(view.image, view.boxes, sizes=generator.sizes[level], stride=view.stride)",
    "objectness": "ObjectnessExplorer(view.image, view.boxes, {0: view.trace.rpn})",
    "loss": "LossExplorer(view.image, view.boxes, {0: view.trace.rpn})",
    "pull": "PullExplorer(image, boxes, trained_pulls(trace, boxes), snapshot=1)",
    "steps": "StepsExplorer(image, view.trace, boxes)",
    "pool": "PoolingExplorer(view.image, view.feature_map, view.boxes[0], stride=view.stride)",
    "bend": "RatioExplorer(view.image, view.boxes)",
    "odd": "OddShapeExplorer(view.image, view.boxes[:1])",
    "useful": "UsefulExplorer(view.image, view.boxes)",
    "shared": "SharedExplorer(view.image, view.boxes)",
    "pair": "IoUExplorer(view.image, view.trace.rpn.anchors[:2])",
    "hand": "DeltaExplorer(view.image, view.trace.rpn.anchors[0], view.boxes[0])",
    "suppression": "NmsExplorer(image, *(found[key][:40] for key in ('boxes', 'scores')))",
    "gradient": "GradientExplorer(view.image, view.feature_map, view.boxes[0], stride=view.stride)",
    "lives": "BiographyExplorer(image, trace, target, names, least_score=0.0)",
}
"""Explorers of the other lessons that the lesson leaves out: they open on this trace, too."""

CELLS = ("map", "weights", "photo", "levels", *OPEN_THEM, "page")
AS_WRITTEN, SMALLER = 'weights="COCO_V1")', 'weights="COCO_V1", min_size=320, max_size=480)'


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A TORCH_HOME that holds random weights under the name of COCO's."""
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    drawn = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    torch.save(drawn.state_dict(), folder / weights_of(DETECTOR, "COCO_V1").url.rsplit("/", 1)[-1])
    return home


@pytest.fixture(scope="module")
def lesson(open_lesson, cache):
    found = {cell["id"]: cell for cell in cells_called(LESSON, CELLS)}
    assert AS_WRITTEN in found["weights"]["source"]
    found["weights"]["source"] = found["weights"]["source"].replace(AS_WRITTEN, SMALLER)
    setting = f"import os, torch\nos.environ['TORCH_HOME'] = {str(cache)!r}\ntorch.manual_seed(0);\n"
    found["map"]["source"] = setting + found["map"]["source"]
    sources = [IMPORTS, *(f"{name} = {made}\n{name}" for name, made in OTHERS.items())]
    others = [{**found["map"], "id": f"other-{number}", "source": source} for number, source in enumerate(sources)]
    return open_lesson([*found.values(), *others])


def test_the_weights_came_from_the_cache(lesson):
    assert lesson.evaluate("type(detector.backbone).__name__, len(names), len(trace.features)") == ("Pyramid", 91, 5)
    assert lesson.evaluate("[one.stride for one in (view_level(trace, detector.config, n) for n in range(5))]") == [
        4,
        8,
        16,
        32,
        64,
    ]


@pytest.mark.parametrize("name", [*EXPLORERS, *OTHERS])
def test_every_explorer_is_there_and_has_drawn(lesson, name):
    assert_it_has_drawn(explorer(lesson, name))


def test_the_steps_of_the_level_are_walked_through_by_slider(lesson):
    found = explorer(lesson, "steps")
    before = pixels(found)
    moved = found.locator("input[type=range]").first
    moved.focus()
    here = lesson.evaluate("steps.step")
    lesson.page.keyboard.press("ArrowRight" if here == 0 else "ArrowLeft")
    lesson.wait_until(f"steps.step != {here}")
    lesson.settle()
    assert pixels(found) != before


def test_an_anchor_goes_back_to_where_it_stood(lesson):
    found = explorer(lesson, "pull")
    before = pixels(found)
    control(found, "Training step").focus()
    lesson.page.keyboard.press("ArrowLeft")
    lesson.wait_until("pull.snapshot == 0")
    lesson.settle()
    assert pixels(found) != before
    assert lesson.evaluate("bool((pull.moved == pull._found.anchors).all())")


def test_the_page_answers_a_photograph_and_a_text_that_is_called_one(lesson):
    photo = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(photo, "PNG")
    lesson.page.evaluate(f"{NOTEBOOK}.content.scrollToItem({CELLS.index('page')}, 'start')")
    found = lesson.page.locator(f'[data-windowed-list-index="{CELLS.index("page")}"]')
    chosen = [
        {"name": "drawn by hand.png", "mimeType": "image/png", "buffer": photo.getvalue()},
        {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"only text in here"},
    ]
    with lesson.page.expect_file_chooser() as chooser:
        found.get_by_role("button", name="Choose photographs").focus()
        lesson.page.keyboard.press("Enter")
    chooser.value.set_files(chosen)
    lesson.wait_until("len(page.answers.children) == 2")
    found.get_by_text("notes.jpg is not an image that Pillow can read").wait_for()
    found.get_by_text("drawn by hand.png:").wait_for()
    shown = found.locator(".widget-image, img.jupyter-widgets").first
    shown.wait_for()
    lesson.page.wait_for_function("image => image.naturalWidth > 0", arg=shown.element_handle())
