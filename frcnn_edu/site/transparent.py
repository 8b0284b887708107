"""Photographs with a title and no ground: a JPEG on white in the lesson, and transparent on its page.

No other kind of file is as small that every program which shows notebooks can show. So a lesson keeps the JPEG, and in
the output's metadata how opaque each pixel is.
"""

import base64
import io

import numpy as np
from PIL import Image

ALPHA = "alpha"
"""The key of the opacity in the metadata of an image: a grey PNG in base64."""

QUALITY = 85
STEP = 17
"""Opacity is kept in steps of this size, of 255."""


def alpha_of(picture: Image.Image) -> str:
    """The opacity of an RGBA picture, as it is kept."""
    file = io.BytesIO()
    picture.getchannel("A").point(lambda value: value // STEP * STEP).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def without_ground(jpeg: bytes, alpha: str) -> bytes:
    """The picture as WebP, without the white that the JPEG lies on."""
    opacity = np.array(Image.open(io.BytesIO(base64.b64decode(alpha))))  # (h, w)
    pixels = np.array(Image.open(io.BytesIO(jpeg)).convert("RGB"), float)
    share = opacity[..., None] / 255
    plain = (pixels - 255 * (1 - share)) / np.maximum(share, STEP / 255)  # (h, w, 3)
    rgba = np.concatenate([plain.clip(0, 255), opacity[..., None]], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "WEBP", quality=QUALITY)
    return file.getvalue()
