"""The explorers of lesson 05, as Python sees them: what they show is what the detector and the metrics say."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn_edu.boxes import box_iou
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.explorers.lesson_05_proposals import (
    FUNNEL,
    REACHED,
    STEPS,
    NmsExplorer,
    RecallExplorer,
    StepsExplorer,
    proposal_steps,
)
from frcnn_edu.faster_rcnn import fasterrcnn_resnet50_fpn, fasterrcnn_tiny
from frcnn_edu.training.metrics import recall_at

SIZE = 96
SETTINGS = {"min_size": SIZE, "max_size": SIZE, "rpn_min_size": 20.0, "rpn_drop_small_first": True}
COUNTS = {"rpn_pre_nms_top_n_test": 150, "rpn_post_nms_top_n_test": 30, "rpn_nms_thresh": 0.5, "box_score_thresh": 0.1}


def detector(**options):
    torch.manual_seed(0)
    model = fasterrcnn_tiny(8, **SETTINGS | COUNTS | options).eval()
    for layer in (model.rpn.head.bbox_pred, model.rpn.head.cls_logits, model.roi_heads.box_predictor.cls_score):
        torch.nn.init.normal_(layer.weight, std=0.1)  # an untrained one answers the same everywhere
    return model


def traces_of(model, items):
    with torch.no_grad():
        return [model.trace([image]) for image, _ in items]


@pytest.fixture(scope="module")
def scenes():
    data_set = Shapes(6, image_size=SIZE, objects=(2, 6), empty=0.0)
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    return [*(data_set[index] for index in range(6)), (torch.full((3, SIZE, SIZE), 0.5), nothing)]


@pytest.fixture(scope="module")
def model():
    return detector()


@pytest.fixture(scope="module")
def traces(model, scenes):
    return traces_of(model, scenes)


def steps_of(model, trace):
    rpn = trace.rpn
    return proposal_steps(rpn.anchors, rpn.logits[0], rpn.deltas[0], trace.batch.sizes[0], model.config)


def test_the_steps_end_on_the_proposals_of_the_model(model, traces):
    for trace in traces:
        steps, proposals = steps_of(model, trace), trace.rpn.proposals[0]
        torch.testing.assert_close(steps.left[-1], proposals.anchor_index[proposals.kept])
        torch.testing.assert_close(steps[5], proposals.boxes)
        assert len(steps.left[3]) < len(steps.left[2]), "nothing was small: the test shows nothing"


def test_a_step_hands_on_some_of_what_it_got(model, traces):
    left = steps_of(model, traces[0]).left
    sets = [set(rows.tolist()) for rows in left]
    assert all(after <= before for before, after in pairwise(sets))
    assert [len(rows) for rows in left] == [324, 324, 324, len(left[3]), 150, len(left[5])]


@pytest.fixture
def explorer(model, scenes, traces):
    (image, target), config = scenes[0], model.config
    traits = {"smallest": 20.0, "top_n": 150, "limit": 30, "threshold": 0.5}
    assert (config.rpn_min_size, config.rpn_nms_thresh) == (traits["smallest"], traits["threshold"])
    return StepsExplorer(image, traces[0], target["boxes"], **traits)


def test_the_steps_explorer_counts_and_reaches_what_the_steps_do(model, traces, scenes, explorer):
    steps, objects = steps_of(model, traces[0]), scenes[0][1]["boxes"]
    assert list(explorer.counts.values()) == [len(rows) for rows in steps.left]
    for number, name in enumerate(STEPS):
        best = box_iou(steps[number], objects).amax(dim=0)
        assert explorer.reached[name] == (best >= REACHED).sum()
    assert explorer.reached["anchors"] > 0
    torch.testing.assert_close(explorer.objects, objects)


@pytest.mark.parametrize(("trait", "value"), [("smallest", 40.0), ("top_n", 20), ("threshold", 0.2), ("limit", 3)])
def test_the_steps_explorer_follows_its_sliders(explorer, trait, value):
    before = explorer.counts["after NMS"]
    setattr(explorer, trait, value)
    assert explorer.counts["after NMS"] < before


def test_the_steps_explorer_shows_what_a_step_keeps_and_drops(explorer):
    explorer.step, explorer.drawn = 4, 1000
    counts = list(explorer.counts.values())
    sorts = [(explorer.still().states == state).sum() for state in range(5)]
    reached = explorer.reached["top-k"]
    kinds = [counts[4], counts[3] - counts[4], counts[2] - counts[3], reached, len(explorer.objects) - reached]
    assert sorts == kinds
    explorer.drawn = 7
    assert (explorer.still().states == 0).nonzero()[0].tolist() == sorted(explorer.steps.left[4][:7].tolist())
    assert (explorer.still().states == 1).sum() == 7


def test_a_photograph_is_shown_at_the_size_at_which_the_model_saw_it(model):
    image, objects = torch.rand(3, SIZE // 2, SIZE // 2), torch.tensor([[0.0, 10.0, 48.0, 30.0]])
    explorer = StepsExplorer(image, traces_of(model, [(image, None)])[0], objects)
    assert explorer.image.shape == (SIZE, SIZE, 3)
    assert explorer.objects.tolist() == [[0, 20, 96, 60]]


def test_a_detector_of_several_levels_is_refused():
    pyramid = fasterrcnn_resnet50_fpn(2, min_size=64, max_size=64).eval()
    image = torch.rand(3, 64, 64)
    with pytest.raises(ValueError, match="several"):
        StepsExplorer(image, traces_of(pyramid, [(image, None)])[0], torch.zeros(0, 4))


def textbook(boxes, scores, threshold):
    """NMS box by box: -> who suppressed each box (itself if kept), and the boxes in the order of their moments."""
    waiting, by, moments = scores.argsort(descending=True, stable=True).tolist(), {}, []
    while waiting:
        best, *waiting = waiting
        gone = [one for one in waiting if box_iou(boxes[[best]], boxes[[one]]).item() > threshold]
        by |= dict.fromkeys([best, *gone], best)
        moments += [best, *gone]
        waiting = [one for one in waiting if one not in gone]
    return by, moments


corner, side = st.integers(0, 12), st.integers(1, 12)
boxes_with_scores = st.lists(st.tuples(corner, corner, side, side, st.integers(0, 5)), max_size=14)


@given(boxes_with_scores, st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
@settings(max_examples=40, deadline=None)
def test_the_nms_explorer_tells_the_textbooks_story(rows, threshold):
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h, _ in rows], dtype=torch.float32).reshape(-1, 4)
    scores = torch.tensor([score / 5 for *_, score in rows])
    explorer = NmsExplorer(torch.rand(3, 24, 24), boxes, scores, threshold=threshold)
    by, moments = textbook(boxes, scores, threshold)
    assert explorer.moments.tolist() == moments
    assert explorer.kept.tolist() == [one for one in moments if by[one] == one]
    assert explorer.suppressed_by.tolist() == [-1 if by[one] == one else by[one] for one in range(len(rows))]


def test_moments_pass_one_by_one():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [2, 0, 12, 10]])
    explorer = NmsExplorer(torch.rand(3, 40, 40), boxes, torch.tensor([0.9, 0.8, 0.95, 0.7]), threshold=0.5)
    story = []
    for explorer.step in range(5):
        story.append("".join("wks"[state] for state in explorer.still().states))
    assert story == ["wwww", "wwkw", "kwkw", "kskw", "ksks"]
    explorer.step = 99
    assert explorer.step == 4


def test_nms_without_scores_is_refused():
    with pytest.raises(ValueError, match="score"):
        NmsExplorer(torch.rand(3, 9, 9), torch.rand(2, 4).sort().values, [0.5])
    with pytest.raises(ValueError, match="score"):
        NmsExplorer(torch.rand(3, 9, 9), torch.rand(2, 4).sort().values, [0.5, float("nan")])


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.8])
def test_the_recall_explorer_measures_what_recall_at_does(model, scenes, traces, iou):
    explorer = RecallExplorer(model, scenes, traces, iou=iou)
    steps = [steps_of(model, trace) for trace in traces]
    boxes = {name: [one[number] for one in steps] for number, name in enumerate(STEPS)}
    boxes |= {"score filter": boxes["top-k"], "detections": [trace.detections[0].boxes for trace in traces]}
    targets = [target for _, target in scenes]
    for number, name in enumerate(FUNNEL):
        expected = recall_at(boxes[name], targets, [iou]).item()
        assert explorer.recall[name] == pytest.approx(expected, abs=1e-6), name
        assert explorer.counts[number] == pytest.approx(sum(map(len, boxes[name])) / len(scenes)), name
    assert 0 < explorer.recall["detections"] < explorer.recall["anchors"] or iou > 0.5


@pytest.mark.parametrize("score", [0.2, 0.5, 0.9])
def test_the_score_filter_of_the_explorer_is_the_filter_of_the_detector(model, scenes, traces, score):
    explorer = RecallExplorer(model, scenes, traces, lowest_score=score)
    filtered = detector(rpn_score_thresh=score)
    expected = RecallExplorer(filtered, scenes, traces_of(filtered, scenes))
    for name in (STEPS[-1], "detections"):
        row = FUNNEL.index(name)
        torch.testing.assert_close(torch.tensor(explorer.best[row]), torch.tensor(expected.best[row]))
        assert explorer.counts[row] == expected.counts[row]
    assert explorer.counts[-1] < explorer.counts[4]


def test_many_detections_are_cut_off_image_by_image(scenes):
    few = detector(box_detections_per_img=3, box_score_thresh=0.01)
    traces = traces_of(few, scenes)
    explorer = RecallExplorer(few, scenes, traces)
    assert explorer.counts[-1] == sum(len(trace.detections[0].boxes) for trace in traces) / len(scenes) <= 3


def test_a_picture_shows_what_became_of_its_objects(model, scenes, traces):
    explorer = RecallExplorer(model, scenes, traces, iou=0.4)
    explorer.picture = 2
    objects = scenes[2][1]["boxes"]
    assert explorer.boxes.tolist() == objects.tolist()
    found = recall_at([traces[2].detections[0].boxes], [scenes[2][1]], [0.4]).item()
    assert (explorer.still().states == 0).mean() == pytest.approx(found)
    explorer.picture = 6
    assert len(explorer.boxes) == 0


def test_every_explorer_has_a_plain_picture(model, scenes, traces, explorer):
    scored = traces[0].rpn.proposals[0]
    pictures = (explorer, NmsExplorer(scenes[0][0], scored.clipped[:9], scored.scores[:9]))
    for made in (*pictures, RecallExplorer(model, scenes, traces)):
        data, _ = made._repr_mimebundle_()
        assert len(data["image/jpeg"]) > 1000


def test_recall_needs_objects_and_a_trace_for_every_image(model, scenes, traces):
    with pytest.raises(ValueError, match="one of each"):
        RecallExplorer(model, scenes, traces[1:])
    with pytest.raises(ValueError, match="none"):
        RecallExplorer(model, scenes[-1:], traces[-1:])


def test_recall_needs_traces_with_detections(scenes):
    image, target = scenes[0]
    model = detector().train()
    with pytest.raises(ValueError, match="no detections: take it in evaluation mode"):
        RecallExplorer(model, [(image, target)], [model.trace([image], [target])])
