"""The page of lesson 08 that takes a photograph and shows what a detector finds on it.

People choose all kinds of files: every one gets a picture or a sentence, and none ends the page. Files are read where
all pictures of the course are read, in `datasets.images`; nothing is kept after the page is closed, and nothing leaves
the computer that the kernel runs on.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import anywidget
import ipywidgets
import torch
import traitlets
from PIL import Image
from torch import nn

from frcnn_edu.datasets.image_files import ImageError, image_tensor, read_rgb
from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.viz import detections_figure

HERE = Path(__file__).parent

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


def answer(name: str, content: bytes, model: nn.Module, class_names: Sequence[str], score: float = 0.5) -> Answer:
    """What `model` finds in a file of this name and content, drawn; or why there is nothing to draw."""
    if len(content) == 0:
        return Answer(f"{name} is empty (0 bytes); copy it again")
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
    try:
        return _found(name, image, model, class_names, score)
    except Exception as error:  # out of memory, say: the page must go on, and the next photograph may be smaller
        reason = " ".join(str(error).split()) or type(error).__name__
        return Answer(f"{name} was read, but the detector failed on it: {reason}; try a smaller photograph")


@torch.no_grad()
def _found(name: str, image: torch.Tensor, model: nn.Module, class_names: Sequence[str], score: float) -> Answer:
    (found,) = model.eval()([image.to(next(model.parameters()).device)])
    boxes, labels, scores = (found[key][found["scores"] >= score].cpu() for key in ("boxes", "labels", "scores"))
    names = [class_names[label] for label in labels.tolist()]
    file = io.BytesIO()
    detections_figure(image, boxes, names, scores).savefig(file, format="png")
    listed = f"{len(names)} found: {', '.join(names)}" if names else "nothing found"
    return Answer(f"{name}: {listed}", file.getvalue())


class FileDrop(anywidget.AnyWidget):
    """A place of the page to drop files on, with a button to choose them.

    Calls `on_file(name, content)` for each, or `on_failure(name, why)` for a folder, and for a file of more than
    `most_bytes`, which stays where it is. Other than with ipywidgets' FileUpload a file comes in slices: a server ends
    the connection over a message above 10 MB.
    """

    _esm = bundle(HERE / "upload.js")
    _css = styles(HERE / "upload.css")

    state = traitlets.Unicode("").tag(sync=True)
    """What the page says of the files on their way."""

    most_bytes = traitlets.Int(MOST_BYTES).tag(sync=True)

    def __init__(self, on_file: Callable[[str, bytes], object], on_failure: Callable[[str, str], object]) -> None:
        super().__init__()
        self.on_file, self.on_failure = on_file, on_failure
        self._arriving: dict[str, bytearray] = {}
        self.on_msg(self._receive)

    def _receive(self, widget: "FileDrop", message: dict, buffers: list[memoryview]) -> None:
        """Take a slice of a file; with the last one it is whole."""
        name, size = message["name"], message["size"]
        content = self._arriving.pop(message["id"], bytearray())
        for piece in buffers:
            content += piece
        self.state = f"looking at {name}, {message['number']} of {message['count']} …"
        if message.get("unreadable"):
            self.on_failure(name, f"{name} is a folder, or has gone: drop the photographs themselves")
        elif size > self.most_bytes:
            limit = self.most_bytes / 2**20
            self.on_failure(name, f"{name} has {size / 2**20:.0f} MB, more than {limit:.0f}; scale it down first")
        elif len(content) < size:
            self._arriving[message["id"]] = content
            return
        else:
            self.on_file(name, bytes(content))
        if message["number"] == message["count"]:
            self.state = f"{message['count']} looked at"


class UploadPage(ipywidgets.VBox):
    """A place to drop photographs on, and below it what `model` finds on each, the latest first.

    `class_names[label]` names a label; detections below `score` are not shown.
    """

    def __init__(self, model: nn.Module, class_names: Sequence[str], score: float = 0.5) -> None:
        self.model, self.class_names, self.score = model, tuple(class_names), score
        self.drop = FileDrop(self.show, lambda name, why: self._put(Answer(why)))
        self.answers = ipywidgets.VBox()
        super().__init__([self.drop, self.answers])

    def show(self, name: str, content: bytes) -> Answer:
        """Answer for one file, and put the answer on top of the others."""
        return self._put(answer(name, content, self.model, self.class_names, self.score))

    def _put(self, said: Answer) -> Answer:
        parts = [ipywidgets.HTML(f"<p>{escape(said.sentence)}</p>")]
        if said.picture is not None:
            layout = {"max_width": "100%", "align_self": "flex-start"}  # or a box stretches what is small
            parts.append(ipywidgets.Image(value=said.picture, format="png", layout=layout))
        self.answers.children = (ipywidgets.VBox(parts), *self.answers.children)
        return said

    def __repr__(self) -> str:
        return f"UploadPage({len(self.answers.children)} files looked at; it takes files where a kernel runs)"
