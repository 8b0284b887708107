"""Image files: any image file as RGB floats.

A detector takes float tensors (3, H, W) in [0, 1]; people have phone photos stored sideways, 16-bit microscope PNGs,
CMYK scans, logos with alpha, truncated copies. All data sets read images here: each becomes such a tensor, or an error
that says which file is wrong and what to do.

Where it differs from torchvision's readers: 16-bit grey is scaled instead of clipped at 255, alpha is composited on
white instead of dropped, the EXIF rotation is applied (unless asked not to), a truncated file is an error, and an image
that would fill the memory is rejected by its header, before any pixel is decoded. No file makes Pillow start another
program.
"""

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

MAX_PIXELS = 64_000_000
"""The largest image that is decoded: 8000 x 8000, which takes 768 MB as floats."""

ORIENTATION_TAG = 0x0112
"""EXIF's "orientation": 1 as stored, 3 upside down, 6 and 8 sideways, 2, 4, 5 and 7 mirrored."""

SIDEWAYS = (5, 6, 7, 8)
"""The orientations that swap width and height."""

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
"""The transposition that makes an image of each orientation upright."""

RENDERED_OUTSIDE = ("EPS", "WMF")
"""Drawings that Pillow passes to another program, EPS to Ghostscript; it goes by content, not by the file's name."""

EIGHT_BIT_STEP = 257
"""65535 / 255: one of 256 levels in 16 bits."""

ENDINGS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
"""The last bytes of a complete file."""

MORE_SCAN_DATA = tuple(bytes([first]) * 64 for first in (0x00, 0x55, 0xAA, 0xCC, 0xE0))
"""Bytes that a JPEG decoder takes for pixels if it still lacks any, in several patterns: some may change nothing."""

HEIC = "HEIC, the format of phones; save it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)"
NOT_IMAGES = (
    (4, b"ftyphe", HEIC),
    (4, b"ftypm", HEIC),
    (4, b"ftyp", "a video; save a frame of it as JPEG or PNG"),
    (0, b"%PDF", "a PDF; export its pages as PNG"),
    (0, b"version https://git-lfs", "the placeholder of a file in Git LFS; fetch the file itself with git lfs pull"),
    (0, b"<", "text in HTML, SVG or XML; download the image itself, or export it as PNG"),
)
"""Files that are often mistaken for images: at which byte they hold what, what they are, and what helps."""

Source = str | os.PathLike | BinaryIO


class ImageError(ValueError):
    """A file that cannot be read as an image; the message names the file, the fault and the remedy."""


@dataclass(frozen=True)
class ImageHeader:
    """What a file says about its image before decoding; `width` and `height` are those of the stored pixels."""

    width: int
    height: int
    orientation: int = 1

    @property
    def sideways(self) -> bool:
        """Whether the EXIF rotation swaps width and height."""
        return self.orientation in SIDEWAYS


def load_image(source: Source, upright: bool = True, max_pixels: int = MAX_PIXELS) -> Tensor:
    """An image file as floats in [0, 1]: path or open binary file -> (3, H, W).

    `upright` applies the EXIF rotation. Raises FileNotFoundError where there is no file and ImageError where it holds
    no complete image of at most `max_pixels` pixels.
    """
    return image_tensor(read_rgb(source, upright, max_pixels))


def image_tensor(image: Image.Image) -> Tensor:
    """A PIL image of any mode that `to_rgb` knows as floats in [0, 1]: -> (3, H, W)."""
    pixels = torch.from_numpy(np.array(to_rgb(image)))  # (H, W, 3) uint8
    return pixels.permute(2, 0, 1).contiguous().float().div_(255)  # (3, H, W)


def read_rgb(source: Source, upright: bool = True, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An image file as an 8-bit RGB PIL image, the first frame of an animation; raises what `load_image` raises."""
    with _readable(source) as image:
        _reject_giants(image, _name(source), max_pixels)
        orientation = _orientation(image)
        rgb = to_rgb(_decoded(image, source))
        turn = TURNS[orientation] if upright else None
        return rgb if turn is None else rgb.transpose(turn)


def read_header(source: Source, max_pixels: int = MAX_PIXELS, whole: bool = False) -> ImageHeader:
    """Size and orientation of an image without decoding it; raises what `load_image` raises.

    A file that was cut off is noticed only with `whole`: one that does not end as its format ends is then decoded.
    """
    with _readable(source) as image:
        _reject_giants(image, _name(source), max_pixels)
        header = ImageHeader(*image.size, _orientation(image))
        if whole and not _ends_as_its_format(image, source):
            _decoded(image, source)
        return header


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
            f"the image has {image.mode!r} pixels, which have no agreed black and white; "
            "save it with 8 or 16 bits per channel"
        )
    grey = np.rint(values / EIGHT_BIT_STEP).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


class _readable:  # noqa: N801 - reads as a verb in "with _readable(source)"
    """Opens an image and turns what Pillow raises, here or in the block, into ImageError with the file's name."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __enter__(self) -> Image.Image:
        name = _name(self.source)
        if isinstance(self.source, (str, os.PathLike)):
            if os.path.isdir(self.source):
                raise ImageError(f"{name} is a folder; name an image in it")
            if not os.path.exists(self.source):
                raise FileNotFoundError(f"there is no file {name}; check the path (upper and lower case count)")
            if os.path.getsize(self.source) == 0:
                raise ImageError(f"{name} is empty (0 bytes); copy it again or remove it")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _reject_giants decides that
                self.image = Image.open(self.source)
        except Image.DecompressionBombError as error:
            raise ImageError(f"{name} is too large to decode: {error}; scale it down first") from None
        except UnidentifiedImageError:
            raise ImageError(f"{name} {_unknown_kind(self.source)}") from None
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(f"{name} cannot be opened as an image: {error}") from None
        if self.image.format in RENDERED_OUTSIDE:
            self.image.close()
            raise ImageError(
                f"{name} is a drawing in {self.image.format}, which only another program can render; "
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
                f"{_name(self.source)} is damaged, perhaps truncated: {error}; copy it again or remove it"
            ) from None


def _reject_giants(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than the {max_pixels:,} that are decoded; "
            "scale it down or cut it into tiles"
        )
    if width == 0 or height == 0:
        raise ImageError(f"{name} has {width} x {height} pixels, so it is empty")


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1 where there is none, where Pillow applies it itself (TIFF), or where EXIF is damaged."""
    if image.format == "TIFF":
        return 1
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow's EXIF parser raises nearly anything on damaged blocks; the pixels may still be fine
        return 1
    return orientation if orientation in TURNS else 1


def _decoded(image: Image.Image, source: Source) -> Image.Image:
    """The image with its pixels; raises OSError for a truncated file.

    A JPEG that lacks only its end marker, as some cameras write it, is complete: nothing that is put in place of the
    marker changes a pixel. Pillow rejects it like one that was cut off earlier.
    """
    try:
        image.load()
        return image
    except OSError:
        if image.format != "JPEG":
            raise
        data = _content(source)
        ended, *padded = (Image.open(io.BytesIO(data + more + ENDINGS["JPEG"])) for more in (b"", *MORE_SCAN_DATA))
        if any(image.tobytes() != ended.tobytes() for image in padded):
            raise
        return ended


def _content(source: Source) -> bytes:
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    source.seek(0)
    return source.read()


def _ends_as_its_format(image: Image.Image, source: Source) -> bool:
    """Whether the last bytes of a file are those of a complete image; False where that cannot be told so."""
    ending = ENDINGS.get(image.format or "")
    if ending is None or not isinstance(source, (str, os.PathLike)):
        return False
    with open(source, "rb") as file:
        file.seek(-len(ending), os.SEEK_END)
        return file.read() == ending


def _unknown_kind(source: Source) -> str:
    """What is wrong with a file that Pillow does not know, and what helps."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            start = file.read(64)
    else:
        source.seek(0)
        start = source.read(64)
    what = next((what for offset, magic, what in NOT_IMAGES if start[offset:].startswith(magic)), None)
    if what:
        return f"is {what}"
    return "is not an image that Pillow can read; convert it to PNG or JPEG"


def _name(source: Source) -> str:
    return str(source) if isinstance(source, (str, os.PathLike)) else getattr(source, "name", "the open file")
