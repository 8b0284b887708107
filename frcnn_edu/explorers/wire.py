"""The wire: what a widget sends to the browser, checked before it leaves.

Arrays travel as raw little-endian bytes and images as one PNG or JPEG, so that a message is as large as its data and
is read without parsing. What is no image or no array of the right shape is refused here, in Python, by name.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor

from frcnn_edu.boxes import check_boxes
from frcnn_edu.datasets.image_files import to_rgb

JPEG_QUALITY = 90
LARGEST_JPEG = 0.6
"""An image goes as JPEG if that has at most this share of the PNG's bytes: photographs do, drawings do not."""

PNG_LEVEL = 3


class ArrayTrait(traitlets.TraitType):
    """A trait that holds a read-only numpy array and goes to the browser as its bytes.

    `convert(value, widget)` makes the array or raises; assigning an equal array tells nobody.
    """

    def __init__(self, convert: Callable, empty: np.ndarray) -> None:
        super().__init__(default_value=_frozen(empty))
        self.convert = convert
        self.tag(sync=True, to_json=lambda array, widget: array.tobytes())

    def validate(self, widget: traitlets.HasTraits, value: object) -> np.ndarray:
        """The value as a read-only array."""
        return _frozen(self.convert(value, widget))

    def set(self, widget: traitlets.HasTraits, value: object) -> None:
        """Assign, and notify only if the values differ (`==` on arrays has no single answer)."""
        value = self.validate(widget, value)
        held = self.get(widget)
        if held is None or not np.array_equal(held, value, equal_nan=value.dtype.kind == "f"):
            super().set(widget, value)


def floats(columns: int | None = None) -> ArrayTrait:
    """A trait for float32 numbers, (N, columns) or of any shape."""
    shape = (0,) if columns is None else (0, columns)
    return ArrayTrait(lambda value, widget: float_array(value, "values", columns), np.zeros(shape, np.float32))


def integers(dtype: type) -> ArrayTrait:
    """A trait for (N,) whole numbers, from a tensor or an array."""

    def convert(value: object, widget: traitlets.HasTraits) -> np.ndarray:
        return np.asarray(value.cpu().numpy() if isinstance(value, Tensor) else value).astype(dtype)

    return ArrayTrait(convert, np.zeros(0, dtype))


def box_array(boxes: object) -> np.ndarray:
    """Boxes from a tensor, an array or nested lists: -> (N, 4) float32, N may be 0.

    Raises TypeError or ValueError, with the first offending row, where they are no boxes (see `boxes.check_boxes`).
    """
    array = float_array(boxes, "boxes")
    array = array.reshape(0, 4) if array.size == 0 else array
    check_boxes(torch.from_numpy(array))
    return array


def float_array(values: object, name: str, columns: int | None = None) -> np.ndarray:
    """Numbers from a tensor, an array or lists as float32; with `columns` reshaped from nothing to (0, columns).

    Raises TypeError where they are no numbers, ValueError where there are `columns` and the shape is not (N, columns)
    or a number is not finite.
    """
    values = values.detach().cpu().float().numpy() if isinstance(values, Tensor) else values
    try:
        array = np.array(values, dtype="<f4")
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers in a tensor, an array or lists, got {type(values).__name__}") from None
    if columns is None:
        return array
    array = array.reshape(0, columns) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != columns or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers of shape (N, {columns}), got shape {array.shape}")
    return array


def rgb_array(image: object) -> np.ndarray:
    """An image as (H, W, 3) uint8, from uint8 numpy (H, W, 3), a float tensor (3, H, W) in [0, 1], or PIL.

    Raises TypeError or ValueError that says what the thing is instead, and how to make an image of it.
    """
    if isinstance(image, Image.Image):
        return np.array(to_rgb(image))
    if isinstance(image, Tensor):
        return _tensor_to_rgb(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(
            "an image is a float tensor (3, H, W) in [0, 1], a uint8 array (H, W, 3) or a PIL image, "
            f"got {type(image).__name__}; datasets.images.load_image reads a file"
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"an image array must have shape (H, W, 3), got {image.shape}; for others use PIL")
    if image.dtype != np.uint8:
        raise TypeError(f"an image array must be uint8, got {image.dtype}; from [0, 1]: (image * 255).astype('uint8')")
    return image.copy()


def encode_image(pixels: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as the bytes of a PNG file, or of a JPEG where that is much smaller."""
    picture, lossless, small = Image.fromarray(pixels), io.BytesIO(), io.BytesIO()
    picture.save(lossless, "PNG", compress_level=PNG_LEVEL)
    picture.save(small, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    is_small = small.tell() <= LARGEST_JPEG * lossless.tell()
    return (small if is_small else lossless).getvalue()


def _tensor_to_rgb(image: Tensor) -> np.ndarray:
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        hint = "; of a batch take one: images[0]" if image.ndim == 4 else ""
        raise ValueError(f"an image tensor must have shape (3, H, W), got {tuple(image.shape)}{hint}")
    if not image.is_floating_point():
        raise TypeError(f"an image tensor must be floats in [0, 1], got {image.dtype}; from 0…255: image.float() / 255")
    image = image.detach().cpu().float()
    low, high = image.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"an image tensor must lie in [0, 1], got {low:g} to {high:g}; divide by 255, or undo the normalisation"
        )
    return (image * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()  # (H, W, 3)


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array
