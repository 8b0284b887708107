"""Backbones: maps of the promised channels and strides, and the layers that learn."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from frcnn_edu import backbones


def on_meta(build, *arguments: object) -> nn.Module:
    """Built without memory and without drawing weights: enough where only shapes count."""
    with torch.device("meta"):
        return build(*arguments)


def maps(body: nn.Module, size: tuple[int, int]) -> list[tuple[int, ...]]:
    found = body(torch.empty(1, 3, *size, device="meta"))
    return [tuple(one.shape[1:]) for one in ([found] if isinstance(found, Tensor) else found.values())]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (backbones.tiny, [(96, 12, 20)]),
        (backbones.vgg16, [(512, 12, 20)]),
        (backbones.mobilenet_v2, [(128, 24, 40), (128, 12, 20), (128, 6, 10), (128, 3, 5)]),
        (backbones.resnet50_fpn, [(256, 48, 80), (256, 24, 40), (256, 12, 20), (256, 6, 10), (256, 3, 5)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_channels_and_strides_are_as_promised(build, expected):
    """Of an image of 192 x 320: 12 x 20 is stride 16; a pyramid begins at 4 or 8 and each level halves the map."""
    body = on_meta(build)
    assert maps(body, (192, 320)) == expected
    assert body.out_channels == expected[0][0]


def test_maps_of_a_pyramid_bear_torchvisions_names():
    found = on_meta(backbones.resnet50_fpn)(torch.empty(1, 3, 64, 64, device="meta"))
    assert list(found) == ["0", "1", "2", "3", "pool"]
    assert list(on_meta(backbones.mobilenet_v2)(torch.empty(1, 3, 64, 64, device="meta"))) == ["0", "1", "2", "pool"]


def test_the_pooled_level_is_every_second_cell_of_the_coarsest():
    """It is for the RPN's largest anchors alone; nothing is averaged."""
    torch.manual_seed(0)
    found = backbones.resnet50_fpn().eval()(torch.rand(1, 3, 96, 128))
    assert torch.equal(found["pool"], found["3"][:, :, ::2, ::2])


def test_a_finer_level_holds_what_the_coarser_ones_know():
    """The pyramid's way down: change the coarsest tap and every finer map changes."""
    torch.manual_seed(0)
    body = backbones.mobilenet_v2().eval()
    image = torch.rand(1, 3, 64, 64)
    before = body(image)
    with torch.no_grad():
        body.fpn.inner_blocks[2][0].bias.add_(1.0)
    assert all((body(image)[name] != one).any() for name, one in before.items())


def test_vgg16_is_13_convolutions_and_four_poolings():
    """Section 3.2. torchvision's `features` end with a fifth pooling, which the paper leaves out."""
    body = on_meta(backbones.vgg16)
    assert sum(isinstance(layer, nn.Conv2d) for layer in body) == 13
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in body) == 4
    assert isinstance(body[-1], nn.ReLU)
    assert list(body.state_dict()) == [
        name.removeprefix("features.")
        for name in on_meta(torchvision.models.vgg16).state_dict()
        if name.startswith("features.")
    ]


@pytest.mark.parametrize("layers", [0, 9, 13])
def test_of_vgg16_the_last_layers_learn(layers):
    body = on_meta(backbones.vgg16, None, layers)
    learns = [layer.weight.requires_grad for layer in body if isinstance(layer, nn.Conv2d)]
    assert learns == [False] * (13 - layers) + [True] * layers
    assert all(layer.bias.requires_grad == layer.weight.requires_grad for layer in body if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize(
    ("layers", "frozen"),
    [(5, set()), (3, {"conv1", "bn1", "layer1"}), (0, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"})],
)
def test_of_resnet50_the_last_parts_learn(layers, frozen):
    body = on_meta(backbones.resnet50_fpn, None, False, layers)
    assert {name.split(".")[0] for name, p in body.body.named_parameters() if not p.requires_grad} == frozen
    assert all(p.requires_grad for p in body.fpn.parameters())


@pytest.mark.parametrize(("weights", "frozen"), [("IMAGENET1K_V1", {"0", "1", "2", "3"}), (None, set())])
def test_of_mobilenet_v2_the_blocks_before_stride_8_keep_what_imagenet_taught(monkeypatch, weights, frozen):
    drawn = torchvision.models.mobilenet_v2(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models.MobileNet_V2_Weights, "get_state_dict", lambda *_, **__: drawn)
    body = backbones.mobilenet_v2(weights)
    assert {name.split(".")[0] for name, p in body.body.named_parameters() if not p.requires_grad} == frozen
    assert all(p.requires_grad for p in body.fpn.parameters())
    with pytest.raises(ValueError, match="0 to 18; got 19"):
        backbones.mobilenet_v2(None, 19)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_one_pass_norm_equals_torchvisions_and_keeps_the_precision(dtype):
    torch.manual_seed(0)
    ours, theirs = backbones._FrozenNorm(8), FrozenBatchNorm2d(8)
    for name, values in theirs.state_dict().items():
        values.copy_(torch.rand_like(values) + 0.5)
        ours.state_dict()[name].copy_(values)
    x = torch.randn(2, 8, 5, 7, dtype=dtype)
    assert ours(x).dtype == dtype
    torch.testing.assert_close(
        ours(x).float(),
        theirs(x.float()),
        rtol=0.02 if dtype == torch.bfloat16 else 1e-6,
        atol=0.02 if dtype == torch.bfloat16 else 1e-6,
    )


@pytest.mark.parametrize(("build", "layers"), [(backbones.vgg16, 14), (backbones.vgg16, -1)], ids=["14", "-1"])
def test_more_layers_than_there_are_cannot_learn(build, layers):
    with pytest.raises(ValueError, match=rf"trainable_layers counts from the top, 0 to 13; got {layers}"):
        build(None, layers)
    with pytest.raises(ValueError, match="0 to 5; got 6"):
        backbones.resnet50_fpn(trainable_layers=6)


def test_norms_are_frozen_where_weights_were_learned(monkeypatch):
    """Two images a step are too few to estimate a mean from; what ImageNet taught is kept."""
    drawn = torchvision.models.mobilenet_v2(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models.MobileNet_V2_Weights, "get_state_dict", lambda *_, **__: drawn)
    for weights, kind in ((None, nn.BatchNorm2d), ("IMAGENET1K_V1", FrozenBatchNorm2d)):
        body = backbones.mobilenet_v2(weights).body
        norms = [module for module in body.modules() if isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d))]
        assert norms
        assert all(isinstance(norm, kind) for norm in norms)
    assert torch.equal(body.state_dict()["0.0.weight"], drawn["features.0.0.weight"])
    frozen = on_meta(backbones.resnet50_fpn, None, True).body
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())


def test_tiny_does_not_care_how_many_images_share_a_step():
    torch.manual_seed(0)
    body, images = backbones.tiny().train(), torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(body(images)[1:2], body(images[1:2]))


def test_tiny_has_as_many_stages_as_channels():
    body = backbones.tiny((8, 16))
    assert body.out_channels == 16
    assert body(torch.rand(1, 3, 32, 32)).shape == (1, 16, 8, 8)
