"""The upload page: each of the files that people choose gets a picture or a sentence, and none ends the page."""

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from small_detector import NUM_CLASSES, small_detector

from frcnn_edu.course.photograph_page import open_page
from frcnn_edu.datasets.shapes import PLAIN, Shapes
from frcnn_edu.explorers.lesson_08_real_images import FileDrop, UploadPage, answer, upload
from frcnn_edu.training.checkpoints import ModelCard, Recipe
from frcnn_edu.training.loop import train

NAMES = ("__background__", "cat", "dog", "bird")
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9"/></svg>'
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(range(256)) * 4


@pytest.fixture(scope="module")
def model():
    return small_detector().eval()


def drawn(width=60, height=40):
    """Something to see: red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0], pixels[:, width // 2 :, 2] = 255, 255
    return Image.fromarray(pixels)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(drawn(), "JPEG", exif=exif)


def animated():
    return saved(drawn(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40), "green")])


def huge_header():
    """A BMP that says it has 20 000 x 20 000 pixels, and has none."""
    fields = (40, 20_000, 20_000, 1 | 24 << 16, 0, 0, 0, 0, 0, 0)
    return b"BM" + b"".join(value.to_bytes(4, "little") for value in (54, 0, 54, *fields))


PICTURES = {
    "animated.gif": animated,
    "cmyk.jpg": lambda: saved(drawn().convert("CMYK"), "JPEG"),
    "deep.png": lambda: saved(Image.fromarray(np.full((40, 60), 40_000, np.uint16)), "PNG"),
    "turned.jpg": rotated,
    "glass.png": lambda: saved(Image.new("RGBA", (60, 40), (0, 0, 0, 0)), "PNG"),
    "a name with blanks, äöü 사진.png": lambda: saved(drawn(), "PNG"),
}
SENTENCES = {
    "huge.bmp": (huge_header, "too large to decode"),
    "truncated.jpg": (lambda: saved(drawn(600, 400), "JPEG")[:3000], "perhaps truncated"),
    "drawing.svg": (lambda: SVG, "text in HTML, SVG or XML"),
    "phone.heic": (lambda: HEIC, "HEIC, the format of phones; save it as JPEG"),
    "text.jpg": (lambda: b"dear diary, today I", "is not an image that Pillow can read"),
    "empty.png": (lambda: b"", "is empty (0 bytes)"),
    "strip.png": (lambda: saved(Image.new("RGB", (4000, 2)), "PNG"), "strip of"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_all_kinds_are_shown_with_what_is_found(model, name):
    said = answer(name, PICTURES[name](), model, NAMES, score=0.2)
    assert said.sentence.startswith(f"{name}: ")
    assert "found" in said.sentence
    shown = Image.open(io.BytesIO(said.picture))
    assert shown.format == "PNG"
    upright = shown.width < shown.height
    assert upright == (name == "turned.jpg"), "EXIF says that this one was taken upright"


@pytest.mark.parametrize("name", SENTENCES)
def test_what_is_no_picture_gets_one_sentence_with_its_name(model, name):
    make, words = SENTENCES[name]
    said = answer(name, make(), model, NAMES)
    assert said.picture is None
    assert said.sentence.startswith(name)
    assert words in said.sentence
    assert "\n" not in said.sentence


def sent(name, content, number=1, count=1, slice_size=10_000, **more):
    """The messages that bring a file, as upload.js sends them."""
    about = {"id": f"{number} {name}", "name": name, "size": len(content), "number": number, "count": count, **more}
    for start in range(0, len(content) or 1, slice_size):
        yield {**about, "start": start}, [memoryview(content[start : start + slice_size])]


def test_files_arrive_in_slices_even_mixed_with_one_another():
    got = []
    drop = FileDrop(lambda *file: got.append(file), lambda *failure: got.append(failure))
    files = {"long.png": bytes(range(250)) * 100, "empty.png": b"", "short.png": b"short"}
    streams = [list(sent(name, content, i, 3)) for i, (name, content) in enumerate(files.items(), 1)]
    for messages in itertools.zip_longest(*reversed(streams)):
        for message in filter(None, messages):
            drop._receive(drop, *message)
    assert dict(got) == files
    assert len(got) == 3
    assert drop._arriving == {}


def test_what_cannot_arrive_is_a_sentence_and_the_next_file_is_taken():
    files, failures = [], []
    drop = FileDrop(lambda *file: files.append(file), lambda *failure: failures.append(failure))
    drop.most_bytes = 2**20
    drop._receive(drop, {**next(sent("scan.tif", b"", 1, 3))[0], "size": 3 * 2**20}, [memoryview(b"")])
    drop._receive(drop, next(sent("holiday", bytes(4096), 2, 3, unreadable=True))[0], [])
    assert drop.state == "looking at holiday, 2 of 3 …"
    drop._receive(drop, *next(sent("whole.png", b"whole", 3, 3)))
    assert failures[0] == ("scan.tif", "scan.tif has 3 MB, more than 1; scale it down first")
    assert failures[1][1].startswith("holiday is a folder")
    assert files == [("whole.png", b"whole")]
    assert drop.state == "3 looked at"


def test_a_decoder_that_fails_in_its_own_way_is_a_sentence_too(model, monkeypatch):
    def fail(file):
        raise RuntimeError("decoder gave up")

    monkeypatch.setattr(upload, "read_rgb", fail)
    assert "decoder gave up" in answer("odd.png", b"odd", model, NAMES).sentence


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory.\nTried to allocate 9 GiB"), MemoryError()])
def test_a_detector_that_fails_is_a_sentence_and_the_page_goes_on(error):
    class Failing(torch.nn.Linear):
        def forward(self, images):
            raise error

    page = UploadPage(Failing(1, 1), NAMES)
    for message in sent("holiday.png", saved(drawn(), "PNG")):
        page.drop._receive(page.drop, *message)
    said = page.answers.children[0].children[0].value
    assert "holiday.png was read, but the detector failed on it: " in said
    assert "\n" not in said
    assert page.drop.state == "1 looked at", "and not looking at it for ever"


def test_a_large_photograph_is_scaled_down_first(monkeypatch):
    seen = []

    class Watching(torch.nn.Linear):
        def forward(self, images):
            seen.append(tuple(images[0].shape))
            empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
            return [empty]

    said = answer("large.png", saved(Image.new("RGB", (3000, 1500)), "PNG"), Watching(1, 1), NAMES)
    assert seen == [(3, 640, 1280)]
    assert said.sentence == "large.png: nothing found"


def test_what_is_found_is_named(model):
    """Held against the model itself, asked directly."""
    photo = drawn()
    image = torch.from_numpy(np.array(photo)).permute(2, 0, 1) / 255
    with torch.no_grad():
        (found,) = model([image])
    names = [NAMES[label] for label in found["labels"][found["scores"] >= 0.2].tolist()]
    assert names, "the case is one where something is found"
    said = answer("a.png", saved(photo, "PNG"), model, NAMES, score=0.2)
    assert said.sentence == f"a.png: {len(names)} found: {', '.join(names)}"
    assert len(NAMES) == NUM_CLASSES


def test_the_page_answers_all_files_the_latest_on_top_and_stays(model):
    page = UploadPage(model, NAMES, score=0.2)
    names = [*PICTURES, *SENTENCES]
    contents = [make() for make in PICTURES.values()] + [make() for make, _ in SENTENCES.values()]
    for number, (name, content) in enumerate(zip(names, contents, strict=True), 1):
        for message in sent(name, content, number, len(names)):
            page.drop._receive(page.drop, *message)
    assert len(page.answers.children) == len(names)
    first = page.answers.children[0].children[0].value
    assert names[-1] in first
    assert page.drop.state == f"{len(names)} looked at"
    assert repr(page).startswith(f"UploadPage({len(names)} files looked at")


def test_a_files_name_cannot_write_into_the_page(model):
    page = UploadPage(model, NAMES)
    page.show("<img src=x onerror=alert(1)>.png", b"")
    assert "<img" not in page.answers.children[0].children[0].value


def test_a_page_answers_with_a_run_of_ones_own_or_says_why_it_cannot(tmp_path):
    scenes = Shapes(2, config=PLAIN)
    card = ModelCard("tiny", scenes.class_names, {"min_size": 96, "max_size": 96})
    train(card.build(), scenes, Recipe(steps=1, batch_size=1), tmp_path / "run", card, progress=False)
    about, page = open_page(str(tmp_path / "run")).children
    assert "standing bar" in about.value
    assert page.class_names == scenes.class_names
    (tmp_path / "run" / "model.json").write_text("[]")
    assert "model.json is damaged" in open_page(str(tmp_path / "run")).value
    assert "is not there" in open_page(str(tmp_path / "nowhere")).value
