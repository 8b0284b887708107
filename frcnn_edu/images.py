"""Images: checked, normalised, resized, and padded into one batch; and boxes from one scale to the other.

The detector takes a list of float (3, H, W) images in [0, 1] of any sizes. Each is normalised with ImageNet's mean and
standard deviation, resized so that the shorter side is `min_size` (the longer at most `max_size`), and padded with
zeros to a common size. Parity: torchvision's ``GeneralizedRCNNTransform``.

Input is checked here, values included, and not again further inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from frcnn_edu.boxes import check_boxes, check_form, check_same_device
from frcnn_edu.config import Config

RANGE_SLACK = 0.1
"""How far values may exceed [0, 1]: resampling overshoots a little, values of 0 to 255 by far more."""

BORDER_SLACK = 1.0
"""How many pixels a ground-truth box may cross the border: annotations that count from 1 do so by one."""


@dataclass(frozen=True)
class ImageBatch:
    """B images, resized, normalised and padded."""

    tensors: Tensor
    """(B, 3, H, W) float."""
    sizes: list[tuple[int, int]]
    """(height, width) of every image inside the padding."""
    original_sizes: list[tuple[int, int]]
    """(height, width) of every image as it was given."""

    @property
    def padded_size(self) -> tuple[int, int]:
        """(H, W) of the batch."""
        return _size(self.tensors)

    def to_resized(self, boxes: Tensor, image: int) -> Tensor:
        """Boxes from pixels of image number `image` as it was given to pixels of the resized one: (N, 4) -> (N, 4)."""
        return resize_boxes(boxes, self.original_sizes[image], self.sizes[image])

    def to_original(self, boxes: Tensor, image: int) -> Tensor:
        """The inverse of `to_resized`: (N, 4) -> (N, 4)."""
        return resize_boxes(boxes, self.sizes[image], self.original_sizes[image])


def batch_images(images: Sequence[Tensor], config: Config, training: bool = False) -> ImageBatch:
    """Normalise, resize and pad images, each (3, H, W) float in [0, 1], into one batch."""
    resized = [_resize(_normalize(image, config), config, training) for image in images]
    height, width = (_round_up(max(image.shape[side] for image in resized), config.size_divisible) for side in (1, 2))
    padded = [F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in resized]
    return ImageBatch(torch.stack(padded), [_size(image) for image in resized], [_size(image) for image in images])


def resize_boxes(boxes: Tensor, old_size: tuple[int, int], new_size: tuple[int, int]) -> Tensor:
    """Boxes scaled with their image from `old_size` to `new_size`, each (height, width): (N, 4) -> (N, 4)."""
    scale_y, scale_x = (new / old for new, old in zip(new_size, old_size, strict=True))
    return boxes * boxes.new_tensor((scale_x, scale_y, scale_x, scale_y))


def check_images(images: Sequence[Tensor], like: Tensor) -> list[Tensor]:
    """The images as a list. Each must be a float (3, H, W) tensor in [0, 1].

    `like` is a parameter of the model, whose device and dtype they must share. Raises TypeError or ValueError that
    names the image.
    """
    if isinstance(images, Tensor) and images.ndim == 3:
        raise ValueError("images must be a list of (3, H, W) tensors; for a single one pass [image]")
    images = list(images)
    if not images:
        raise ValueError("images is empty: pass at least one")
    for index, image in enumerate(images):
        _check_image(image, f"images[{index}]", like)
    # A GPU is waited for once, whatever the number of images.
    ranges = torch.stack([torch.stack(image.detach().aminmax()) for image in images]).tolist()
    for index, (low, high) in enumerate(ranges):
        if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):
            raise ValueError(
                f"images[{index}] must hold values in [0, 1], got {low:g} to {high:g}; divide 0-255 by 255, "
                "and leave normalisation to the model"
            )
    return images


def check_targets(targets: Sequence[dict[str, Tensor]] | None, images: Sequence[Tensor], num_classes: int) -> None:
    """Raise ValueError or TypeError unless every image has a target with boxes on it and valid labels.

    A target is ``{"boxes": (N, 4) float, "labels": (N,) int64 in 1 .. num_classes - 1}``, on its image's device;
    N may be 0.
    """
    if targets is None:
        raise ValueError("training needs targets: one dict of boxes and labels for each image")
    if len(targets) != len(images):
        raise ValueError(f"one target per image is needed, got {len(targets)} for {len(images)} images")
    for index, (target, image) in enumerate(zip(targets, images, strict=True)):
        if not isinstance(target, dict) or not {"boxes", "labels"} <= set(target):
            found = sorted(target) if isinstance(target, dict) else type(target).__name__
            raise ValueError(f'targets[{index}] must be a dict with "boxes" and "labels", got {found}')
        names = {key: f"targets[{index}][{key!r}]" for key in ("boxes", "labels")}
        check_same_device(**{names[key]: target[key] for key in names if isinstance(target[key], Tensor)}, image=image)
        check_form(target["boxes"], names["boxes"])
        _check_labels(target["labels"], names["labels"], len(target["boxes"]))
    fits = [_fits(target, image, num_classes) for target, image in zip(targets, images, strict=True)]
    if fits and not torch.stack(fits).all():  # a GPU is waited for once, whatever the number of images
        index = int(torch.stack(fits).int().argmin())
        _explain(targets[index], f"targets[{index}]", images[index], num_classes)


def _check_image(image: Tensor, name: str, like: Tensor) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"{name} must be a (3, H, W) tensor, got {type(image).__name__}; see to_tensor of torchvision")
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise ValueError(f"{name} must be (3, H, W), colours first, got {tuple(image.shape)}")
    if not image.is_floating_point():
        raise TypeError(f"{name} must be floats in [0, 1], got {image.dtype}; divide by 255")
    if image.dtype != like.dtype:
        raise TypeError(f"{name} is {image.dtype}, the model {like.dtype}; convert one with .to(dtype)")
    if image.device != like.device:
        raise ValueError(f"{name} is on {image.device}, the model on {like.device}; move one with .to(device)")


def _check_labels(labels: Tensor, name: str, count: int) -> None:
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (count,):
        found = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"{name} must be an int64 tensor ({count},), a class for each box; got {found}")


def _fits(target: dict[str, Tensor], image: Tensor, num_classes: int) -> Tensor:
    """Whether a target's values are valid: () bool, on its device."""
    boxes, labels = target["boxes"].detach(), target["labels"]
    inside = ~_beyond(boxes, image) & (boxes[:, :2] < boxes[:, 2:]).all(dim=1)  # (N,), False where NaN
    return inside.all() & ((labels >= 1) & (labels < num_classes)).all()


def _beyond(boxes: Tensor, image: Tensor) -> Tensor:
    """Which boxes cross the border of their image by more than the slack: (N, 4) -> (N,) bool."""
    limits = boxes.new_tensor(2 * _size(image)[::-1]) + BORDER_SLACK  # (4,)
    return ((boxes < -BORDER_SLACK) | (boxes > limits)).any(dim=1)


def _explain(target: dict[str, Tensor], name: str, image: Tensor, num_classes: int) -> None:
    """Raise ValueError for a target whose values are not valid."""
    boxes, labels = target["boxes"].detach().cpu(), target["labels"]
    check_boxes(boxes, f"{name}['boxes']", with_area=True)
    if (beyond := _beyond(boxes, image)).any():
        row, (height, width) = int(beyond.nonzero()[0]), _size(image)
        raise ValueError(
            f"{name}['boxes'][{row}] = {tuple(boxes[row].tolist())} lies outside its image of {width} x {height} px; "
            "clip it with clip_boxes, or check whether it is x, y, width, height"
        )
    raise ValueError(
        f"{name}['labels'] must lie in 1 .. {num_classes - 1} (0 is background, num_classes counts it), "
        f"got {int(labels.min())} .. {int(labels.max())}"
    )


def _normalize(image: Tensor, config: Config) -> Tensor:
    mean, std = image.new_tensor(config.image_mean), image.new_tensor(config.image_std)  # (3,), (3,)
    return (image - mean[:, None, None]) / std[:, None, None]


def _resize(image: Tensor, config: Config, training: bool) -> Tensor:
    sizes = config.min_sizes
    shorter = sizes[int(torch.randint(len(sizes), ()))] if training else sizes[-1]
    scale = min(shorter / min(_size(image)), config.max_size / max(_size(image)))
    if scale == 1:
        return image
    if min(_size(image)) * scale < 1:  # a strip keeps a row of pixels
        size = [max(1, int(side * scale)) for side in _size(image)]
        return F.interpolate(image[None], size=size, mode="bilinear")[0]
    return F.interpolate(image[None], scale_factor=scale, mode="bilinear", recompute_scale_factor=True)[0]


def _size(image: Tensor) -> tuple[int, int]:
    height, width = image.shape[-2:]
    return height, width


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
