"""Blood cells: the worked example of lesson 08, and what was measured on it.

BCCD is 364 photographs of blood under a microscope in VOC's layout, under the MIT licence. The course carries a few of
them, in ``data/blood_cells``, and what ``python -m benchmarks.bccd_steps`` wrote: the boxes of two splits, what
detectors reached that learned from them, and what they found. So a lesson can look at all of it without a network;
``python -m frcnn_edu download bccd`` fetches the photographs into ``data/bccd``, to train on.
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
"""What was trained, by name: the whole recipe, and the same with one step taken back."""

SIX_COLUMNS = 6


@dataclass(frozen=True)
class Run:
    """One training, and what it reached on the test split. Times are seconds on one thread of the author's computer."""

    name: str
    """One of `VARIANTS`."""
    seed: int
    map_50: float
    """Mean average precision at IoU 0.5, and at 0.75 in `map_75`."""
    map_75: float
    per_class: dict[str, float]
    """Average precision at IoU 0.5 by class."""
    cpu_seconds: float
    """Of training, as the processor counts them: waiting for others is left out."""
    losses: list[float]
    """The sum of the four losses, step by step."""
    detections: list[list[list[float]]] | None = None
    """Rows x1, y1, x2, y2, label, score for each test photograph; kept for one seed only."""

    def found(self) -> list[dict[str, Tensor]]:
        """The detections as a model returns them. Raises ValueError for a run whose detections were not kept."""
        if self.detections is None:
            raise ValueError(f"the detections of {self.name}, seed {self.seed}, were not kept; ask for another seed")
        tables = [torch.tensor(rows, dtype=torch.float32).reshape(-1, SIX_COLUMNS) for rows in self.detections]
        return [{"boxes": one[:, :4], "labels": one[:, 4].long(), "scores": one[:, 5]} for one in tables]


@dataclass(frozen=True)
class Split:
    """The boxes of a split, without its photographs."""

    names: list[str]
    """The file names of the photographs."""
    sizes: list[list[int]]
    """(width, height) of each."""
    boxes: list[list[list[float]]]
    """Rows x1, y1, x2, y2, label for each photograph."""

    def targets(self) -> list[dict[str, Tensor]]:
        """The boxes as a data set returns them."""
        tables = [torch.tensor(rows, dtype=torch.float32).reshape(-1, 5) for rows in self.boxes]
        return [{"boxes": one[:, :4], "labels": one[:, 4].long()} for one in tables]


@dataclass(frozen=True)
class Measured:
    """Everything in the file: under which conditions, on what, and every run."""

    conditions: dict[str, object]
    class_names: tuple[str, ...]
    splits: dict[str, Split]
    runs: list[Run]

    def of(self, name: str) -> list[Run]:
        """The runs of one variant, by seed."""
        return sorted((run for run in self.runs if run.name == name), key=lambda run: run.seed)

    def run(self, name: str, seed: int = 0) -> Run:
        """One run; raises KeyError where it was not measured."""
        for run in self.of(name):
            if run.seed == seed:
                return run
        raise KeyError(f"there is no run of {name!r} with seed {seed}")


def photograph_names() -> list[str]:
    """The file names of the photographs that ship, all of the test split."""
    return sorted(path.name for path in data_path(FOLDER).glob("*.jpg"))


def photograph(name: str) -> Tensor:
    """One of them: (3, 480, 640) in [0, 1]. Raises FileNotFoundError for one that does not ship."""
    return load_image(data_path(FOLDER) / name)


def mean_and_spread(values: list[float]) -> tuple[float, float]:
    """The mean, and the standard deviation of a sample (NaN for one value alone)."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def load_measured(path: str | Path | None = None) -> Measured:
    """What was measured, from the file that ships with the course or another of its form.

    Raises FileNotFoundError that says where it was looked for.
    """
    path = data_path(FILE) if path is None else Path(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    splits = {name: Split(**split) for name, split in content["splits"].items()}
    runs = [Run(**run) for run in content["runs"]]
    return Measured(content["conditions"], tuple(content["class_names"]), splits, runs)
