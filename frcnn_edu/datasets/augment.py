"""Augmentation: images mirrored and recoloured at random, with their boxes.

The transforms are torchvision's, ``torchvision.transforms.v2`` on ``tv_tensors``, wrapped so that they take and return
the (image, target) pairs of the data sets.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

Pair = tuple[Tensor, dict[str, Tensor]]


def augmentation(
    flip: float = 0.5,
    flip_vertically: float = 0.0,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
) -> Callable[[Tensor, dict[str, Tensor]], Pair]:
    """A function of (image, target) that mirrors with these probabilities and changes colours by up to these shares.

    The same `torch.manual_seed` gives the same result.
    """
    transform = v2.Compose(
        [
            v2.RandomHorizontalFlip(flip),
            v2.RandomVerticalFlip(flip_vertically),
            v2.ColorJitter(brightness, contrast, saturation),
        ]
    )
    return partial(_augment, transform)  # worker processes need a function that can be pickled


def _augment(transform: v2.Transform, image: Tensor, target: dict[str, Tensor]) -> Pair:
    height, width = image.shape[-2:]
    boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=(height, width))
    image, boxes = transform(tv_tensors.Image(image), boxes)
    return image.as_subclass(Tensor), {**target, "boxes": boxes.as_subclass(Tensor)}
