"""Generated scenes: the same bits everywhere, boxes that fit the pixels, settings that do what they say."""

import hashlib
import time

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from frcnn_edu.datasets.shapes import (
    CLASS_NAMES,
    HARD,
    PLAIN,
    Shapes,
    ShapesConfig,
    ShapesOptions,
    _drawn,
    _Scene,
    _shape,
    draw_scene,
)

FIRST_FIVE = "41928f32cabbaaa5206d0be535edfd5c02bcb3c4a8fb2f6481e0829a132561b0"
"""SHA-256 of the first five default scenes and their targets. A change of it is a change of everybody's data set."""


def one_object(**options):
    return Shapes(60, objects=(1, 1), empty=0, difficulty=0, **options)


def sides(boxes):
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def within(boxes, image):
    """The boxes that do not touch the border, whose sides are those of the whole object."""
    height, width = image.shape[1:]
    return (boxes[:, :2] > 0).all(1) & (boxes[:, 2] < width) & (boxes[:, 3] < height)


def digest(dataset):
    total = hashlib.sha256()
    for index in range(len(dataset)):
        image, target = dataset[index]
        for tensor in ((image * 255).round().byte(), target["boxes"], target["labels"]):
            total.update(np.ascontiguousarray(tensor.numpy().astype(tensor.numpy().dtype.newbyteorder("<"))).tobytes())
    return total.hexdigest()


def test_the_same_bits_on_any_machine():
    assert digest(Shapes(5)) == FIRST_FIVE


def test_options_are_the_fields_of_the_configuration():
    assert ShapesOptions.__annotations__ == ShapesConfig.__annotations__


def test_a_scene_does_not_depend_on_what_was_drawn_before():
    forward = [Shapes(6, seed=3)[index] for index in range(6)]
    dataset = Shapes(1000, seed=3)
    for index in (5, 0, 3, 3, 1):
        image, target = dataset[index]
        assert torch.equal(image, forward[index][0])
        assert all(torch.equal(target[key], forward[index][1][key]) for key in target)


def test_workers_draw_the_same_scenes():
    dataset = Shapes(8, image_size=64)
    loader = DataLoader(dataset, batch_size=None, num_workers=2)
    for (image, target), index in zip(loader, range(8), strict=True):
        assert torch.equal(image, dataset[index][0])
        assert torch.equal(target["boxes"], dataset[index][1]["boxes"])


def test_global_random_state_is_neither_read_nor_touched():
    np.random.seed(1)  # noqa: NPY002 - it is the global state that is watched
    torch.manual_seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    Shapes(3)[1]
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_splits_and_seeds_share_no_scene():
    sets = [Shapes(20, split, seed, image_size=64) for split in ("train", "val", "test") for seed in (0, 1)]
    scenes = {dataset[index][0].numpy().tobytes() for dataset in sets for index in range(20)}
    assert len(scenes) == 6 * 20


@pytest.mark.parametrize("config", [PLAIN, ShapesConfig(), HARD, ShapesConfig(image_size=(96, 160), lean=1.0)])
def test_targets_have_torchvisions_form_and_lie_in_the_image(config):
    dataset = Shapes(40, config=config)
    height, width = config.height_width
    for index in range(40):
        image, target = dataset[index]
        boxes, labels = target["boxes"], target["labels"]
        assert image.shape == (3, height, width)
        assert image.dtype == boxes.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert ((image >= 0) & (image <= 1)).all()
        assert boxes.shape == (len(labels), 4)
        assert ((boxes >= 0) & (boxes <= torch.tensor([width, height, width, height]))).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 2).all()
        assert ((labels >= 1) & (labels < len(dataset.class_names))).all()
    assert dataset.class_names == CLASS_NAMES


@pytest.mark.parametrize("name", CLASS_NAMES[1:])
def test_the_box_is_the_extent_of_the_pixels(name):
    for index in range(30):
        image, target = one_object(classes=(name,), lean=0.5)[index]
        ground = image.flatten(1).median(dim=1).values[:, None, None]
        ys, xs = ((image - ground).abs().amax(dim=0) > 0.25).nonzero().unbind(1)
        seen = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert (seen - target["boxes"][0]).abs().max() < 2, f"{name}, scene {index}"


def test_three_classes_differ_in_proportion_only():
    names = ("square", "standing bar", "lying bar")
    dataset = Shapes(200, classes=names, lean=0, ratios=(2, 4))
    expected = {1: (1, 1), 2: (2, 4), 3: (1 / 4, 1 / 2)}
    found = set()
    for index in range(200):
        image, target = dataset[index]
        keep = within(target["boxes"], image)
        width, height = sides(target["boxes"][keep])
        for label, ratio in zip(target["labels"][keep].tolist(), (height / width).tolist(), strict=True):
            low, high = expected[label]
            assert low - 0.01 <= ratio <= high + 0.01, names[label - 1]
            found.add(label)
    assert found == {1, 2, 3}


def test_sizes_and_ratios_starve_the_anchors_as_asked():
    dataset = Shapes(100, sizes=(16, 20), ratios=(6, 6), classes=("standing bar",), lean=0)
    measured = 0
    for index in range(100):
        image, target = dataset[index]
        width, height = sides(target["boxes"][within(target["boxes"], image)])
        assert ((height >= 15.99) & (height <= 20.01)).all()
        assert torch.allclose(height / width, torch.tensor(6.0), atol=0.01)
        measured += len(height)
    assert measured > 200


def test_default_sizes_run_from_12_px_to_half_the_image():
    longest = []
    for index in range(300):
        image, target = Shapes(300, lean=0)[index]
        longest += torch.maximum(*sides(target["boxes"][within(target["boxes"], image)])).tolist()
    assert 11.99 <= min(longest) < 13
    assert 120 < max(longest) <= 128.01
    assert sorted(longest)[len(longest) // 2] < 50, "small objects are to be the more frequent ones"


def test_density_and_emptiness_are_as_asked():
    assert all(len(Shapes(30, empty=1.0)[index][1]["labels"]) == 0 for index in range(30))
    assert all(len(one_object()[index][1]["labels"]) == 1 for index in range(60))
    crowd = [len(Shapes(30, objects=(10, 10), empty=0, sizes=(12, 24))[index][1]["labels"]) for index in range(30)]
    assert sum(crowd) / 30 > 9
    empty = sum(len(Shapes(400, objects=(1, 1), empty=0.25)[index][1]["labels"]) == 0 for index in range(400))
    assert 70 <= empty <= 130


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_every_object_keeps_enough_to_be_seen(difficulty):
    config = ShapesConfig(difficulty=difficulty, objects=(14, 14), min_visible=0.35)
    hidden = 0
    for index in range(25):
        scene = _Scene(config, np.random.default_rng(index))
        owner = scene.owner[scene.owner >= 0]
        seen = np.bincount(owner, minlength=len(scene.boxes))
        assert (seen == scene.seen).all()
        assert (seen >= 0.35 * scene.whole).all()
        hidden += int((seen < 0.9 * scene.whole).sum())
    assert (hidden > 25) == (difficulty > 0), "objects are to hide one another, but not on plain scenes"


def test_difficulty_adds_texture_and_noise():
    def roughness(difficulty):
        images = [Shapes(20, empty=1.0, difficulty=difficulty)[index][0] for index in range(20)]
        return torch.stack([image.diff(dim=2).abs().mean() for image in images]).mean()

    assert roughness(0) < roughness(0.5) < roughness(1)


def test_a_scene_takes_milliseconds():
    dataset = Shapes(60)
    dataset[0]
    took = []
    for index in range(60):
        start = time.process_time()
        dataset[index]
        took.append(time.process_time() - start)
    assert sorted(took)[30] < 0.02


def test_indices_count_from_both_ends_and_stop_there():
    dataset = Shapes(4, image_size=64)
    assert torch.equal(dataset[-1][0], dataset[3][0])
    assert len(list(dataset)) == 4
    for index in (4, -5):
        with pytest.raises(IndexError):
            dataset[index]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 16}, "image_size"),
        ({"image_size": (256, 8)}, "image_size"),
        ({"sizes": (40, 20)}, "sizes"),
        ({"sizes": (0, 20)}, "sizes"),
        ({"sizes": (12, 300)}, "sizes"),
        ({"ratios": (0.5, 2)}, "ratios"),
        ({"objects": (3, 1)}, "objects"),
        ({"objects": (-1, 1)}, "objects"),
        ({"empty": 1.5}, "empty"),
        ({"difficulty": -0.1}, "difficulty"),
        ({"difficulty": float("nan")}, "difficulty"),
        ({"min_visible": 2}, "min_visible"),
        ({"lean": 3}, "lean"),
        ({"classes": ("disc", "sphere")}, "classes"),
        ({"classes": ("disc", "disc")}, "classes"),
        ({"classes": ()}, "classes"),
        ({"split": "training"}, "split"),
        ({"seed": -1}, "negative"),
        ({"length": -1}, "negative"),
    ],
)
def test_settings_that_make_no_scene_are_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        Shapes(**{"length": 1, **options})


@pytest.mark.parametrize("name", CLASS_NAMES[1:])
def test_the_smallest_image_holds_every_class(name):
    scenes = Shapes(20, image_size=32, sizes=(6, 31), classes=(name,), empty=0)
    assert sum(len(scenes[index][1]["labels"]) for index in range(20)) > 10


# Scenes that somebody has placed


@pytest.mark.parametrize("name", CLASS_NAMES[1:])
def test_a_placed_shape_fills_its_box(name):
    boxes = torch.tensor([[40.25, 60.5, 120.75, 100.0], [150.0, 20.0, 190.0, 140.5], [20.5, 130.0, 84.5, 194.0]])
    ground = draw_scene(boxes[:0], [], [], difficulty=0)
    for box in boxes:
        image = draw_scene(box[None], [name], [3], difficulty=0)
        ys, xs = ((image - ground).abs().amax(dim=0) > 0.2).nonzero().unbind(1)
        seen = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert (seen - box).abs().max() < 4, f"{name} in {box.tolist()} is drawn in {seen.tolist()}"


@pytest.mark.parametrize("name", CLASS_NAMES[1:])
def test_it_is_drawn_as_in_generated_scenes(name):
    """Of the same box and detail the sheet is the same."""
    for seed in range(5):
        shape = _shape(name, ShapesConfig(lean=0), np.random.default_rng(seed))
        detail = np.random.default_rng(seed).random(2)[1]
        half_width, half_height = (shape.extent[2:] - shape.extent[:2]) / 2
        again = _drawn(name, (half_width, half_height), 0.0, detail, shape.extent[:2] - 1)
        assert again.alpha.shape == shape.alpha.shape
        assert np.abs(again.alpha - shape.alpha).max() < 1e-4


def test_moving_one_shape_leaves_the_rest_of_the_picture_as_it_was():
    boxes = torch.tensor([[20.0, 20, 70, 70], [150, 150, 220, 220]])
    before = draw_scene(boxes, ["disc", "cross"], [1, 2], background=5)
    boxes[1] -= 30
    after = draw_scene(boxes, ["disc", "cross"], [1, 2], background=5)
    assert torch.equal(before[:, :110, :110], after[:, :110, :110])
    assert not torch.equal(before, after)
    assert not torch.equal(before, draw_scene(boxes, ["disc", "cross"], [1, 2], background=6))


def test_half_a_pixel_is_drawn():
    box = torch.tensor([[60.0, 60, 110, 110]])
    assert not torch.equal(draw_scene(box, ["square"], [1]), draw_scene(box + 0.5, ["square"], [1]))


def test_later_shapes_lie_on_top():
    boxes = torch.tensor([[50.0, 50, 100, 100], [50, 50, 100, 100]])
    alone = draw_scene(boxes[:1], ["square"], [2])
    assert torch.equal(draw_scene(boxes, ["disc", "square"], [1, 2])[:, 60:90, 60:90], alone[:, 60:90, 60:90])


@pytest.mark.parametrize(
    ("box", "name", "words"),
    [((10, 10, 10, 40), "disc", "boxes"), ((40, 10, 10, 40), "disc", "boxes"), ((10, 10, 40, 40), "star", "star")],
)
def test_a_placed_shape_that_cannot_be_drawn_is_refused(box, name, words):
    with pytest.raises(ValueError, match=words):
        draw_scene(torch.tensor([box]).float(), [name], [0])


def test_a_shape_may_reach_out_of_the_picture():
    boxes = torch.tensor([[-20.0, -20, 30, 30], [240, 100, 300, 150], [300, 300, 340, 340]])
    assert draw_scene(boxes, ["disc", "cross", "ring"], [0, 1, 2]).shape == (3, 256, 256)
