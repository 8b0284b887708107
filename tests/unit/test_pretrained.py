"""Weights of others: from the cache without a network, and one sentence where they are not to be had."""

import pathlib

import pytest
import torch
import torchvision

from frcnn_edu import backbones, pretrained
from frcnn_edu.faster_rcnn import fasterrcnn_resnet50_fpn
from frcnn_edu.pretrained import DETECTOR, WeightsError

FILE = "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network: whoever asks for it is told that there is none."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def no_network(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_where_weights_lie_and_what_coco_calls_its_labels(cache):
    assert pretrained.cached_file(DETECTOR, "COCO_V1") == cache / FILE
    names = pretrained.coco_class_names()
    assert (len(names), names[0], names[1], names[90]) == (91, "__background__", "person", "toothbrush")


def test_no_cache_and_no_network_is_one_sentence(cache):
    with pytest.raises(WeightsError) as caught:
        fasterrcnn_resnet50_fpn(weights="COCO_V1")
    message = str(caught.value)
    assert "\n" not in message
    assert str(cache / FILE) in message
    assert "160 MB" in message
    assert "go online" in message
    with pytest.raises(WeightsError, match="not on this computer"):
        pretrained.require_cached(DETECTOR, "COCO_V1")


@pytest.mark.parametrize("body", [backbones.mobilenet_v2, backbones.vgg16, backbones.resnet50_fpn])
def test_bodies_say_so_too(cache, body):
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        body("IMAGENET1K_V1")
    body_name = body.__name__.removesuffix("_fpn")
    with pytest.raises(ValueError, match=f"torchvision has no weights 'MINE' of {body_name}; it has IMAGENET1K_V1"):
        body("MINE")


@pytest.mark.parametrize("content", [b"", b"no pickle at all", "another network"])
def test_a_damaged_file_in_the_cache_is_named(cache, content):
    """An empty file, one of text, and one with the weights of another network."""
    path = cache / "mobilenet_v2-b0353104.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="damaged or belongs to another network; remove it"):
        backbones.mobilenet_v2("IMAGENET1K_V1")


def test_a_file_in_the_cache_needs_no_network(cache):
    drawn = torchvision.models.mobilenet_v2(weights=None).state_dict()
    torch.save(drawn, cache / "mobilenet_v2-b0353104.pth")
    pretrained.require_cached("mobilenet_v2", "IMAGENET1K_V1")
    body = backbones.mobilenet_v2("IMAGENET1K_V1").body
    assert torch.equal(body.state_dict()["0.0.weight"], drawn["features.0.0.weight"])


def test_a_home_folder_is_not_spelt_out(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path)
    with pytest.raises(WeightsError, match=rf"~/hub/checkpoints/{FILE}") as caught:
        pretrained.require_cached(DETECTOR, "COCO_V1")
    assert str(tmp_path) not in str(caught.value)
