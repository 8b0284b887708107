"""Blood cells: the example of lesson 08, with the results of its ablation.

BCCD is 364 microscope images of blood in VOC's layout, under the MIT licence. The course ships a few of them in
``data/blood_cells``, and the file that ``python -m benchmarks.bccd_steps`` wrote: the boxes of two splits, and the
precision and the detections of the detectors trained on them. So the lesson needs no connection;
``python -m frcnn_edu download bccd`` fetches all images into ``data/bccd`` for training.
"""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.image_files import load_image

FILE = "bccd_steps.json"
FOLDER = "blood_cells"
VARIANTS = {
    "full": "all three",
    "roi_pool": "RoIPool instead of RoIAlign",
    "one_level": "one map of stride 16 instead of the pyramid",
    "random": "random weights instead of pretrained",
}
"""What was trained, by name: the full recipe, and the recipe without one of its parts."""


@dataclass(frozen=True)
class Run:
    """One training run and its results on the test split."""

    name: str
    """One of `VARIANTS`."""
    seed: int
    map_50: float
    """Mean average precision at IoU 0.5; `map_75` at 0.75."""
    map_75: float
    per_class: dict[str, float]
    """Average precision at IoU 0.5 by class."""
    cpu_seconds: float
    """Processor time of the training, on one thread."""
    losses: list[float]
    """The sum of the four losses at every step."""
    detections: list[list[list[float]]] | None = None
    """Rows x1, y1, x2, y2, label, score for each test image; kept for one seed only."""

    def found(self) -> list[dict[str, Tensor]]:
        """The detections as a model returns them. Raises ValueError if they were not kept."""
        if self.detections is None:
            raise ValueError(f"the detections of {self.name!r} with seed {self.seed} were not kept; use another seed")
        tables = [torch.tensor(rows, dtype=torch.float32).reshape(-1, 6) for rows in self.detections]
        return [{"boxes": one[:, :4], "labels": one[:, 4].long(), "scores": one[:, 5]} for one in tables]


@dataclass(frozen=True)
class Split:
    """The boxes of a split, without its images."""

    names: list[str]
    """The file names of the images."""
    sizes: list[list[int]]
    """(width, height) of each."""
    boxes: list[list[list[float]]]
    """Rows x1, y1, x2, y2, label for each image."""

    def targets(self) -> list[dict[str, Tensor]]:
        """The boxes as a data set returns them."""
        tables = [torch.tensor(rows, dtype=torch.float32).reshape(-1, 5) for rows in self.boxes]
        return [{"boxes": one[:, :4], "labels": one[:, 4].long()} for one in tables]


@dataclass(frozen=True)
class Ablation:
    """The content of the file: conditions, classes, boxes of both splits, and every run."""

    conditions: dict[str, object]
    class_names: tuple[str, ...]
    splits: dict[str, Split]
    runs: list[Run]

    def of(self, name: str) -> list[Run]:
        """The runs of one variant, ordered by seed."""
        return sorted((run for run in self.runs if run.name == name), key=lambda run: run.seed)

    def run(self, name: str, seed: int = 0) -> Run:
        """One run. Raises KeyError if there is none."""
        for run in self.of(name):
            if run.seed == seed:
                return run
        raise KeyError(f"there is no run of {name!r} with seed {seed}")


def photograph_names() -> list[str]:
    """The file names of the images that ship, all from the test split."""
    return sorted(path.name for path in data_path(FOLDER).glob("*.jpg"))


def photograph(name: str) -> Tensor:
    """One of these images: (3, 480, 640) in [0, 1]. Raises FileNotFoundError for any other name."""
    return load_image(data_path(FOLDER) / name)


def mean_and_spread(values: list[float]) -> tuple[float, float]:
    """The mean and the sample standard deviation, which is NaN for a single value."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def load_ablation(path: str | Path | None = None) -> Ablation:
    """Load the file that ships with the course, or another of the same format.

    Raises FileNotFoundError that names the path.
    """
    path = data_path(FILE) if path is None else Path(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    splits = {name: Split(**split) for name, split in content["splits"].items()}
    runs = [Run(**run) for run in content["runs"]]
    return Ablation(content["conditions"], tuple(content["class_names"]), splits, runs)
