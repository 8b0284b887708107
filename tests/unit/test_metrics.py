"""Average precision: equal to a second implementation written from the definitions, and to pycocotools itself."""

import contextlib
import io
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn_edu.training.metrics import COCO_FIGURES, Curve, evaluate, recall_at

BOX = [10.0, 10.0, 30.0, 30.0]
ELSEWHERE = [60.0, 60.0, 80.0, 80.0]


def target(boxes, labels=None, **more):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.ones(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels, dtype=torch.int64)
    return {"boxes": boxes, "labels": labels, **{key: torch.tensor(value) for key, value in more.items()}}


def detection(boxes, scores, labels=None):
    return {**target(boxes, labels), "scores": torch.tensor(scores, dtype=torch.float32)}


# --- the oracle: exact fractions, one detection at a time -------------------------------------------------------------


def exact_iou(a, b):
    a, b = [Fraction(v) for v in a], [Fraction(v) for v in b]
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union else Fraction(0)


def outcomes(detections, targets, label, threshold):
    """True or False for each detection of a class by falling score, set-aside ones left out; and how many to find."""
    candidates = []
    for image, entry in enumerate(detections):
        for box, score, own in zip(*(entry[key].tolist() for key in ("boxes", "scores", "labels")), strict=True):
            if own == label:
                candidates.append((score, image, box))
    candidates.sort(key=lambda candidate: -candidate[0])  # Python's sort keeps the order of equals
    taken, verdicts = set(), []
    for _, image, box in candidates:
        best, best_iou = None, Fraction(-1)
        for row, wanted in enumerate(targets[image]["boxes"].tolist()):
            if targets[image]["labels"][row] == label and exact_iou(box, wanted) > best_iou:
                best, best_iou = row, exact_iou(box, wanted)
        if best is None or best_iou < threshold:
            verdicts.append(False)
        elif not targets[image]["difficult"][best]:
            verdicts.append((image, best) not in taken)
            taken.add((image, best))
    total = sum(int(((t["labels"] == label) & ~t["difficult"]).sum()) for t in targets)
    return verdicts, total


def oracle(detections, targets, label, threshold, style):
    verdicts, total = outcomes(detections, targets, label, threshold)
    if total == 0:
        return math.nan
    points, right = [], 0
    for rank, verdict in enumerate(verdicts, start=1):
        right += verdict
        points.append((Fraction(right, total), Fraction(right, rank)))
    if style == "voc07":
        best = [max((p for r, p in points if r >= Fraction(k, 10)), default=Fraction(0)) for k in range(11)]
        return float(sum(best) / 11)
    area, before = Fraction(0), Fraction(0)
    for index, (recall, _) in enumerate(points):
        area += (recall - before) * max(p for _, p in points[index:])
        before = recall
    return float(area)


@st.composite
def boxes_on_a_grid(draw, count):
    """Few places, so that boxes coincide, tie, and reach thresholds exactly."""
    corner, side = st.integers(0, 4), st.integers(1, 4)
    drawn = [draw(st.tuples(corner, corner, side, side)) for _ in range(count)]
    return [[x, y, x + w, y + h] for x, y, w, h in drawn]


@st.composite
def evaluations(draw):
    detections, targets = [], []
    for _ in range(draw(st.integers(0, 4))):
        wanted, found = draw(st.integers(0, 4)), draw(st.integers(0, 6))
        labels = st.integers(1, 3)
        targets.append(
            target(
                draw(boxes_on_a_grid(wanted)),
                [draw(labels) for _ in range(wanted)],
                difficult=[draw(st.integers(0, 3)) == 0 for _ in range(wanted)],
            )
        )
        scores = [draw(st.sampled_from([0.25, 0.5, 0.75, 1.0])) for _ in range(found)]
        detections.append(detection(draw(boxes_on_a_grid(found)), scores, [draw(labels) for _ in range(found)]))
        targets[-1]["difficult"] = targets[-1]["difficult"].bool()
    return detections, targets


@settings(max_examples=300, deadline=None)
@given(evaluations(), st.sampled_from(["voc", "voc07"]), st.sampled_from([Fraction(1, 2), Fraction(3, 4), Fraction(1)]))
def test_voc_styles_equal_an_implementation_from_the_definition(case, style, threshold):
    detections, targets = case
    result = evaluate(detections, targets, style, float(threshold), ("background", "a", "b", "c"))
    expected = {name: oracle(detections, targets, label, threshold, style) for label, name in enumerate("abc", 1)}
    assert result.per_class == pytest.approx(expected, abs=1e-12, nan_ok=True)
    known = [ap for ap in expected.values() if not math.isnan(ap)]
    assert result.map == pytest.approx(sum(known) / len(known) if known else math.nan, abs=1e-12, nan_ok=True)


def test_seven_tenths_is_reached_by_an_iou_of_seven_tenths():
    result = evaluate([detection([[0, 0, 7, 10]], [1.0])], [target([[0, 0, 10, 10]])], iou_threshold=0.7)
    assert result.map == 1


# --- cases by hand ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["voc", "voc07", "coco"])
def test_perfect_detections_score_1_and_none_score_0(style):
    targets = [target([BOX, ELSEWHERE], [1, 2]), target([])]
    perfect = [detection([BOX, ELSEWHERE], [0.9, 0.8], [1, 2]), detection([], [])]
    assert evaluate(perfect, targets, style).map == pytest.approx(1)
    assert evaluate([detection([], [])] * 2, targets, style).map == 0


def test_a_second_detection_of_the_same_object_is_wrong():
    result = evaluate([detection([BOX, BOX, ELSEWHERE], [0.9, 0.8, 0.7])], [target([BOX, ELSEWHERE])])
    curve = result.curves["1"]
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve.recall == pytest.approx([1 / 2, 1 / 2, 1])
    assert curve.scores == pytest.approx([0.9, 0.8, 0.7])
    assert result.map == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_a_detection_whose_best_match_is_taken_gets_no_second_best():
    """As in the devkit: the second detection overlaps box 0 most, though box 1 would reach the threshold as well."""
    targets = [target([[0, 0, 10, 10], [0, 3, 10, 13]])]
    detections = [detection([[0, 0, 10, 10], [0, 1, 10, 11]], [0.9, 0.8])]
    assert evaluate(detections, targets).map == pytest.approx(1 / 2)


def test_difficult_ones_count_neither_way():
    targets = [target([BOX, ELSEWHERE], difficult=[False, True])]
    found_both = [detection([ELSEWHERE, ELSEWHERE, BOX], [0.9, 0.8, 0.7])]
    assert evaluate(found_both, targets).map == 1
    assert evaluate([detection([BOX], [0.7])], targets).map == 1
    assert evaluate(found_both, targets).ground_truths == {"1": 1}


@pytest.mark.parametrize("style", ["voc", "voc07", "coco"])
def test_crowds_are_set_aside_in_every_style(style):
    targets = [target([BOX, ELSEWHERE], iscrowd=[0, 1])]
    assert evaluate([detection([ELSEWHERE, BOX], [0.9, 0.7])], targets, style).map == pytest.approx(1)


@pytest.mark.parametrize("style", ["voc", "voc07", "coco"])
def test_classes_without_ground_truth_are_nan_and_leave_the_mean_alone(style):
    names = ("background", "cat", "dog", "hare")
    detections = [detection([BOX, ELSEWHERE], [0.9, 0.8], [1, 2])]
    result = evaluate(detections, [target([BOX])], style, class_names=names)
    assert result.map == pytest.approx(1)
    assert list(result.per_class) == ["cat", "dog", "hare"]
    assert math.isnan(result.per_class["dog"])
    assert math.isnan(result.per_class["hare"])
    assert set(result.curves) == {"cat"}


@pytest.mark.parametrize("style", ["voc", "voc07", "coco"])
def test_nothing_to_find_is_nan(style):
    assert math.isnan(evaluate([], [], style).map)
    assert math.isnan(evaluate([detection([BOX], [1.0])], [target([])], style).map)
    assert math.isnan(evaluate([detection([], [])], [target([])], style, class_names=("background", "a")).map)


def test_the_order_of_equal_scores_is_the_order_given():
    targets = [target([BOX]), target([BOX])]
    right_first = [detection([BOX], [0.5]), detection([ELSEWHERE], [0.5])]
    assert evaluate(right_first, targets).map == pytest.approx(1 / 2)
    assert evaluate(right_first[::-1], targets).map == pytest.approx(1 / 4)


def test_eleven_points_by_hand():
    """3 of 10 found without a mistake: precision 1 at recalls 0, 0.1, 0.2, 0.3, and 0 beyond."""
    boxes = [[20 * k, 0, 20 * k + 10, 10] for k in range(10)]
    result = evaluate([detection(boxes[:3], [0.9, 0.8, 0.7])], [target(boxes)], "voc07")
    assert result.map == pytest.approx(4 / 11)
    assert evaluate([detection(boxes[:3], [0.9, 0.8, 0.7])], [target(boxes)], "voc").map == pytest.approx(3 / 10)


def test_an_envelope_never_rises():
    curve = Curve(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.2, 0.4]), np.array([3.0, 2.0, 1.0]))
    assert curve.envelope() == pytest.approx([0.5, 0.4, 0.4])


def test_half_precision_and_gradients_are_no_obstacle():
    found = detection([BOX], [0.5])
    found = {**found, "boxes": found["boxes"].half().requires_grad_(), "scores": found["scores"].bfloat16()}
    assert evaluate([found], [target([BOX])]).map == 1


def test_inputs_are_left_as_they_were():
    found, wanted = detection([BOX, ELSEWHERE], [0.1, 0.9]), target([BOX], difficult=[True])
    before = [{key: value.clone() for key, value in entry.items()} for entry in (found, wanted)]
    evaluate([found], [wanted])
    for entry, copy in zip((found, wanted), before, strict=True):
        assert all(torch.equal(entry[key], copy[key]) for key in copy)


# --- COCO -------------------------------------------------------------------------------------------------------------


def random_case(seed, images=12):
    rng = np.random.default_rng(seed)
    detections, targets = [], []
    for _ in range(images):
        count = int(rng.integers(0, 6))
        corner, side = rng.uniform(0, 300, (count, 2)), np.exp(rng.uniform(np.log(8), np.log(250), (count, 2)))
        boxes = np.concatenate((corner, corner + side), axis=1)
        labels = rng.integers(1, 4, count)
        crowd = rng.random(count) < 0.15
        area = side.prod(axis=1) * rng.uniform(0.5, 1, count)
        targets.append(target(boxes.tolist(), labels.tolist(), iscrowd=crowd.tolist(), area=area.tolist()))
        shaken = boxes + rng.normal(0, 0.08, boxes.shape) * np.tile(side, 2)
        stray = rng.uniform(0, 200, (4, 2))
        found = np.concatenate((shaken, np.concatenate((stray, stray + 40), axis=1)))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        scores = rng.integers(1, 20, len(found)) / 20  # with ties
        wrong = np.where(rng.random(count) < 0.2, rng.integers(1, 4, count), labels)
        detections.append(
            detection(found.tolist(), scores.tolist(), [*wrong.tolist(), *rng.integers(1, 4, 4).tolist()])
        )
    return detections, targets


def coco_by_hand(detections, targets, folder):
    """What pycocotools says of a COCO json and a results json that were written without our code."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def xywh(box):
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]

    truth = {"images": [], "annotations": [], "categories": [{"id": 10 * k, "name": str(k)} for k in (1, 2, 3)]}
    results = []
    for image, (found, wanted) in enumerate(zip(detections, targets, strict=True), start=100):
        truth["images"].append({"id": image})
        for row, box in enumerate(wanted["boxes"].tolist()):
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "image_id": image, "category_id": 10 * int(wanted["labels"][row]),
                 "bbox": xywh(box), "area": float(wanted["area"][row]), "iscrowd": int(wanted["iscrowd"][row])}
            )  # fmt: skip
        for row, box in enumerate(found["boxes"].tolist()):
            results.append(
                {"image_id": image, "category_id": 10 * int(found["labels"][row]), "bbox": xywh(box),
                 "score": float(found["scores"][row])}
            )  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        run = COCOeval(coco, coco.loadRes(str(folder / "results.json")), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


@pytest.mark.parametrize("seed", range(5))
def test_coco_style_equals_pycocotools_on_its_own_files(tmp_path, seed):
    detections, targets = random_case(seed)
    run = coco_by_hand(detections, targets, tmp_path)
    result = evaluate(detections, targets, "coco", class_names=("background", "1", "2", "3"))
    assert 0.1 < result.map < 0.9, "the case is to be neither hopeless nor trivial"
    assert [getattr(result, name) for name in COCO_FIGURES] == pytest.approx(run.stats.tolist(), abs=1e-3)
    for index, name in enumerate("123"):
        table = run.eval["precision"][:, :, index, 0, -1]
        assert result.per_class[name] == pytest.approx(table[table > -1].mean(), abs=1e-3)


def test_coco_style_prints_nothing(capsys):
    evaluate(*random_case(0), "coco")
    assert capsys.readouterr().out == ""


def test_sizes_that_do_not_occur_are_nan():
    result = evaluate([detection([BOX], [1.0])], [target([BOX])], "coco")
    assert result.map_small == pytest.approx(1)
    assert math.isnan(result.map_medium)
    assert math.isnan(result.map_large)
    assert result.iou_threshold is None


def test_sizes_are_of_coco_style_only():
    assert evaluate([detection([BOX], [1.0])], [target([BOX])], "voc").map_small is None


def test_without_pycocotools_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.coco", None)
    with pytest.raises(ImportError, match="pip install pycocotools"):
        evaluate([detection([BOX], [1.0])], [target([BOX])], "coco")


def test_printed_it_says_what_was_counted_and_what_was_not():
    names = ("background", "cat", "dog")
    targets = [target([BOX, ELSEWHERE], [1, 1], difficult=[False, True]), target([])]
    result = evaluate([detection([BOX], [0.9]), detection([], [])], targets, class_names=names, iou_threshold=0.75)
    assert str(result).splitlines() == [
        "2 images, 1 object to find (1 more are difficult or crowds, and do not count)",
        "style voc, IoU 0.75",
        "class  objects  AP",
        "cat          1  1.0000",
        "dog          0  no objects of this class",
        "mAP          1  1.0000",
    ]
    nothing = evaluate([detection([], [])], [target([])], class_names=names)
    assert str(nothing).splitlines()[-1] == "mAP          0  no objects of any class"


# --- recall per stage -------------------------------------------------------------------------------------------------


def test_recall_by_hand():
    targets = [target([[0, 0, 10, 10], [20, 20, 30, 30]]), target([[0, 0, 10, 10]]), target([])]
    boxes = [torch.tensor([[0.0, 0, 7, 10], [20, 20, 30, 25]]), torch.zeros(0, 4), torch.zeros(3, 4)]
    assert recall_at(boxes, targets, [0.3, 0.5, 0.7, 0.71, 1.0]).tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0, 0])


def test_recall_leaves_out_what_is_set_aside_and_is_nan_without_ground_truth():
    assert recall_at([torch.zeros(0, 4)], [target([BOX], difficult=[True])], [0.5]).isnan().all()
    assert recall_at([torch.tensor([BOX])], [target([BOX, ELSEWHERE], difficult=[False, True])], [0.5]).tolist() == [1]
    assert recall_at([], [], [0.5, 0.7]).shape == (2,)


@settings(max_examples=60, deadline=None)
@given(evaluations())
def test_recall_never_rises_with_the_threshold_nor_falls_with_more_boxes(case):
    detections, targets = case
    boxes = [entry["boxes"] for entry in detections]
    thresholds = [0.1, 0.5, 0.9]
    recall = recall_at(boxes, targets, thresholds)
    fewer = recall_at([own[: len(own) // 2] for own in boxes], targets, thresholds)
    if not recall.isnan().any():
        assert (recall.diff() <= 0).all()
        assert (fewer <= recall).all()


# --- what is refused --------------------------------------------------------------------------------------------------

GOOD_FOUND, GOOD_WANTED = detection([BOX], [0.5]), target([BOX])


@pytest.mark.parametrize(
    ("found", "wanted", "error", "words"),
    [
        ({"scores": None}, {}, ValueError, r"detections\[0\] has no 'scores'"),
        ({"labels": None}, {}, ValueError, r"detections\[0\] has no 'labels'"),
        ({}, {"boxes": None}, ValueError, r"targets\[0\] has no 'boxes'"),
        ({"scores": torch.ones(2)}, {}, ValueError, r"detections\[0\]\['scores'\] must have shape \(1,\)"),
        ({"labels": torch.ones(1, 1, dtype=torch.int64)}, {}, ValueError, r"\['labels'\] must have shape"),
        ({"labels": torch.zeros(1, dtype=torch.int64)}, {}, ValueError, "0 is the background"),
        ({"labels": torch.ones(1)}, {}, ValueError, "whole numbers"),
        ({"scores": torch.tensor([math.nan])}, {}, ValueError, "finite"),
        ({"boxes": torch.tensor([[30.0, 10, 10, 30]])}, {}, ValueError, "x2 < x1"),
        ({"boxes": torch.ones(4)}, {}, ValueError, r"shape \(N, 4\)"),
        ({"boxes": [BOX]}, {}, TypeError, "must be a tensor"),
        ({}, {"difficult": torch.zeros(3, dtype=torch.bool)}, ValueError, r"targets\[0\]\['difficult'\]"),
        ({}, {"area": torch.zeros(2)}, ValueError, r"targets\[0\]\['area'\]"),
    ],
)
def test_wrong_input_is_named(found, wanted, error, words):
    def merged(good, changes):
        return {key: value for key, value in {**good, **changes}.items() if value is not None}

    with pytest.raises(error, match=words):
        evaluate([merged(GOOD_FOUND, found)], [merged(GOOD_WANTED, wanted)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"style": "pascal"}, "voc, voc07, coco"),
        ({"iou_threshold": 0}, "iou_threshold"),
        ({"iou_threshold": 50}, "iou_threshold"),
        ({"class_names": ("background",)}, "label 1 has no name"),
        ({"class_names": ("background", "cat", "cat")}, "differ"),
        ({"targets": [GOOD_WANTED] * 2}, "1 images have detections but 2"),
    ],
)
def test_wrong_settings_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        evaluate(**{"detections": [GOOD_FOUND], "targets": [GOOD_WANTED], **options})


def test_recall_names_lists_that_do_not_fit():
    with pytest.raises(ValueError, match="1 images have boxes but 2"):
        recall_at([torch.zeros(0, 4)], [GOOD_WANTED] * 2, [0.5])
    with pytest.raises(ValueError, match=r"boxes_per_image\[0\]"):
        recall_at([torch.zeros(4)], [GOOD_WANTED], [0.5])
