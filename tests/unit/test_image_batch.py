"""Images at the door: normalised, resized, padded; boxes there and back; and bad input named."""

import numpy as np
import pytest
import torch

from frcnn_edu.config import Config
from frcnn_edu.images import batch_images, check_images, check_targets, resize_boxes

LIKE = torch.zeros(())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((30, 40), (60, 80)),  # the shorter side becomes 60
        ((40, 30), (80, 60)),
        ((30, 60), (50, 100)),  # or the longer one 100, whichever is less
        ((120, 160), (60, 80)),  # smaller too
        ((60, 100), (60, 100)),  # or as it is
        ((31, 47), (60, 90)),  # whole pixels, rounded down
    ],
)
def test_the_shorter_side_becomes_min_size_and_the_longer_at_most_max_size(size, expected):
    batch = batch_images([torch.rand(3, *size)], Config(min_size=60, max_size=100))
    assert batch.sizes == [expected]
    assert batch.original_sizes == [size]


@pytest.mark.parametrize("size", [(1, 600), (900, 1), (2, 5000)])
def test_a_strip_keeps_a_row_of_pixels(size):
    batch = batch_images([torch.rand(3, *size)], Config(min_size=256, max_size=256))
    assert min(batch.sizes[0]) == 1
    assert max(batch.sizes[0]) == 256


def test_a_batch_is_padded_with_zeros_until_both_sides_divide():
    images = [torch.ones(3, 20, 33), torch.ones(3, 27, 20)]
    config = Config(min_size=20, max_size=200, size_divisible=16, image_mean=(0.0,) * 3, image_std=(1.0,) * 3)
    batch = batch_images(images, config)
    assert batch.padded_size == batch.tensors.shape[2:] == (32, 48)
    for tensor, (height, width) in zip(batch.tensors, batch.sizes, strict=True):
        assert (tensor[:, :height, :width] == 1).all()
        assert tensor.sum() == 3 * height * width, "beyond the image all is 0"


def test_a_side_that_divides_already_gets_no_padding():
    assert batch_images([torch.rand(3, 64, 96)], Config(min_size=64, max_size=96)).padded_size == (64, 96)


def test_each_colour_is_normalised_with_its_mean_and_spread():
    image = torch.tensor([0.2, 0.4, 0.8])[:, None, None].expand(3, 32, 32)
    config = Config(min_size=32, max_size=32, image_mean=(0.1, 0.2, 0.3), image_std=(0.1, 0.2, 0.5))
    torch.testing.assert_close(batch_images([image], config).tensors[0, :, 5, 7], torch.ones(3))


def test_images_that_are_handed_in_stay_as_they_are():
    image = torch.rand(3, 64, 64)
    before = image.clone()
    batch_images([image], Config(min_size=64, max_size=64)).tensors.zero_()
    assert torch.equal(image, before)


def test_of_several_sizes_training_draws_one_and_inference_takes_the_last():
    config, image = Config(min_size=(32, 48, 64), max_size=100), torch.rand(3, 40, 40)
    assert {batch_images([image], config).sizes[0] for _ in range(9)} == {(64, 64)}
    torch.manual_seed(0)
    drawn = [batch_images([image], config, training=True).sizes[0] for _ in range(60)]
    assert set(drawn) == {(32, 32), (48, 48), (64, 64)}


def test_boxes_follow_their_image_and_come_back():
    boxes = torch.tensor([[10.0, 5.0, 40.0, 30.0]])
    moved = resize_boxes(boxes, (30, 40), (60, 120))
    assert moved.tolist() == [[30.0, 10.0, 120.0, 60.0]]
    assert resize_boxes(moved, (60, 120), (30, 40)).tolist() == boxes.tolist()
    batch = batch_images([torch.rand(3, 9, 9), torch.rand(3, 30, 40)], Config(min_size=60, max_size=100))
    torch.testing.assert_close(
        batch.to_original(torch.tensor([[0.0, 0.0, 80.0, 60.0]]), 1), torch.tensor([[0.0, 0, 40, 30]])
    )
    assert resize_boxes(torch.zeros(0, 4), (30, 40), (60, 80)).shape == (0, 4)


GOOD = torch.rand(3, 8, 8)

BAD_IMAGES = {
    "one tensor": (GOOD, ValueError, r"list of \(3, H, W\).*\[image\]"),
    "no images": ([], ValueError, "empty: pass at least one"),
    "two dimensions": ([GOOD[0]], ValueError, r"images\[0\] must be \(3, H, W\), colours first, got \(8, 8\)"),
    "colours last": ([GOOD, GOOD.permute(1, 2, 0)], ValueError, r"images\[1\] must be \(3, H, W\).*got \(8, 8, 3\)"),
    "an alpha channel": ([torch.rand(4, 8, 8)], ValueError, r"\(3, H, W\).*got \(4, 8, 8\)"),
    "no pixels": ([torch.rand(3, 0, 8)], ValueError, r"\(3, H, W\).*got \(3, 0, 8\)"),
    "bytes": (
        [torch.zeros(3, 8, 8, dtype=torch.uint8)],
        TypeError,
        r"floats in \[0, 1\], got torch.uint8; divide by 255",
    ),
    "an array": (
        [np.zeros((3, 8, 8), np.float32)],
        TypeError,
        r"images\[0\] must be a \(3, H, W\) tensor, got ndarray",
    ),
    "0 to 255": ([255 * GOOD], ValueError, r"values in \[0, 1\], got .* to 2\d\d.*divide 0-255 by 255"),
    "normalised": ([4 * GOOD - 2], ValueError, r"\[0, 1\].*leave normalisation to the model"),
    "NaN": ([GOOD.where(GOOD > 0.5, torch.nan)], ValueError, r"images\[0\] must hold values in \[0, 1\], got nan"),
    "infinity": ([GOOD.where(GOOD > 0.5, torch.inf)], ValueError, r"\[0, 1\], got .* to inf"),
    "double precision": ([GOOD.double()], TypeError, r"images\[0\] is torch.float64, the model torch.float32"),
    "elsewhere": ([GOOD.to("meta")], ValueError, r"images\[0\] is on meta, the model on cpu; move one"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_an_image_that_is_none_is_named(case):
    images, error, message = BAD_IMAGES[case]
    with pytest.raises(error, match=message):
        check_images(images, LIKE)


def test_images_that_overshoot_a_little_are_let_in():
    """Sharp resampling leaves [0, 1] by a few hundredths; 0 to 2 is no such thing."""
    image = torch.full((3, 4, 4), 1.05)
    image[0, 0, 0] = -0.05
    assert check_images((image,), LIKE) == [image]
    with pytest.raises(ValueError, match=r"got -0.05 to 1.2"):
        check_images([image.where(image < 1, 1.2)], LIKE)
    with pytest.raises(ValueError, match=r"got -0.2 to 1.05"):
        check_images([image.where(image > 0, -0.2)], LIKE)


def test_a_stacked_batch_is_a_list_of_images_too():
    assert len(check_images(torch.rand(2, 3, 8, 8), LIKE)) == 2


IMAGE = torch.zeros(3, 40, 60)  # 60 wide, 40 high
BOXES, LABELS = torch.tensor([[0.0, 0, 10, 10], [20, 10, 60, 40]]), torch.tensor([1, 3])


def target(boxes: object = BOXES, labels: object = LABELS) -> list[dict[str, object]]:
    return [{"boxes": boxes, "labels": labels}]


BAD_TARGETS = {
    "none": (None, ValueError, "training needs targets"),
    "too few": ([], ValueError, "one target per image is needed, got 0 for 1"),
    "too many": (target() * 2, ValueError, "one target per image is needed, got 2 for 1"),
    "no dict": ([BOXES], ValueError, r'targets\[0\] must be a dict with "boxes" and "labels", got Tensor'),
    "no labels": ([{"boxes": BOXES, "image_id": 3}], ValueError, r"must be a dict.*got \['boxes', 'image_id'\]"),
    "boxes as a list": (target([[0, 0, 9, 9]]), TypeError, r"targets\[0\]\['boxes'\] must be a tensor.*got list"),
    "whole pixels": (target(BOXES.long()), TypeError, r"must be floats, got torch.int64"),
    "a flat list of none": (target(torch.zeros(0), LABELS[:0]), ValueError, r"shape \(N, 4\).*got \(0,\)"),
    "no area": (
        target(torch.tensor([[0.0, 0, 9, 9], [5, 5, 5, 9]])),
        ValueError,
        r"\['boxes'\]\[1\] is \(5, 5, 5, 9\), which has no area",
    ),
    "x, y, w, h": (
        target(torch.tensor([[0.0, 0, 9, 9], [30, 20, 10, 9]])),
        ValueError,
        r"\[1\].*x2 < x1 or y2 < y1.*'xywh', 'xyxy'",
    ),
    "x, y, w, h that could be corners": (
        target(torch.tensor([[0.0, 0, 9, 9], [30, 20, 31, 50]])),
        ValueError,
        r"\['boxes'\]\[1\] = \(30.0, 20.0, 31.0, 50.0\) lies outside its image of 60 x 40 px.*x, y, width, height",
    ),
    "left of the image": (target(torch.tensor([[-2.0, 0, 9, 9], [0, 0, 1, 1]])), ValueError, r"\[0\].*lies outside"),
    "NaN": (target(torch.tensor([[0.0, 0, 9, torch.nan], [0, 0, 1, 1]])), ValueError, r"\['boxes'\]\[0\].*finite"),
    "class 0": (target(labels=torch.tensor([1, 0])), ValueError, r"lie in 1 .. 3 \(0 is background.*got 0 .. 1"),
    "a class too many": (target(labels=torch.tensor([1, 4])), ValueError, r"lie in 1 .. 3.*got 1 .. 4"),
    "a class below": (target(labels=torch.tensor([-1, 2])), ValueError, r"lie in 1 .. 3.*got -1 .. 2"),
    "float labels": (target(labels=torch.tensor([1.0, 2.0])), ValueError, r"int64 tensor \(2,\).*got torch.float32"),
    "a label short": (target(labels=LABELS[:1]), ValueError, r"\['labels'\] must be an int64 tensor \(2,\).*\(1,\)"),
    "labels as a list": (target(labels=[1, 2]), ValueError, r"\['labels'\] must be an int64 tensor \(2,\).*got list"),
    "boxes elsewhere": (target(BOXES.to("meta")), ValueError, r"\[0\]\['boxes'\] on meta, .*image on cpu"),
    "labels elsewhere": (target(labels=LABELS.to("meta")), ValueError, r"\['labels'\] on meta, image on cpu; move"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_a_target_that_is_none_is_named(case):
    targets, error, message = BAD_TARGETS[case]
    with pytest.raises(error, match=message):
        check_targets(targets, [IMAGE], num_classes=4)


def test_the_second_image_is_called_so():
    with pytest.raises(ValueError, match=r"targets\[1\]\['boxes'\]\[0\]"):
        check_targets([*target(), *target(torch.tensor([[0.0, 0, 61, 50], [0, 0, 1, 1]]))], [IMAGE] * 2, 4)


def test_boxes_up_to_a_pixel_over_the_border_and_images_without_boxes_are_let_in():
    check_targets(target(torch.tensor([[0.0, 0, 61, 41], [-1, -1, 5, 5]])), [IMAGE], 4)
    check_targets(target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)), [IMAGE], 4)
    check_targets(target(BOXES.double()), [IMAGE], 4)
