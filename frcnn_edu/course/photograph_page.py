"""The upload page and its detector: `make page` serves it, lesson 08 shows it."""

from html import escape

import ipywidgets
from torch import nn

from frcnn_edu.course.blood_cell_detector import load_blood_cell_detector
from frcnn_edu.explorers.lesson_08_real_images import UploadPage
from frcnn_edu.faster_rcnn import fasterrcnn_resnet50_fpn
from frcnn_edu.pretrained import DETECTOR, WeightsError, coco_class_names, require_cached
from frcnn_edu.training.checkpoints import CheckpointError
from frcnn_edu.training.export import load_detector


def open_page(weights: str | None = None) -> ipywidgets.Widget:
    """The page, with the detector in the folder `weights` and a sentence about its classes.

    Without a folder it is torchvision's for COCO if its weights are cached, else the course's, for blood cells. If the
    folder cannot be loaded, the page is the error message.
    """
    try:
        model, names, about = _detector(weights)
    except (CheckpointError, OSError, ImportError) as error:
        return ipywidgets.HTML(f"<p>{escape(str(error))}</p>")
    return ipywidgets.VBox([ipywidgets.HTML(f"<p>{escape(about)}</p>"), UploadPage(model, names)])


def _detector(weights: str | None) -> tuple[nn.Module, tuple[str, ...], str]:
    if weights:
        model, card = load_detector(weights)
        return model, card.class_names, f"The detector in {weights} knows {', '.join(card.class_names[1:])}."
    try:
        require_cached(DETECTOR, "COCO_V1")
        model = fasterrcnn_resnet50_fpn(weights="COCO_V1")
    except WeightsError as error:
        model, card = load_blood_cell_detector()
        known = ", ".join(card.class_names[1:])
        about = f"{error} The course's own detector answers; it knows only blood under a microscope: {known}."
        return model, card.class_names, about
    return model, coco_class_names(), "It knows the 80 classes of COCO: people, animals, cars, cups …"
