"""Box formats: boxes in another format than expected are noticed by their numbers, and sound ones are not."""

import numpy as np
import pytest
from data_folders import SIZE, coco_content, draw_image, voc_xml, write, yolo_text

from frcnn_edu.datasets.box_formats import COCO_BOXES, ORDERS, VOC_BOXES, YOLO_BOXES, BoxFormat, Evidence
from frcnn_edu.datasets.folder import open_folder, read_folder

WIDTH, HEIGHT = 640, 480


def corners(count, seed=0, largest=0.5):
    """Boxes anywhere in the image: (4, N)."""
    rng = np.random.default_rng(seed)
    size = np.array([[WIDTH], [HEIGHT]])
    sides = rng.uniform(8, largest * size, (2, count))
    start = rng.uniform(0, size - sides)
    return np.concatenate((start, start + sides))


def written(boxes, box_format):
    """The numbers for corners in a format: the inverse of `BoxFormat.corners`."""
    x1, y1, x2, y2 = boxes
    width, height, x, y = x2 - x1, y2 - y1, (x1 + x2) / 2, (y1 + y2) / 2
    values = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "x": x1, "y": y1, "width": width, "height": height}
    values |= {"centre x": x, "centre y": y}
    numbers = [values[word] for word in box_format.order.split(", ")]
    across = [word for word in values if "x" in word or word == "width"]
    scales = [(WIDTH if word in across else HEIGHT) for word in box_format.order.split(", ")]
    return np.array(
        [value / (scale if box_format.fractions else 1) for value, scale in zip(numbers, scales, strict=True)]
    )


def doubts(numbers, expected, areas=None, size=(WIDTH, HEIGHT), annotated=None):
    evidence = Evidence()
    for index, row in enumerate(numbers.T.tolist()):
        evidence.add(row, size, annotated, None if areas is None else float(areas[index]))
    return evidence.doubts(expected)


EXPECTED = (VOC_BOXES, COCO_BOXES, YOLO_BOXES)
PIXELS = [BoxFormat(order) for order in ORDERS]


@pytest.mark.parametrize("box_format", [*PIXELS, *(BoxFormat(order, fractions=True) for order in ORDERS)], ids=str)
def test_the_tests_own_writer_is_the_inverse_of_the_reader(box_format):
    boxes = corners(20)
    assert np.allclose(box_format.corners(written(boxes, box_format), (WIDTH, HEIGHT)), boxes)


@pytest.mark.parametrize("expected", EXPECTED, ids=str)
@pytest.mark.parametrize("largest", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 3, 20, 300])
def test_sound_boxes_raise_no_doubt(expected, count, largest):
    for seed in range(20):
        boxes = corners(count, seed, largest)
        areas = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
        numbers = written(boxes, expected)
        for known in (None, areas, areas * np.random.default_rng(seed).uniform(0.4, 1, count)):
            assert doubts(numbers, expected, known) == ""


@pytest.mark.parametrize("expected", EXPECTED, ids=str)
def test_boxes_that_reach_a_little_over_the_border_or_have_no_area_raise_no_doubt(expected):
    boxes = corners(60)
    boxes[2:, :20] += np.array([[WIDTH], [HEIGHT]]) - boxes[2:, :20].max(axis=1, keepdims=True) + 4
    boxes[2, 20:30] = boxes[0, 20:30]
    assert doubts(written(boxes, expected), expected) == ""


@pytest.mark.parametrize("expected", EXPECTED, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_another_order_is_guessed(expected, order):
    actual = BoxFormat(order, expected.fractions)
    if actual == expected or (expected.fractions and order.startswith("y")):
        return  # in fractions nothing tells x from y
    for seed in range(5):
        text = doubts(written(corners(200, seed), actual), expected)
        assert text.startswith(f"the boxes look like {actual}, while {expected} is expected: "), order


@pytest.mark.parametrize("order", ["x1, y1, x2, y2", "centre x, centre y, width, height", "y, x, height, width"])
def test_the_areas_betray_boxes_that_would_fit_both_ways(order):
    boxes = np.array([[20, 15, 60, 50], [5, 8, 30, 20]], float).T
    numbers = written(boxes, BoxFormat(order))
    areas = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
    text = doubts(numbers, COCO_BOXES, areas)
    if order == "x1, y1, x2, y2":
        assert text.startswith("the boxes look like [x1, y1, x2, y2]")
        assert "areas" in text
    else:
        assert text == "", "width times height is the same"


@pytest.mark.parametrize("expected", [VOC_BOXES, COCO_BOXES], ids=str)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 30])
def test_fractions_are_noticed_where_pixels_are_expected(expected, order, count):
    text = doubts(written(corners(count), BoxFormat(order, fractions=True)), expected)
    assert text.startswith("the boxes look like fractions of the image")


@pytest.mark.parametrize("order", ORDERS)
def test_pixels_are_noticed_where_fractions_are_expected(order):
    assert doubts(written(corners(30), BoxFormat(order)), YOLO_BOXES).startswith("the boxes look like pixels")


@pytest.mark.parametrize("expected", [VOC_BOXES, COCO_BOXES], ids=str)
def test_images_that_were_resized_after_annotating_are_noticed(expected):
    numbers = written(corners(50), expected)
    text = doubts(numbers, expected, size=(WIDTH / 4, HEIGHT / 4), annotated=(WIDTH, HEIGHT))
    assert text.startswith("the boxes fit the sizes that the annotations give and not those of the images")


def test_absurd_numbers_raise_neither_doubts_nor_warnings():
    assert doubts(np.array([[1e308, -1e308, 1e308, 1e308]] * 3).T, COCO_BOXES, np.array([1e308] * 3)) == ""


SHIFTED = ((4, 30, 40, 66), (62, 20, 90, 44), (50, 40, 90, 70))


def coco_folder(folder, write_box):
    content = coco_content([draw_image(folder / "train" / "a.jpg").name], SHIFTED, ("a", "b", "c"))
    for annotation, box in zip(content["annotations"], SHIFTED, strict=True):
        annotation |= {"bbox": write_box(*box), "area": None}
    write(folder / "train.json", content)


@pytest.mark.parametrize(
    ("write_box", "guess"),
    [
        (lambda *box: list(box), "[x1, y1, x2, y2]"),
        (lambda x1, y1, x2, y2: [y1, x1, y2 - y1, x2 - x1], "[y, x, height, width]"),
        (
            lambda x1, y1, x2, y2: [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1],
            "[centre x, centre y, width, height]",
        ),
        (lambda x1, y1, x2, y2: [x1 / 96, y1 / 72, (x2 - x1) / 96, (y2 - y1) / 72], "fractions of the image"),
    ],
)
def test_a_coco_folder_in_another_format_says_so_before_training(tmp_path, capsys, write_box, guess):
    coco_folder(tmp_path, write_box)
    dataset = open_folder(tmp_path, for_training=True)
    assert dataset.summary().warnings[0].startswith(f"the boxes look like {guess}")
    assert f"the boxes look like {guess}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("write_box", "guess"),
    [
        (lambda x1, y1, x2, y2: (x1, y1, x2 - x1, y2 - y1), "[x, y, width, height]"),
        (lambda x1, y1, x2, y2: (y1, x1, y2, x2), "[y1, x1, y2, x2]"),
        (lambda x1, y1, x2, y2: (x1 / 96, y1 / 72, x2 / 96, y2 / 72), "fractions of the image"),
    ],
)
def test_a_voc_folder_in_another_format_says_so(tmp_path, write_box, guess):
    draw_image(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", voc_xml("a.jpg", [write_box(*box) for box in SHIFTED], "abc"))
    assert read_folder(tmp_path).summary().warnings[0].startswith(f"the boxes look like {guess}")


def test_a_yolo_folder_in_pixels_says_so(tmp_path):
    draw_image(tmp_path / "a.jpg")
    rows = [[float(value) for value in line.split()] for line in yolo_text(SHIFTED).splitlines()]
    scale = (1, *SIZE, *SIZE)
    lines = [" ".join(f"{value * by:g}" for value, by in zip(row, scale, strict=True)) for row in rows]
    write(tmp_path / "a.txt", "\n".join(lines))
    write(tmp_path / "classes.txt", "a\nb\nc\n")
    assert read_folder(tmp_path).summary().warnings[0].startswith("the boxes look like pixels")
