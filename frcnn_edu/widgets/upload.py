"""The page of lesson 08 that takes a photograph and shows what a detector finds on it.

People choose all kinds of files: every one gets a picture or a sentence, and none ends the page. Files are read where
all pictures of the course are read, in `datasets.images`; nothing is kept, and nothing leaves the computer that the
kernel runs on.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import ipywidgets
import torch
from PIL import Image

from ..datasets.images import ImageError, image_tensor, read_rgb
from ..faster_rcnn import FasterRCNN
from ..viz import detections_figure

LONGEST_SIDE = 1280
"""Pixels: larger photographs are scaled down first, for a page shows no more."""

MOST_BYTES = 64 * 2**20
SHORTEST_SIDE = 16


@dataclass(frozen=True)
class Answer:
    """What the page says of one file."""

    sentence: str
    picture: bytes | None = None
    """A PNG; None for a file that is no picture."""


def answer(name: str, content: bytes, model: FasterRCNN, class_names: Sequence[str], score: float = 0.5) -> Answer:
    """What `model` finds in a file of this name and content, drawn; or why there is nothing to draw."""
    if len(content) == 0:
        return Answer(f"{name} is empty (0 bytes); copy it again")
    if len(content) > MOST_BYTES:
        return Answer(f"{name} has {len(content) / 2**20:.0f} MB, more than {MOST_BYTES // 2**20}; scale it down first")
    file = io.BytesIO(content)
    file.name = name
    try:
        photo = read_rgb(file)
        photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        image = image_tensor(photo)  # (3, H, W)
    except ImageError as error:
        return Answer(str(error))
    except Exception as error:  # a damaged file makes decoders raise nearly anything, and the page must go on
        return Answer(f"{name} cannot be read: {error!r}; save it as PNG or JPEG")
    if min(photo.size) < SHORTEST_SIDE:
        return Answer(f"{name} is a strip of {photo.width} x {photo.height} pixels: there is nothing to see")
    return _found(name, image, model, class_names, score)


@torch.no_grad()
def _found(name: str, image: torch.Tensor, model: FasterRCNN, class_names: Sequence[str], score: float) -> Answer:
    (found,) = model.eval()([image.to(next(model.parameters()).device)])
    boxes, labels, scores = (found[key][found["scores"] >= score].cpu() for key in ("boxes", "labels", "scores"))
    names = [class_names[label] for label in labels.tolist()]
    file = io.BytesIO()
    detections_figure(image, boxes, names, scores).savefig(file, format="png")
    listed = f"{len(names)} found: {', '.join(names)}" if names else "nothing found"
    return Answer(f"{name}: {listed}", file.getvalue())


class UploadPage(ipywidgets.VBox):
    """A button to choose photographs with, and below it what `model` finds on each, the latest first.

    `class_names[label]` names a label; detections below `score` are not shown.
    """

    def __init__(self, model: FasterRCNN, class_names: Sequence[str], score: float = 0.5) -> None:
        self.model, self.class_names, self.score = model, tuple(class_names), score
        self.button = ipywidgets.FileUpload(multiple=True, description="Choose photographs", layout={"width": "220px"})
        self.state = ipywidgets.HTML("JPEG, PNG, WebP, TIFF, GIF, BMP …")
        self.answers = ipywidgets.VBox()
        super().__init__([ipywidgets.HBox([self.button, self.state]), self.answers])
        self.button.observe(self._take, "value")

    def show(self, name: str, content: bytes) -> Answer:
        """Answer for one file, and put the answer on top of the others."""
        said = answer(name, content, self.model, self.class_names, self.score)
        parts = [ipywidgets.HTML(f"<p>{escape(said.sentence)}</p>")]
        if said.picture is not None:
            parts.append(ipywidgets.Image(value=said.picture, format="png", layout={"max_width": "100%"}))
        self.answers.children = (ipywidgets.VBox(parts), *self.answers.children)
        return said

    def _take(self, change: dict) -> None:
        files = change["new"]
        for number, file in enumerate(files, 1):
            self.state.value = f"looking at {number} of {len(files)} …"
            self.show(file["name"], bytes(file["content"]))
        self.state.value = f"{len(files)} looked at"

    def __repr__(self) -> str:
        return f"UploadPage({len(self.answers.children)} files looked at; the button needs a running kernel)"
