"""Augmentation: boxes move along with the image."""

import torch

from frcnn_edu.datasets.augment import augmentation


def target(*boxes):
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {"boxes": rows, "labels": torch.arange(len(rows)) + 1}


def test_boxes_are_mirrored_with_the_image():
    image = torch.rand(3, 50, 80)
    for options, axis, expected in (
        ({"flip": 1.0}, 2, [50, 5, 70, 40]),
        ({"flip": 0.0, "flip_vertically": 1.0}, 1, [10, 10, 30, 45]),
    ):
        mirror = augmentation(**options, brightness=0, contrast=0, saturation=0)
        mirrored, after = mirror(image, target((10, 5, 30, 40)))
        torch.testing.assert_close(mirrored, image.flip(axis), atol=1e-3, rtol=0)
        assert after["boxes"].tolist() == [expected]
        assert after["labels"].tolist() == [1]


def test_an_image_without_boxes_stays_one():
    _, after = augmentation(flip=1.0)(torch.rand(3, 50, 80), target())
    assert after["boxes"].shape == (0, 4)
