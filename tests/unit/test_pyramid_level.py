"""A single pyramid level: all levels together are the trace, and the lessons' explorers open on each."""

import matplotlib as mpl
import pytest
import torch
from matplotlib.figure import Figure

from frcnn_edu.anchors import AnchorGenerator
from frcnn_edu.backbones import Pyramid, tiny
from frcnn_edu.boxes import decode_boxes
from frcnn_edu.course.pyramid_level import view_level
from frcnn_edu.explorers.lesson_01_anchors import GridExplorer
from frcnn_edu.explorers.lesson_02_iou_labeling import LabelExplorer
from frcnn_edu.explorers.lesson_03_rpn_and_loss import LossExplorer, ObjectnessExplorer
from frcnn_edu.explorers.lesson_04_box_regression import PullExplorer, trained_pulls
from frcnn_edu.explorers.lesson_05_proposals import RecallExplorer, StepsExplorer
from frcnn_edu.explorers.lesson_06_roi_pooling import HeadsExplorer, PoolingExplorer
from frcnn_edu.explorers.lesson_07_full_model import BiographyExplorer, biographies
from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.images import resize_boxes
from frcnn_edu.roi_heads import TwoMLPHead

mpl.use("Agg")

IMAGE = torch.rand(3, 72, 100, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor([[5.0, 5, 35, 60], [50, 10, 95, 40], [60, 45, 72, 57]])
TARGET = {"boxes": BOXES, "labels": torch.tensor([1, 2, 1])}
NAMES = ("__background__", "cat", "dog")
LEVELS = range(4)


@pytest.fixture(scope="module")
def model():
    """A detector of four levels, strides 4 to 32, with weights scaled up so that predictions vary."""
    torch.manual_seed(0)
    body = Pyramid(tiny((8, 8, 8, 16)), {"1": 8, "2": 8, "3": 16}, 8, pooled_level=True)
    parts = {
        "rpn_anchor_generator": AnchorGenerator(((12.0,), (24.0,), (48.0,), (96.0,)), ((0.5, 1.0, 2.0),) * 4),
        "box_head": TwoMLPHead(8 * 7 * 7, 16),
    }
    model = FasterRCNN(body, 3, min_size=100, max_size=150, box_score_thresh=0.2, **parts).eval()
    for layer in (model.rpn.head.conv[0][0], model.rpn.head.cls_logits, model.roi_heads.box_predictor.cls_score):
        layer.weight.data.mul_(30)
    return model


@pytest.fixture(scope="module")
def trace(model):
    torch.manual_seed(0)
    with torch.no_grad():
        return model.trace([IMAGE], [TARGET])


def test_the_levels_together_are_the_trace(model, trace):
    views = [view_level(trace, model.config, level, BOXES) for level in LEVELS]
    rpns = [view.trace.rpn for view in views]
    assert [rpn.level_sizes for rpn in rpns] == [[size] for size in trace.rpn.level_sizes]
    assert torch.equal(torch.cat([rpn.anchors for rpn in rpns]), trace.rpn.anchors)
    assert torch.equal(torch.cat([rpn.logits for rpn in rpns], dim=1), trace.rpn.logits)
    assert torch.equal(torch.cat([rpn.deltas for rpn in rpns], dim=1), trace.rpn.deltas)
    targets = [rpn.targets[0] for rpn in rpns]
    assert torch.equal(torch.cat([one.matches.labels for one in targets]), trace.rpn.targets[0].matches.labels)
    assert sum(len(one.sampled) for one in targets) == len(trace.rpn.targets[0].sampled)
    kept = torch.cat([rpn.proposals[0].boxes for rpn in rpns])
    assert sorted(kept.tolist()) == sorted(trace.rpn.proposals[0].boxes.tolist())


@pytest.mark.parametrize("level", LEVELS)
def test_indices_are_into_the_level(model, trace, level):
    rpn = view_level(trace, model.config, level).trace.rpn
    one, targets = rpn.proposals[0], rpn.targets[0]
    decoded = decode_boxes(rpn.deltas[0, one.anchor_index], rpn.anchors[one.anchor_index])
    torch.testing.assert_close(one.decoded, decoded)
    torch.testing.assert_close(one.scores, rpn.logits[0, one.anchor_index].sigmoid())
    assert torch.equal(targets.labels, targets.matches.labels[targets.sampled])
    by = one.suppressed_by
    assert (by[one.kept] == -1).all()
    assert set(by[by >= 0].tolist()) <= set(one.kept.tolist())
    assert (one.scores[by[by >= 0]] >= one.scores[by >= 0]).all()


def test_the_image_is_the_one_that_the_network_saw(model, trace):
    view = view_level(trace, model.config, 0, BOXES)
    height, width = trace.batch.sizes[0]
    assert view.image.shape == trace.batch.tensors.shape[1:]
    assert view.image.shape[2] > width, "the image is padded"
    seen = torch.nn.functional.interpolate(
        IMAGE[None], scale_factor=height / 72, mode="bilinear", recompute_scale_factor=True
    )
    torch.testing.assert_close(view.image[:, :height, :width], seen[0], atol=1e-4, rtol=0)
    assert torch.equal(view.boxes, resize_boxes(BOXES, (72, 100), (height, width)))
    assert [view_level(trace, model.config, level).stride for level in LEVELS] == [4, 8, 16, 32]


@pytest.mark.parametrize("level", [-1, 4])
def test_a_level_that_does_not_exist_raises(model, trace, level):
    with pytest.raises(ValueError, match=f"level must be 0, the finest, to 3, got {level}"):
        view_level(trace, model.config, level)


def explorers(model, trace, level):
    view = view_level(trace, model.config, level, BOXES)
    sizes = {"sizes": model.rpn.anchor_generator.sizes[level], "stride": view.stride}
    return {
        "grid": lambda: GridExplorer(view.image, view.boxes, **sizes),
        "labels": lambda: LabelExplorer(view.image, view.boxes, **sizes),
        "objectness": lambda: ObjectnessExplorer(view.image, view.boxes, {0: view.trace.rpn}),
        "loss": lambda: LossExplorer(view.image, view.boxes, {0: view.trace.rpn}),
        "pull": lambda: PullExplorer(IMAGE, BOXES, trained_pulls(trace, BOXES), snapshot=1),
        "steps": lambda: StepsExplorer(IMAGE, view.trace, BOXES),
        "pool": lambda: PoolingExplorer(view.image, view.feature_map, view.boxes[0], stride=view.stride),
        "heads": lambda: HeadsExplorer(model, IMAGE, BOXES[0], NAMES),
        "life": lambda: BiographyExplorer(IMAGE, trace, TARGET, NAMES, least_score=0.2),
    }


@pytest.mark.parametrize("level", LEVELS)
def test_every_explorer_opens_on_every_level(model, trace, level):
    for name, build in explorers(model, trace, level).items():
        explorer = build()
        assert isinstance(explorer.figure(), Figure), name
        explorer.close()


@pytest.mark.parametrize("level", LEVELS)
def test_the_anchors_shown_are_the_networks(model, trace, level):
    """Up to rounding by half a pixel, in the padding too."""
    grid, rpn = explorers(model, trace, level)["grid"](), view_level(trace, model.config, level).trace.rpn
    assert grid.feature_size == rpn.level_sizes[0][1:]
    torch.testing.assert_close(grid.anchors, rpn.anchors, atol=0.5, rtol=0)


def test_pulls_of_one_network_go_from_its_anchors_to_its_decoded_boxes(trace):
    found = trained_pulls(trace, BOXES)
    assert found.steps == (0, 1)
    assert torch.equal(found.boxes[0], found.anchors)
    positive = (trace.rpn.targets[0].matches.labels == 1).nonzero().squeeze(1)
    sent = decode_boxes(trace.rpn.deltas[0, positive], trace.rpn.anchors[positive])
    torch.testing.assert_close(found.boxes[1], trace.batch.to_original(sent, 0))
    with pytest.raises(ValueError, match="no positive anchors"):
        trained_pulls(trace, torch.zeros(0, 4))


def test_a_life_begins_at_a_cell_of_its_own_level(model, trace):
    """The anchor of each detection is centred on its cell."""
    lives = biographies(trace, TARGET, NAMES, least_score=0.2)
    ends = torch.tensor([a * r * c for a, r, c in trace.rpn.level_sizes]).cumsum(0)
    assert len({int((life["index"] >= ends).sum()) for life in lives}) > 1, "the case has several levels"
    for life in lives:
        stride = [4, 8, 16, 32][int((life["index"] >= ends).sum())]
        box = trace.rpn.anchors[life["index"]]
        row, column = life["cell"]
        centre = ((box[:2] + box[2:]) / 2).tolist()
        assert centre == pytest.approx([column * stride, row * stride])
        assert 0 <= life["which"] < 3


def test_the_recall_explorer_raises_for_a_pyramid(model, trace):
    with pytest.raises(ValueError, match="each level of a pyramid chooses its own best boxes"):
        RecallExplorer(model, [(IMAGE, TARGET)], [trace])
