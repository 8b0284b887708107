"""The image reader: every kind of picture becomes RGB in [0, 1], every broken one an error that names it."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from frcnn_edu.datasets.image_files import (
    ImageError,
    ImageHeader,
    image_tensor,
    load_image,
    read_header,
    read_rgb,
    to_rgb,
)

RED_LEFT = np.zeros((20, 30, 3), np.uint8)  # no symmetry: every turn of it looks different
RED_LEFT[:, :10] = (255, 0, 0)
RED_LEFT[:5, 10:] = (0, 0, 255)


def save(path, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(path, **options)
    return path


def with_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_rgb_png_keeps_every_value(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    loaded = load_image(save(tmp_path / "a.png", pixels))
    assert loaded.shape == (3, 7, 9)
    assert loaded.dtype == torch.float32
    assert torch.equal((loaded * 255).round().byte(), torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize("bytes_per", ["open file", "path", "string"])
def test_every_kind_of_source_is_read(tmp_path, bytes_per):
    path = save(tmp_path / "Blut körper 1 血.png", RED_LEFT)
    source = {"open file": io.BytesIO(path.read_bytes()), "path": path, "string": str(path)}[bytes_per]
    assert load_image(source)[0, 0, 0] == 1


def test_sixteen_bit_grey_is_scaled_not_cut_off(tmp_path):
    ramp = np.array([[0, 257 * 100, 65535]], np.uint16)
    loaded = load_image(save(tmp_path / "deep.png", ramp))
    assert torch.allclose(loaded[:, 0], torch.tensor([0, 100 / 255, 1.0]).expand(3, 3))


def test_sixteen_bit_rgb_png_becomes_eight_bit(tmp_path):
    row = struct.pack(">7H", *([0] * 7))[:1] + struct.pack(">6H", 65535, 0, 0x8080, 0, 65535, 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    loaded = load_image(io.BytesIO(png))
    assert torch.allclose(loaded[:, 0, 0], torch.tensor([1.0, 0.0, 0x80 / 255]))


def test_cmyk_jpeg_has_its_colours(tmp_path):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    loaded = load_image(save(tmp_path / "print.jpg", red, quality=95))
    assert torch.allclose(loaded[:, 8, 8], torch.tensor([1.0, 0.0, 0.0]), atol=0.05)


def test_alpha_lies_on_white(tmp_path):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert (load_image(save(tmp_path / "clear.png", clear)) == 1).all()
    assert load_image(save(tmp_path / "half.png", half)).mean() == pytest.approx(127 / 255, abs=0.01)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"])
def test_white_is_white_in_every_mode(mode):
    whites = {
        "1": 1, "L": 255, "LA": (255, 255), "P": 0, "PA": 0, "RGB": (255,) * 3, "RGBA": (255,) * 4, "RGBX": (255,) * 4,
        "CMYK": (0,) * 4, "YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "I;16": 65535,
    }  # fmt: skip
    image = Image.new(mode, (5, 3), whites[mode])
    if mode in ("P", "PA"):
        image.putpalette([255, 255, 255])
    assert (image_tensor(image) == 1).all()
    assert to_rgb(image).mode == "RGB"


def test_palette_with_a_transparent_colour_is_laid_on_white(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    path = save(tmp_path / "logo.png", image, transparency=0)
    assert (load_image(path) == 1).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_turn_ends_upright(tmp_path, orientation):
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    stored = Image.fromarray(RED_LEFT)
    if orientation in undo:
        stored = stored.transpose(Image.Transpose[undo[orientation]])
    path = save(tmp_path / "phone.png", stored, exif=with_orientation(orientation))
    upright = torch.from_numpy(RED_LEFT).permute(2, 0, 1) / 255
    assert torch.equal(load_image(path), upright)
    assert read_rgb(path, upright=False).size == stored.size
    assert read_header(path) == ImageHeader(*stored.size, orientation)
    assert read_header(path).sideways == (stored.size != (30, 20))


@pytest.mark.parametrize(("orientation", "undo"), [(3, "ROTATE_180"), (6, "ROTATE_90")])
def test_a_tiff_is_turned_once_and_not_twice(tmp_path, orientation, undo):
    stored = Image.fromarray(RED_LEFT).transpose(Image.Transpose[undo])
    path = save(tmp_path / "scan.tif", stored, exif=with_orientation(orientation))
    assert torch.equal(load_image(path), torch.from_numpy(RED_LEFT).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_a_file_cut_off_half_way_is_an_error_that_names_it(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"half copy.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match="half copy"):
        load_image(path)


def test_zero_bytes_folder_text_and_absence_each_have_their_message(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "letter.jpg").write_text("Dear student")
    for name, error, words in [
        ("empty.jpg", ImageError, "0 bytes"),
        ("letter.jpg", ImageError, "not an image that Pillow can read; convert it to PNG or JPEG"),
        (".", ImageError, "folder"),
        ("gone.jpg", FileNotFoundError, "there is no file"),
    ]:
        with pytest.raises(error, match=words):
            load_image(tmp_path / name)


def jpeg(folder, content="noise", **options):
    pixels = {
        "noise": np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8),
        "flat": np.full((60, 80, 3), 90, np.uint8),
    }[content]
    return save(folder / "camera.jpg", pixels, **options)


@pytest.mark.parametrize("content", ["noise", "flat"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read_as_it_was(tmp_path, content, progressive):
    path = jpeg(tmp_path, content, progressive=progressive)
    whole = load_image(path)
    data = path.read_bytes()
    assert data.endswith(b"\xff\xd9")
    path.write_bytes(data[:-2])
    assert torch.equal(load_image(path), whole)
    assert torch.equal(load_image(io.BytesIO(data[:-2])), whole)
    assert read_header(path, whole=True) == ImageHeader(80, 60)


@pytest.mark.parametrize("quality", [30, 95])
def test_a_jpeg_that_lacks_pixels_is_damaged_however_few_they_are(tmp_path, quality):
    path = jpeg(tmp_path, quality=quality)
    data = path.read_bytes()
    for missing in (*range(3, 60), 500, len(data) // 2):
        path.write_bytes(data[:-missing])
        with pytest.raises(ImageError, match=r"camera\.jpg is damaged, perhaps truncated"):
            load_image(path)
        with pytest.raises(ImageError, match=r"camera\.jpg is damaged, perhaps truncated"):
            read_header(path, whole=True)


def test_whole_files_are_not_decoded_to_know_that_they_are_whole(tmp_path, monkeypatch):
    paths = [save(tmp_path / f"a.{suffix}", RED_LEFT) for suffix in ("jpg", "png")]
    monkeypatch.setattr(Image.Image, "load", None)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert [read_header(path, whole=True).width for path in paths] == [30, 30]


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
def test_heic_is_named_with_its_remedy(tmp_path, brand):
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(100))
    with pytest.raises(ImageError, match=r"IMG_0001\.HEIC is HEIC.*save it as JPEG"):
        load_image(path)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 30 20
%%EndComments
showpage
%%EOF
"""


@pytest.mark.parametrize("read", [load_image, read_rgb, read_header])
def test_a_drawing_that_would_start_a_program_is_refused_by_its_content(tmp_path, monkeypatch, read):
    """Pillow runs Ghostscript on an EPS file, also on one that is called a JPEG."""
    ran = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *options: ran.append(options))
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: True)
    path = tmp_path / "holiday.jpg"
    path.write_bytes(EPS)
    with Image.open(path) as image:
        assert image.format == "EPS", "the file is one that Pillow takes"
    for source in (path, io.BytesIO(EPS)):
        with pytest.raises(ImageError, match=r"is a drawing in EPS.*; save it as PNG or JPEG"):
            read(source)
    assert ran == []


def test_a_giant_is_refused_by_its_header(tmp_path):
    giant = save(tmp_path / "giant.png", Image.new("1", (20_000, 20_000)))
    large = save(tmp_path / "large.png", Image.new("1", (10_000, 10_000)))
    for path in (giant, large):
        for read in (load_image, read_header):
            with pytest.raises(ImageError, match=r"pixels|too large"):
                read(path)


def test_a_long_thin_picture_is_no_giant(tmp_path):
    path = save(tmp_path / "strip.png", Image.new("L", (20_000, 20)))
    assert load_image(path).shape == (3, 20, 20_000)


def test_the_limit_is_the_callers_to_lower(tmp_path):
    path = save(tmp_path / "a.png", RED_LEFT)
    assert load_image(path, max_pixels=600).shape == (3, 20, 30)
    with pytest.raises(ImageError, match="30 x 20"):
        load_image(path, max_pixels=599)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_an_agreed_range_are_refused_by_name(tmp_path, mode):
    path = save(tmp_path / "physics.tif", Image.new(mode, (4, 4), 1_000_000))
    with pytest.raises(ImageError, match=r"physics\.tif.*no agreed black and white"):
        load_image(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_costs_the_turn_and_not_the_picture(tmp_path):
    path = save(tmp_path / "phone.jpg", RED_LEFT, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert load_image(path).shape == (3, 20, 30)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert load_image(tmp_path / "a.gif")[:, 0, 0].tolist() == [1, 0, 0]
