"""Images: every picture file there is, as RGB.

A detector takes float tensors (3, H, W) in [0, 1]; people have phone photos lying on their side, 16-bit microscope
PNGs, CMYK prints, logos with alpha, files cut off in a copy. This is the one place that turns the former into the
latter, or says which file is wrong and what to do. All data sets read through it.

Where it differs from torchvision's readers: 16-bit grey is scaled and not cut off at 255, alpha is laid on white and
not dropped, the EXIF rotation is applied (unless asked not to), a cut-off file is an error, and a picture that would
fill the memory is refused by its header, before any pixel is decoded. No picture starts another program.
"""

import os
import warnings
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

MAX_PIXELS = 64_000_000
"""Largest picture that is decoded: 8000 x 8000. As floats that is 768 MB already."""

ORIENTATION_TAG = 0x0112
"""EXIF's "orientation": 1 as stored, 3 upside down, 6 and 8 on its side, even numbers below 5 mirrored."""

SIDEWAYS = (5, 6, 7, 8)
"""The orientations in which width and height change places."""

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each orientation upright."""

DRAWN_BY_OTHERS = ("EPS", "WMF")
"""Drawings that Pillow hands to another program, EPS to Ghostscript; it goes by the content, whatever a file's name."""

HEIC = "a HEIC photograph; export it as JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
NOT_IMAGES = (
    (4, b"ftyphe", HEIC),
    (4, b"ftypmif1", HEIC),
    (4, b"ftyp", "a video; save a frame of it as JPEG or PNG"),
    (0, b"%PDF", "a PDF; export its pages as PNG"),
    (0, b"version https://git-lfs", "the placeholder of a file in Git LFS; fetch the file itself with git lfs pull"),
    (0, b"<", "a text in HTML, SVG or XML, and no photograph; download the image itself, or export it as PNG"),
)
"""What else is often taken for an image: where the file holds which bytes, what it is and what helps."""

EIGHT_BIT_STEP = 257
"""65535 / 255: what one of 256 levels is worth in 16 bits."""

Source = str | os.PathLike | BinaryIO


class ImageError(ValueError):
    """A file that cannot be read as a picture; the message names the file, the fault and the remedy."""


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of its picture before it is decoded; `width` and `height` are those of the stored pixels."""

    width: int
    height: int
    orientation: int = 1

    @property
    def sideways(self) -> bool:
        """Whether the EXIF rotation swaps width and height."""
        return self.orientation in SIDEWAYS


def load_image(source: Source, upright: bool = True, max_pixels: int = MAX_PIXELS) -> Tensor:
    """A picture file as floats in [0, 1]: path or open binary file -> (3, H, W).

    `upright` turns the picture as its EXIF data ask. Raises FileNotFoundError where there is no file and ImageError
    where it holds no whole picture of at most `max_pixels` pixels.
    """
    return image_tensor(read_rgb(source, upright, max_pixels))


def image_tensor(image: Image.Image) -> Tensor:
    """A PIL image of any mode that `to_rgb` knows as floats in [0, 1]: -> (3, H, W)."""
    pixels = torch.from_numpy(np.array(to_rgb(image)))  # (H, W, 3) uint8
    return pixels.permute(2, 0, 1).contiguous().float().div_(255)  # (3, H, W)


def read_rgb(source: Source, upright: bool = True, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A picture file as an 8-bit RGB PIL image, the first frame of an animation; raises what `load_image` raises."""
    with _readable(source) as image:
        _refuse_giants(image, _name(source), max_pixels)
        orientation = _orientation(image)
        image.load()
        rgb = to_rgb(image)
        turn = TURNS[orientation] if upright else None
        return rgb if turn is None else rgb.transpose(turn)


def read_header(source: Source, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Size and orientation of a picture without decoding it; raises what `load_image` raises, but sees no cut-off."""
    with _readable(source) as image:
        _refuse_giants(image, _name(source), max_pixels)
        return ImageHeader(*image.size, _orientation(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """A PIL image of any mode as 8-bit RGB: alpha on white, 16-bit grey scaled, CMYK and palettes converted.

    Raises ImageError for pixels without an agreed range (32-bit floats, integers beyond 16 bits).
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey_to_rgb(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _deep_grey_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image)  # (H, W)
    if image.mode == "F" or (values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max)):
        raise ImageError(
            f"the picture has {image.mode!r} pixels, whose black and white are anybody's guess; "
            "save it with 8 or 16 bits per channel"
        )
    grey = np.rint(values / EIGHT_BIT_STEP).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


class _readable:  # noqa: N801 - reads as a verb in "with _readable(source)"
    """Opens a picture and turns what Pillow raises, here or in the block, into ImageError with the file's name."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __enter__(self) -> Image.Image:
        name = _name(self.source)
        if isinstance(self.source, (str, os.PathLike)):
            if os.path.isdir(self.source):
                raise ImageError(f"{name} is a folder; name one picture in it")
            if not os.path.exists(self.source):
                raise FileNotFoundError(f"there is no picture {name}; check the path (upper and lower case count)")
            if os.path.getsize(self.source) == 0:
                raise ImageError(f"{name} is empty (0 bytes); copy it again or remove it")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _refuse_giants judges that
                self.image = Image.open(self.source)
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name} is too large to decode: {error}; scale it down first") from None
        except UnidentifiedImageError:
            raise ImageError(f"{name} is {_recognise(self.source)}") from None
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"{name} cannot be opened as a picture: {error}") from None
        if self.image.format in DRAWN_BY_OTHERS:
            self.image.close()
            raise ImageError(
                f"{name} is a drawing in {self.image.format}, which another program would have to run; "
                "save it as PNG or JPEG"
            )
        return self.image

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self.image.close()
        if isinstance(error, ImageError):
            name = _name(self.source)
            raise (error if name in str(error) else ImageError(f"{name}: {error}")) from None
        if isinstance(error, (OSError, SyntaxError, ValueError, IndexError)):
            raise ImageError(
                f"{_name(self.source)} is damaged, perhaps cut off: {error}; copy it again or remove it"
            ) from None


def _refuse_giants(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than the {max_pixels:,} that are decoded; "
            "scale it down or cut it into tiles"
        )
    if width == 0 or height == 0:
        raise ImageError(f"{name} has {width} x {height} pixels: there is nothing to see")


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 where there is none, where Pillow turns the pixels itself, or where EXIF is damaged."""
    if image.format == "TIFF":
        return 1
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow's EXIF parser raises nearly anything on damaged blocks; the pixels may still be sound
        return 1
    return orientation if orientation in TURNS else 1


def _recognise(source: Source) -> str:
    """What a file is that Pillow cannot read, and what helps."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            start = file.read(64)
    else:
        source.seek(0)
        start = source.read(64)
    matching = (what for offset, magic, what in NOT_IMAGES if start[offset:].startswith(magic))
    return next(matching, "no picture that Pillow knows; convert it to PNG or JPEG")


def _name(source: Source) -> str:
    return str(source) if isinstance(source, (str, os.PathLike)) else getattr(source, "name", "the open file")
