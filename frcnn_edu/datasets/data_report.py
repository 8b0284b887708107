"""Data report: the boxes of a data set in numbers, before anybody trains on it.

How many objects there are of each class, how large they are and of which shape *as the network will see them* (it
resizes every image), how well the anchors fit them, and which anchors would fit better.

Shapes are compared by the IoU of two boxes with the same centre, an upper bound for the anchors of a grid.
`fit_anchors` finds K shapes by k-means with 1 - IoU as the distance, as YOLOv2 did (section 2, "Dimension Clusters");
Euclidean distance would be dominated by large boxes.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from frcnn_edu.anchors import PAPER_ASPECT_RATIOS, PAPER_SIZES, base_anchors
from frcnn_edu.config import Config
from frcnn_edu.datasets.folder import FolderDataset

MOST_ROUNDS = 100
GOOD, FAIR = 0.7, 0.5
"""The IoU at which an anchor is positive, and the one at which a detection counts as correct."""


@dataclass(frozen=True)
class DataReport:
    """N boxes on I images, without the pixels."""

    class_names: tuple[str, ...]
    """The background comes first."""
    image_sizes: Tensor
    """(I, 2): width and height in pixels of the file."""
    image_index: Tensor
    """(N,) int64: the image that each box is on."""
    labels: Tensor
    """(N,) int64."""
    shapes: Tensor
    """(N, 2): width and height of each box, in pixels of the file."""

    @property
    def per_class(self) -> dict[str, int]:
        """How many boxes each class has, classes without any included."""
        counts = Counter(self.labels.tolist())
        return {name: counts[label] for label, name in enumerate(self.class_names) if label}

    @property
    def per_image(self) -> list[int]:
        """How many boxes each image has."""
        return torch.bincount(self.image_index, minlength=len(self.image_sizes)).tolist()

    @property
    def sizes(self) -> Tensor:
        """The side of the square of the same area: (N,)."""
        return self.shapes.prod(dim=1).sqrt()

    @property
    def ratios(self) -> Tensor:
        """Height over width: (N,)."""
        return self.shapes[:, 1] / self.shapes[:, 0]

    def resized(self, config: Config) -> "DataReport":
        """The same report in pixels of the images after a model of this `config` has resized them."""
        shorter, longer = self.image_sizes.amin(dim=1), self.image_sizes.amax(dim=1)  # (I,)
        scale = torch.minimum(config.min_sizes[-1] / shorter, config.max_size / longer)  # (I,)
        shapes = self.shapes * scale[self.image_index, None]
        return DataReport(self.class_names, self.image_sizes * scale[:, None], self.image_index, self.labels, shapes)

    def __str__(self) -> str:
        images, boxes = len(self.image_sizes), len(self.labels)
        wide, high = (sorted({int(size) for size in column}) for column in self.image_sizes.T.tolist())
        lines = [f"{images} images of {_range(wide)} x {_range(high)} pixels, {boxes} boxes"]
        if boxes:
            a_picture = statistics.median(self.per_image)
            lines.append(f"boxes an image: {min(self.per_image)} to {max(self.per_image)}, median {a_picture:g}")
            lines += [f"  {name}: {count}" for name, count in self.per_class.items()]
            for name, values in (("size", self.sizes), ("height / width", self.ratios)):
                low, middle, high = values.quantile(values.new_tensor([0.05, 0.5, 0.95])).tolist()
                lines.append(f"{name}: {low:.3g} to {high:.3g} (nine boxes in ten), median {middle:.3g}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Coverage:
    """How well the shapes of anchors fit boxes."""

    best: Tensor
    """(N,): the IoU of each box with the anchor of the best shape, centred on it."""

    @property
    def mean(self) -> float:
        """The mean over all boxes; NaN without any."""
        return self.best.mean().item()

    def share(self, iou: float) -> float:
        """The share of boxes with an anchor of at least this IoU."""
        return (self.best >= iou).float().mean().item()

    def __str__(self) -> str:
        return (
            f"mean best IoU {self.mean:.2f}; {self.share(FAIR):.0%} reach {FAIR}, {self.share(GOOD):.0%} reach {GOOD}"
        )


class _Named(Protocol):
    """A data set of (image, target) pairs that knows the names of its classes."""

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]: ...


def examine(dataset: _Named, class_names: Sequence[str] | None = None) -> DataReport:
    """The report on a data set of (image, target) pairs; every image is loaded, unless the data set knows its sizes.

    Class names are `dataset.class_names`, if not given. Raises ValueError for a data set without images.
    """
    names = dataset.class_names if class_names is None else class_names
    if isinstance(dataset, FolderDataset):
        return examine_targets(dataset.targets(), dataset.sizes(), names)
    sizes, targets = [], []
    for index in range(len(dataset)):
        image, target = dataset[index]
        sizes.append((image.shape[2], image.shape[1]))
        targets.append(target)
    return examine_targets(targets, sizes, names)


def examine_targets(
    targets: Sequence[Mapping[str, Tensor]], image_sizes: Sequence[tuple[int, int]], class_names: Sequence[str]
) -> DataReport:
    """The report on targets, ``boxes`` (N, 4) and ``labels`` (N,), and the (width, height) of their images.

    Raises ValueError where targets and sizes differ in number, or there are none.
    """
    if len(targets) != len(image_sizes) or len(targets) == 0:
        raise ValueError(f"one target for each image is needed, got {len(targets)} for {len(image_sizes)} images")
    boxes = torch.cat([target["boxes"] for target in targets]).float()  # (N, 4)
    labels = torch.cat([target["labels"] for target in targets])  # (N,)
    sizes = boxes.new_tensor([list(size) for size in image_sizes])  # (I, 2)
    counts = labels.new_tensor([len(target["boxes"]) for target in targets], dtype=torch.int64)  # (I,)
    index = torch.arange(len(targets), device=boxes.device).repeat_interleave(counts)  # (N,)
    return DataReport(tuple(class_names), sizes, index, labels, boxes[:, 2:] - boxes[:, :2])


def shape_iou(shapes: Tensor, others: Tensor) -> Tensor:
    """IoU of boxes with the same centre, by width and height alone: (N, 2), (K, 2) -> (N, K)."""
    shared = torch.minimum(shapes[:, None], others[None]).prod(dim=2)  # (N, K)
    return shared / (shapes.prod(dim=1)[:, None] + others.prod(dim=1)[None] - shared)


def anchor_shapes(sizes: Sequence[float] = PAPER_SIZES, ratios: Sequence[float] = PAPER_ASPECT_RATIOS) -> Tensor:
    """Width and height of the anchors of every size and ratio, by default the paper's nine: (R * S, 2)."""
    anchors = base_anchors(sizes, ratios)
    return anchors[:, 2:] - anchors[:, :2]


def coverage(shapes: Tensor, anchors: Tensor) -> Coverage:
    """How well anchors of these shapes, (K, 2), fit boxes of these shapes, (N, 2)."""
    return Coverage(shape_iou(shapes, anchors).amax(dim=1))


def fit_anchors(shapes: Tensor, count: int, seed: int = 0) -> Tensor:
    """Shapes of `count` anchors that fit boxes of these shapes, by k-means on 1 - IoU: (N, 2) -> (count, 2), by area.

    Each round assigns every box to the anchor of highest IoU and moves each anchor to the median of its boxes, until no
    assignment changes. Raises ValueError for fewer distinct shapes than anchors. Source: YOLO9000, section 2.
    """
    different = shapes.unique(dim=0)
    if not 1 <= count <= len(different):
        raise ValueError(f"{count} anchors cannot be fitted to {len(different)} different shapes")
    centers = _spread_out(different, count, seed)  # (count, 2)
    owner = torch.full((len(shapes),), -1, device=shapes.device)
    for _ in range(MOST_ROUNDS):
        nearest = shape_iou(shapes, centers).argmax(dim=1)  # (N,)
        if torch.equal(nearest, owner):
            break
        owner = nearest
        centers = torch.stack([_median(shapes[owner == k], centers[k]) for k in range(count)])
    return centers[centers.prod(dim=1).argsort()]


def _spread_out(shapes: Tensor, count: int, seed: int) -> Tensor:
    """A first shape drawn at random, then repeatedly the one that the chosen shapes fit worst."""
    start = int(torch.randint(len(shapes), (), generator=torch.Generator().manual_seed(seed)))
    chosen = [shapes[start]]
    while len(chosen) < count:
        worst = int(shape_iou(shapes, torch.stack(chosen)).amax(dim=1).argmin())
        chosen.append(shapes[worst])
    return torch.stack(chosen)


def _median(shapes: Tensor, otherwise: Tensor) -> Tensor:
    return shapes.median(dim=0).values if len(shapes) else otherwise


def _range(values: Sequence[int]) -> str:
    return f"{values[0]}" if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
