"""The networks that lessons 03 and 04 train side by side learn as they would alone."""

import torch
from torch import nn

from frcnn_edu.course.compare_heads import measure_head, train_heads, watch
from frcnn_edu.course.crop_regression import crops_around, learn_together
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.shapes import PLAIN, Shapes

SCENES = Shapes(12, config=PLAIN)


def scenes(*numbers):
    return [SCENES[number] for number in numbers]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_head_learns_the_same_beside_others_as_alone():
    model = load_trained()
    seen = watch(model, scenes(*range(8)))
    together = train_heads(model, seen, {"both": (1.0, 1.0), "boxes": (0.0, 1.0)}, steps=4)
    alone = train_heads(model, seen, {"both": (1.0, 1.0)}, steps=4)
    assert equal(together["both"], alone["both"])
    assert not equal(together["both"], together["boxes"])


def test_the_detectors_own_head_has_every_skill_and_an_untrained_one_none():
    model = load_trained()
    unseen = watch(model, scenes(8, 9, 10, 11))
    own = measure_head(model, model.rpn.head, unseen)
    torch.manual_seed(0)
    fresh = measure_head(model, train_heads(model, unseen, {"one": (1.0, 1.0)}, steps=0)["one"], unseen)
    assert own.in_order > 0.95 > fresh.in_order
    assert own.mean_iou > 0.7 > fresh.mean_iou
    assert own.recall > 0.8 > fresh.recall


def test_a_crop_lies_round_its_anchor_and_networks_learn_side_by_side():
    torch.manual_seed(0)
    crops = crops_around(scenes(0, 1), (0.1, 0.1, 0.2, 0.2))
    count = 4 * sum(len(target["boxes"]) for _, target in scenes(0, 1))
    assert crops.pixels.shape == (count, 3, 12, 12)
    assert len(crops.anchors) == len(crops.objects) == len(crops.labels) == count
    wanted = torch.zeros(count, 4)
    losses = {
        "squared": lambda found, rows: nn.functional.mse_loss(found, wanted[rows]),
        "absolute": lambda found, rows: nn.functional.l1_loss(found, wanted[rows]),
    }
    together = learn_together(crops.pixels, losses, steps=5)
    torch.manual_seed(0)
    assert set(together) == set(losses)
    assert not equal(together["squared"], together["absolute"])
    assert together["squared"](crops.pixels).shape == (count, 4)
