"""The convention card: a test for each of its lines, under the name of the line."""

import math
import re

import pytest
import torch
import torchvision
from torchvision.models.detection._utils import BoxCoder

import frcnn_edu.faster_rcnn as models
from frcnn_edu.anchors import AnchorGenerator, base_anchors, grid_anchors
from frcnn_edu.boxes import box_area, clip_boxes, encode_boxes
from frcnn_edu.config import Config
from frcnn_edu.course import conventions, glossary
from frcnn_edu.matching import IGNORED, NEGATIVE, POSITIVE, Matcher
from frcnn_edu.roi_pool import roi_pool
from frcnn_edu.viz.tables import Table


def boxes(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_every_line_of_the_card_has_its_test():
    names = {"test_the_line_on_" + line.name.replace(" ", "_") for line in conventions.CARD}
    assert names == {name for name in globals() if name.startswith("test_the_line_on_")}


def test_the_line_on_boxes():
    assert box_area(boxes((1.5, 2, 4, 6))).item() == 2.5 * 4, "continuous, without a + 1"
    with pytest.raises(TypeError, match="floats"):
        box_area(torch.tensor([[1, 2, 4, 6]]))
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        box_area(torch.zeros(4))
    picture = torch.zeros(1, 1, 5, 8)
    picture[0, 0, 1, 6] = 1.0  # second row from the top, seventh column from the left
    assert roi_pool(picture, [boxes((6, 1, 6, 1))], 1).item() == 1, "origin top left, x to the right, y down"
    assert clip_boxes(boxes((-9, -9, 99, 99)), (5, 8)).tolist() == [[0, 0, 8, 5]]


def test_the_line_on_aspect_ratio():
    (x1, y1, x2, y2), *_ = base_anchors([100.0], [4.0]).tolist()
    assert (x2 - x1, y2 - y1) == (50, 200), "w = s / sqrt(r), h = s * sqrt(r), so the area is s²"


def test_the_line_on_the_nine_anchors():
    with torch.device("meta"):
        of_the_paper = models.fasterrcnn_vgg16(2).rpn.anchor_generator
    assert of_the_paper.sizes == ((128, 256, 512),)
    assert of_the_paper.aspect_ratios == ((0.5, 1, 2),)
    assert of_the_paper.strides == (16,)
    (anchors,) = AnchorGenerator()([torch.zeros(1, 1, 38, 50)], (608, 800))
    assert len(anchors) == 38 * 50 * 9
    sides = anchors[:9, 2:] - anchors[:9, :2]
    shapes = {(round(size), round(ratio, 2)) for size, ratio in zip(*shape_of(sides), strict=True)}
    assert shapes == {(size, ratio) for size in (128, 256, 512) for ratio in (0.5, 1, 2)}


def test_the_line_on_anchor_order():
    cell = base_anchors([10.0, 20.0], [0.5, 2.0])
    assert (cell[:, 3] / cell[:, 2]).tolist() == pytest.approx([0.5, 0.5, 2, 2]), "ratio by ratio"
    assert box_area(cell).sqrt().tolist() == pytest.approx([10, 20, 10, 20]), "sizes within"
    for offset in (0.0, 0.5):
        anchors = grid_anchors(cell, (3, 5), 16, offset)
        centers = (anchors[:, :2] + anchors[:, 2:]) / 2
        row, column, which = 2, 4, 1
        center = centers[(row * 5 + column) * len(cell) + which]
        assert center.tolist() == [(column + offset) * 16, (row + offset) * 16]
    assert torch.equal(grid_anchors(cell, (3, 5), 16), grid_anchors(cell, (3, 5), 16, 0.0)), "offset is 0"


def test_the_line_on_labels():
    assert (POSITIVE, NEGATIVE, IGNORED) == (1, 0, -1)
    labels = Matcher(allow_low_quality_matches=False)(torch.tensor([[0.9], [0.5], [0.1]])).labels
    assert labels.tolist() == [1, -1, 0]
    model = models.fasterrcnn_tiny(3).eval()
    image, target = torch.rand(3, 64, 64), {"boxes": boxes((5, 5, 60, 60)), "labels": torch.tensor([2])}
    trace = model.trace([image], [target])
    sample = trace.roi_training.samples[0]
    assert set(sample.labels[sample.matches.labels[sample.sampled] != POSITIVE].tolist()) <= {0}
    assert trace.detections[0].labels.min() >= 1, "the background is no detection"


def test_the_line_on_deltas():
    anchor, truth = boxes((10, 20, 50, 100)), boxes((20, 10, 100, 70))
    expected = torch.tensor([[(60 - 30) / 40, (40 - 60) / 80, math.log(80 / 40), math.log(60 / 80)]])
    assert torch.allclose(encode_boxes(truth, anchor), expected)
    weights = Config().bbox_reg_weights
    assert tuple(weights) == (10, 10, 5, 5)
    assert torch.allclose(encode_boxes(truth, anchor, weights), BoxCoder(weights).encode_single(truth, anchor))
    assert torch.allclose(expected / torch.tensor([0.1, 0.1, 0.2, 0.2]), expected * torch.tensor(weights))


def test_the_line_on_images_and_targets():
    model = models.fasterrcnn_tiny(2).eval()
    nothing = {"boxes": boxes(), "labels": torch.zeros(0, dtype=torch.int64)}
    losses = model.trace([torch.rand(3, 64, 64)], [nothing]).losses
    assert all(loss.isfinite() for loss in losses.values()), "N may be 0"
    for wrong in (torch.rand(64, 64, 3), 255 * torch.rand(3, 64, 64)):
        with pytest.raises(ValueError, match="images"):
            model([wrong])
    with pytest.raises(TypeError, match="divide by 255"):
        model([torch.zeros(3, 64, 64, dtype=torch.uint8)])


def test_the_line_on_parameter_names():
    with torch.device("meta"):
        ours = models.fasterrcnn_resnet50_fpn(num_classes=91)
        theirs = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    assert {"rpn.head.cls_logits.weight", "roi_heads.box_head.fc6.weight"} <= set(ours.state_dict())
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def shape_of(sides: torch.Tensor) -> tuple[list[float], list[float]]:
    """Size (the root of the area) and height / width of each row of width, height."""
    return sides.prod(dim=1).sqrt().tolist(), (sides[:, 1] / sides[:, 0]).tolist()


# The tables themselves


@pytest.mark.parametrize("table", [conventions.table(), glossary.table()], ids=["card", "glossary"])
def test_a_table_has_every_cell_and_no_other_markup(table):
    html = table._repr_html_()
    assert html.count("<tr>") == len(table.rows) + 1
    assert html.count("<td") == len(table.rows) * len(table.header)
    assert "`" not in html
    assert (
        re.sub(r"</?(table|thead|tbody|tr|th|td|code|details|summary)( style=\"[^\"]*\")?>", "", html).count("<") == 0
    )


def test_the_glossary_is_folded_and_the_card_is_not():
    html = glossary.table()._repr_html_()
    assert re.match(rf"<details><summary>{len(glossary.TERMS)} terms.*</summary>\n<table>", html)
    assert "<details" not in conventions.table()._repr_html_()


def test_rows_of_unequal_length_raise():
    with pytest.raises(ValueError, match="row 1 has 1 cells, the header 2"):
        Table(("a", "b"), [("1", "2"), ("3",)])


def test_the_glossary_has_each_term_once_in_both_languages():
    english = [term.english for term in glossary.TERMS]
    assert len(set(english)) == len(english)
    for term in glossary.TERMS:
        assert re.search("[가-힣]", term.korean), f"{term.english} has no Korean"
        assert not re.search("[가-힣]", term.english + term.meaning)
        assert term.lesson in {f"{number:02}" for number in range(9)}
        assert len(term.meaning) <= 90, f"{term.english} takes more than a line"


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("backbone", "백본"),
        ("region proposal network", "지역 제안 네트워크"),
        ("anchor box", "앵커 박스"),
        ("feature map", "특징 맵"),
        ("bounding box regression", "경계 상자 회귀"),
        ("RoI pooling", "관심 영역 풀링"),
        ("positive anchor", "양성 앵커"),
        ("negative anchor", "음성 앵커"),
        ("class imbalance", "클래스 불균형"),
        ("non-maximum suppression", "비최대 억제"),
        ("objectness", "객체성"),
        ("aspect ratio", "종횡비"),
    ],
)
def test_well_known_terms_have_their_usual_korean_name(english, korean):
    assert [term.korean for term in glossary.TERMS if term.english.split(" (")[0] == english] == [korean]
