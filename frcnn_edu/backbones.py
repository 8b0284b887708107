"""Backbones: the convolutional networks that turn an image into feature maps.

The networks and the feature pyramid are torchvision's, except `tiny`, which the lessons train from scratch. A backbone
is a module with an attribute ``out_channels`` that returns one map, or an ordered dict of maps, finest first.

VGG16 up to conv5_3 is the paper's (section 3.2): 13 convolutions, four poolings, stride 16, 512 channels.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from frcnn_edu.pretrained import fetching

TINY_CHANNELS = (16, 32, 64, 96)
NORM_GROUPS = 8


class Stack(nn.Sequential):
    """Layers one after another; the last gives a map of `out_channels` channels."""

    def __init__(self, *layers: nn.Module, out_channels: int) -> None:
        super().__init__(*layers)
        self.out_channels = out_channels


def tiny(channels: Sequence[int] = TINY_CHANNELS) -> Stack:
    """A small network to train from scratch: every stage halves the map, so four stages have stride 16.

    Group normalisation, unlike batch normalisation, does not depend on the number of images in a step.
    """
    stages = [
        nn.Sequential(_conv(before, after, stride=2), _conv(after, after))
        for before, after in zip((3, *channels), channels, strict=False)
    ]
    return Stack(*stages, out_channels=channels[-1])


def vgg16(weights: str | None = None, trainable_layers: int = 13) -> Stack:
    """VGG16 up to conv5_3, stride 16, 512 channels; of its 13 convolutions the last `trainable_layers` learn.

    `weights` is a name of torchvision's, such as "IMAGENET1K_V1". The paper trains conv3_1 and up: 9 layers.
    Raises ValueError for a number of layers outside 0 to 13, WeightsError for weights that are not available.
    """
    _check_trainable(trainable_layers, 13)
    with fetching("vgg16", weights):
        body = torchvision.models.vgg16(weights=weights).features[:-1]
    layers = [layer for layer in body if isinstance(layer, nn.Conv2d)]
    for layer in layers[: len(layers) - trainable_layers]:
        layer.requires_grad_(False)
    return Stack(*body, out_channels=512)


def mobilenet_v2(
    weights: str | None = None, trainable_layers: int = 14, out_channels: int = 128, frozen: bool | None = None
) -> "Pyramid":
    """MobileNetV2 under a feature pyramid of strides 8, 16 and 32, and a pooled fourth level.

    `weights` is a name of torchvision's. If `frozen`, the default with weights, batch norms are fixed and of the 18
    blocks the last `trainable_layers` learn: by default all from stride 8 on, as the blocks before detect edges and
    colours and are the most expensive. Otherwise all learn.
    Raises ValueError for a number of blocks outside 0 to 18, WeightsError for weights that are not available.
    """
    _check_trainable(trainable_layers, 18)
    frozen = bool(weights) if frozen is None else frozen
    with fetching("mobilenet_v2", weights):
        body = torchvision.models.mobilenet_v2(weights=weights, norm_layer=_FrozenNorm if frozen else None)
    features = body.features.to(memory_format=torch.channels_last)  # a tenth faster on a CPU
    if frozen:
        for block in features[: 18 - trainable_layers]:
            block.requires_grad_(False)
    return Pyramid(features, {"6": 32, "13": 96, "17": 320}, out_channels, pooled_level=True)


def resnet50_fpn(weights: str | None = None, frozen_norm: bool = False, trainable_layers: int = 5) -> "Pyramid":
    """ResNet-50 under a feature pyramid of strides 4 to 32, 256 channels, and a pooled fifth level, as in torchvision.

    Of its five parts (stem, layer1 .. layer4) the last `trainable_layers` learn. Raises ValueError for a number
    outside 0 to 5, WeightsError for weights that are not available.
    """
    _check_trainable(trainable_layers, 5)
    norm = FrozenBatchNorm2d if frozen_norm else nn.BatchNorm2d
    with fetching("resnet50", weights):
        body = torchvision.models.resnet50(weights=weights, norm_layer=norm)
    parts = ("layer4", "layer3", "layer2", "layer1", "conv1", "bn1")
    trainable = parts if trainable_layers == 5 else parts[:trainable_layers]
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(name.startswith(trainable))
    taps = {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}
    return Pyramid(body, taps, out_channels=256, pooled_level=True)


class Pyramid(nn.Module):
    """torchvision's feature pyramid network on several stages of `body`.

    `taps` maps the children of `body` to use, finest first, to their number of channels; later children are dropped.
    Source: Feature Pyramid Networks, section 3.
    """

    def __init__(self, body: nn.Module, taps: dict[str, int], out_channels: int, pooled_level: bool = False) -> None:
        super().__init__()
        children = list(body.named_children())
        last = [name for name, _ in children].index(list(taps)[-1])
        self.body = nn.ModuleDict(dict(children[: last + 1]))
        self.fpn = FeaturePyramidNetwork(
            list(taps.values()), out_channels, extra_blocks=LastLevelMaxPool() if pooled_level else None
        )
        self.levels = {name: str(level) for level, name in enumerate(taps)}
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Images (B, 3, H, W) -> maps (B, C, H / stride, W / stride) named "0", "1", ... and perhaps "pool"."""
        maps = OrderedDict()
        for name, child in self.body.items():
            x = child(x)
            if name in self.levels:
                maps[self.levels[name]] = x
        return self.fpn(maps)


class _FrozenNorm(FrozenBatchNorm2d):
    """torchvision's, in one operation and in the input's precision: under autocast torchvision's widens to float32."""

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()  # (C,)
        shift = self.bias - self.running_mean * scale  # (C,)
        return torch.addcmul(shift.to(x)[:, None, None], x, scale.to(x)[:, None, None])


def _check_trainable(layers: int, parts: int) -> None:
    if not 0 <= layers <= parts:
        raise ValueError(f"trainable_layers counts from the top, 0 to {parts}; got {layers}")


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        nn.GroupNorm(NORM_GROUPS, out_channels),
        nn.ReLU(inplace=True),
    )
