"""A photograph with a title: a JPEG on white in a lesson, without a ground on a page."""

import io

import numpy as np
from PIL import Image

from frcnn_edu.site.transparent import alpha_of, without_ground


def test_what_was_transparent_is_so_again_and_the_rest_has_its_colours():
    pixels = np.zeros((32, 48, 4), np.uint8)
    pixels[8:24, 8:40] = (40, 90, 200, 255)
    pixels[26:30] = (127, 127, 127, 136)  # as the edges of letters
    picture = Image.fromarray(pixels)
    white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    jpeg = io.BytesIO()
    white.save(jpeg, "JPEG", quality=95)
    again = np.array(Image.open(io.BytesIO(without_ground(jpeg.getvalue(), alpha_of(picture)))).convert("RGBA"), int)
    assert (again[..., 3] == pixels[..., 3]).all()
    for place in ((16, 24), (28, 24)):
        assert np.abs(again[place] - pixels[place]).max() <= 12
