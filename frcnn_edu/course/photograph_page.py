"""The page on which one drops photographs, and the detector behind it: `make page` serves it, lesson 08 shows it."""

from html import escape

import ipywidgets

from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.explorers.lesson_08_real_images import UploadPage
from frcnn_edu.faster_rcnn import FasterRCNN, fasterrcnn_resnet50_fpn
from frcnn_edu.pretrained import DETECTOR, WeightsError, coco_class_names, require_cached
from frcnn_edu.training.checkpoints import CheckpointError, load_model


def open_page(weights: str | None = None) -> ipywidgets.Widget:
    """The page with the detector of the run in the folder `weights`, and a sentence on what it knows.

    Without a folder it is COCO's if torchvision's cache has its weights, and the small one of the course if not. Where
    the folder holds no detector, the page is the sentence that says why.
    """
    try:
        model, names, about = _detector(weights)
    except (CheckpointError, OSError) as error:
        return ipywidgets.HTML(f"<p>{escape(str(error))}</p>")
    return ipywidgets.VBox([ipywidgets.HTML(f"<p>{escape(about)}</p>"), UploadPage(model, names)])


def _detector(weights: str | None) -> tuple[FasterRCNN, tuple[str, ...], str]:
    if weights:
        model, card = load_model(weights)
        return model, card.class_names, f"It finds what it learned in {weights}: {', '.join(card.class_names[1:])}."
    try:
        require_cached(DETECTOR, "COCO_V1")
        model = fasterrcnn_resnet50_fpn(weights="COCO_V1")
    except WeightsError as error:
        names = Shapes(1).class_names
        about = f"{error} The course's own detector stands in and finds drawn shapes alone: {', '.join(names[1:])}."
        return load_trained(), names, about
    return model, coco_class_names(), "It finds the 80 kinds of things that COCO has: people, animals, cars, cups …"
