"""The second stage: whom it asks, what the answers become, and what training learns from."""

import pytest
import torch
from small_detector import blank_batch, draw_images, draw_targets, small_detector
from torch import Tensor, nn

import frcnn_edu.roi_heads
from frcnn_edu.boxes import box_iou, clip_boxes, decode_boxes, encode_boxes, nms
from frcnn_edu.config import Config
from frcnn_edu.roi_heads import SMALLEST_DETECTION, FastRCNNPredictor, RoIHeads, TwoMLPHead
from frcnn_edu.roi_pool import MultiScaleRoIPool

CLASSES = 4
IMAGE = (64, 96)


def heads(**options: object) -> RoIHeads:
    """On 8-channel maps of stride 16, with weights large enough for scores of all kinds."""
    torch.manual_seed(0)
    model = RoIHeads(MultiScaleRoIPool(7), TwoMLPHead(8 * 49, 16), FastRCNNPredictor(16, CLASSES), Config(**options))
    with torch.no_grad():
        model.box_predictor.cls_score.weight.mul_(20)
    return model


def draw_proposals(count: int = 60, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([70.0, 40.0])
    return torch.cat((corner, corner + 4 + 20 * torch.rand(count, 2, generator=generator)), dim=1)


def draw_answers(count: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (P, K) and deltas (P, K, 4), in any of which a class may win."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, CLASSES, generator=generator)
    return logits, 3 * torch.randn(count, CLASSES, 4, generator=generator)


TARGET = {"boxes": torch.tensor([[10.0, 10, 30, 30], [50, 20, 80, 60]]), "labels": torch.tensor([2, 3])}
NO_TARGET = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


# Head and predictor


def test_two_layers_read_the_pooled_features_and_two_siblings_answer():
    head, predictor = TwoMLPHead(8 * 49, 16), FastRCNNPredictor(16, CLASSES)
    pooled = torch.rand(5, 8, 7, 7)
    logits, deltas = predictor(head(pooled))
    assert logits.shape == (5, CLASSES)
    assert deltas.shape == (5, 4 * CLASSES)
    by_hand = (head.fc7(torch.relu(head.fc6(pooled.reshape(5, -1))))).clamp(min=0)
    torch.testing.assert_close(head(pooled), by_hand)


def test_deltas_are_four_in_a_row_for_each_class():
    model = heads()
    with torch.no_grad():
        model.box_predictor.bbox_pred.weight.zero_()
        model.box_predictor.bbox_pred.bias.copy_(torch.arange(4.0 * CLASSES))
    _, _, deltas = model.predict(blank_batch(IMAGE), {"0": torch.rand(1, 8, 4, 6)}, [draw_proposals(3)])
    assert deltas[0].tolist() == torch.arange(16.0).view(4, 4).tolist()


# The training sample


def test_the_ground_truth_is_among_the_proposals():
    """At first no proposal is any good; the objects themselves are, so that there is something to learn."""
    poor = torch.tensor([[0.0, 0, 5, 5]])
    sample = heads().sample(poor, TARGET)
    assert sample.sampled.tolist() == [1, 2, 0]
    assert sample.boxes.tolist() == [*TARGET["boxes"].tolist(), *poor.tolist()]
    assert sample.labels.tolist() == [2, 3, 0]
    assert not sample.deltas.any(), "they lie where they should, and background goes nowhere"


def test_a_quarter_of_512_are_on_objects_at_most():
    proposals = torch.cat((TARGET["boxes"].repeat(200, 1) + 0.5, draw_proposals(600).clamp(max=9)))
    sample = heads().sample(proposals, TARGET)
    assert len(sample.labels) == 512
    assert (sample.labels > 0).sum() == 128
    assert sample.labels[:128].all(), "objects first"


@pytest.mark.parametrize(("options", "expected"), [({}, 0), ({"box_bg_iou_thresh": 0.1}, -1)], ids=["one", "two"])
def test_a_proposal_is_background_below_the_threshold_and_nothing_between_two(options, expected):
    """IoU with the object: 0.5 on the nose is the object; 0.45 is background, or ignored above `box_bg_iou_thresh`."""
    gt = {"boxes": torch.tensor([[0.0, 0, 20, 20]]), "labels": torch.tensor([3])}
    proposals = torch.tensor([[0.0, 0, 20, 10], [0, 0, 20, 9], [40, 40, 50, 50]])
    sample = heads(**options).sample(proposals, gt)
    assert sample.matches.labels.tolist() == [1, expected, 0, 1]
    assert sample.labels[sample.sampled == 0] == 3
    assert sample.labels[sample.sampled == 2] == 0
    assert (1 in sample.sampled) == (expected == 0)


def test_the_best_proposal_of_an_object_is_no_example_if_it_is_poor():
    """The best-anchor rule is the first stage's alone. (In a sample it would pick the ground truth itself.)"""
    assert heads().matcher(torch.tensor([[0.4]])).labels.tolist() == [0]


def test_targets_are_scaled_by_the_weights():
    proposals = TARGET["boxes"] + torch.tensor([2.0, 1, -1, 3])
    weights = (10.0, 10.0, 5.0, 5.0)
    sample = heads().sample(proposals, TARGET)
    first = sample.sampled < 2
    expected = encode_boxes(TARGET["boxes"], proposals, weights)[sample.sampled[first]]
    torch.testing.assert_close(sample.deltas[first], expected)
    assert sample.deltas[first].abs().min() > 0.1
    torch.testing.assert_close(
        heads(bbox_reg_weights=(1.0,) * 4).sample(proposals, TARGET).deltas[:2].abs().max(),
        expected.abs().div(torch.tensor(weights)).max(),
    )


def test_an_image_without_objects_is_all_background():
    sample = heads().sample(draw_proposals(), NO_TARGET)
    assert len(sample.labels) == 60
    assert not sample.labels.any()
    assert not sample.deltas.any()


def test_without_proposals_and_objects_there_is_nothing_to_learn():
    model, batch = heads(), blank_batch(IMAGE)
    result = model.train_on(batch, {"0": torch.rand(1, 8, 4, 6)}, [torch.zeros(0, 4)], [NO_TARGET])
    assert result.loss.total == 0
    result.loss.total.backward()
    assert all(not p.grad.any() for p in model.parameters())


def test_the_training_pass_asks_its_sample_and_no_other():
    model, batch = heads(box_batch_size_per_image=16), blank_batch(IMAGE, IMAGE)
    features = {"0": torch.rand(2, 8, 4, 6)}
    torch.manual_seed(1)
    result = model.train_on(batch, features, [draw_proposals(), draw_proposals(seed=1)], [TARGET, NO_TARGET])
    assert [len(rois) for rois in result.rois] == [16, 16]
    assert result.candidates is None
    pooled, logits, deltas = model.predict(batch, features, result.rois)
    for mine, expected in ((result.pooled, pooled), (result.class_logits, logits), (result.box_deltas, deltas)):
        torch.testing.assert_close(mine, expected)
    labels = torch.cat([sample.labels for sample in result.samples])
    torch.testing.assert_close(result.loss.classifier, nn.functional.cross_entropy(logits, labels))
    assert torch.equal(result.loss.box_reg_terms.any(dim=1), labels > 0)


def test_beta_reaches_the_box_loss():
    batch, features = blank_batch(IMAGE), {"0": torch.rand(1, 8, 4, 6)}
    proposals = [TARGET["boxes"] + 4]
    losses = [
        heads(box_smooth_l1_beta=beta).train_on(batch, features, proposals, [TARGET]).loss for beta in (1 / 9, 1.0)
    ]
    torch.testing.assert_close(losses[0].classifier, losses[1].classifier)
    assert losses[0].box_reg > losses[1].box_reg > 0


# Detections


def naive_detections(config: Config, logits: Tensor, deltas: Tensor, proposals: Tensor) -> list[tuple]:
    """The same, class by class in a loop: (score, label, proposal, box), best first."""
    found = []
    scores = logits.softmax(dim=1)
    for label in range(1, CLASSES):
        boxes = clip_boxes(decode_boxes(deltas[:, label], proposals, config.bbox_reg_weights), IMAGE)
        good = scores[:, label] > config.box_score_thresh
        good &= ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST_DETECTION).all(dim=1)
        rows = good.nonzero().flatten()
        for row in rows[nms(boxes[rows], scores[rows, label], config.box_nms_thresh)].tolist():
            found.append((scores[row, label].item(), label, row, boxes[row].tolist()))
    return sorted(found, reverse=True)[: config.box_detections_per_img]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"box_detections_per_img": 5},
        {"box_nms_thresh": 0.1, "box_score_thresh": 0.3},
        {"bbox_reg_weights": (1, 2, 3, 4)},
    ],
    ids=str,
)
def test_detections_are_the_good_answers_moved_clipped_and_thinned_out_by_class(options, seed):
    logits, deltas = draw_answers(seed=seed)
    proposals = draw_proposals(seed=seed)
    model = heads(**options)
    found = model.detect(logits, deltas, proposals, IMAGE)
    expected = naive_detections(model.config, logits, deltas, proposals)
    assert len(expected) > 4
    assert found.labels[found.kept].tolist() == [label for _, label, _, _ in expected]
    assert found.proposal_index[found.kept].tolist() == [row for _, _, row, _ in expected]
    torch.testing.assert_close(found.scores[found.kept], torch.tensor([score for score, *_ in expected]))
    torch.testing.assert_close(found.clipped[found.kept], torch.tensor([box for *_, box in expected]))


def test_a_score_on_the_threshold_is_not_above_it():
    logits = torch.tensor([[0.0, 0.0, -100, -100], [0.0, 0.1, -100, -100]])
    found = heads(box_score_thresh=0.5).detect(logits, torch.zeros(2, CLASSES, 4), draw_proposals(2), IMAGE)
    assert found.proposal_index.tolist() == [1]


def test_background_is_never_detected():
    logits = torch.tensor([[9.0, 0, 0, 0]])
    assert len(heads(box_score_thresh=0.5).detect(logits, torch.zeros(1, 4, 4), draw_proposals(1), IMAGE).labels) == 0


def test_one_proposal_may_be_two_things_and_two_classes_do_not_suppress_each_other():
    logits = torch.tensor([[0.0, 5.0, 5.0, 0.0]])
    found = heads().detect(logits, torch.zeros(1, 4, 4), draw_proposals(1), IMAGE)
    assert sorted(found.labels[found.kept].tolist()) == [1, 2]
    assert found.proposal_index.tolist() == [0, 0]


def test_what_is_pushed_out_of_the_image_is_dropped():
    logits, deltas = torch.tensor([[0.0, 5, 0, 0]] * 2), torch.zeros(2, 4, 4)
    deltas[0, 1, 0] = 1000.0
    found = heads().detect(logits, deltas, draw_proposals(2), IMAGE, detail=True)
    assert found.clipped[0, 0] == found.clipped[0, 2] == 96
    assert found.kept.tolist() == [1]
    assert found.suppressed_by.tolist() == [-1, -1]


@pytest.mark.parametrize(("side", "expected"), [(2.0, 1), (1.999, 0)])
def test_a_detection_of_exactly_the_smallest_size_is_kept(side, expected, monkeypatch):
    monkeypatch.setattr(frcnn_edu.roi_heads, "SMALLEST_DETECTION", 2.0)
    proposal = torch.tensor([[0.0, 0, side, 10]])
    found = heads().detect(torch.tensor([[0.0, 5, 0, 0]]), torch.zeros(1, 4, 4), proposal, IMAGE)
    assert len(found.kept) == expected


def test_who_suppressed_whom_is_found_only_on_request():
    answers = (*draw_answers(), draw_proposals(), IMAGE)
    assert heads().detect(*answers).suppressed_by is None
    assert heads().detect(*answers, detail=True).suppressed_by is not None
    inputs = blank_batch(IMAGE), {"0": torch.rand(1, 8, 4, 6)}, [draw_proposals()]
    assert heads()(*inputs).candidates[0].suppressed_by is None
    assert heads()(*inputs, detail=True).candidates[0].suppressed_by is not None


def test_without_proposals_nothing_is_found():
    result = heads()(blank_batch(IMAGE, IMAGE), {"0": torch.rand(2, 8, 4, 6)}, [torch.zeros(0, 4), draw_proposals(5)])
    assert len(result.candidates[0].kept) == 0
    assert len(result.candidates) == 2


def test_answers_of_one_batch_go_to_their_own_images():
    model, features = heads(box_score_thresh=0.3), torch.rand(2, 8, 4, 6)
    proposals = [draw_proposals(20), draw_proposals(30, seed=1)]
    both = model(blank_batch(IMAGE, IMAGE), {"0": features}, proposals).candidates
    for i, mine in enumerate(both):
        alone = model(blank_batch(IMAGE), {"0": features[i : i + 1]}, [proposals[i]]).candidates[0]
        assert len(mine.kept) > 0
        assert torch.equal(mine.proposal_index[mine.kept], alone.proposal_index[alone.kept])
        torch.testing.assert_close(mine.clipped, alone.clipped)


def test_detections_are_constants():
    result = heads()(blank_batch(IMAGE), {"0": torch.rand(1, 8, 4, 6, requires_grad=True)}, [draw_proposals()])
    assert result.class_logits.requires_grad
    assert not result.candidates[0].scores.requires_grad
    assert not result.candidates[0].clipped.requires_grad


# In the model


def test_a_float64_model_detects_in_float64():
    model = small_detector().double().eval()
    detections = model([image.double() for image in draw_images()])
    assert sum(len(one["boxes"]) for one in detections) > 0
    for one in detections:
        assert one["boxes"].dtype == one["scores"].dtype == torch.float64


def test_training_shows_the_objects_themselves_to_the_second_stage():
    targets = draw_targets()
    trace = small_detector().train().trace(draw_images(), targets)
    for sample, proposals, gt in zip(trace.roi_training.samples, trace.rpn.proposals, targets, strict=True):
        count = len(proposals.boxes)
        assert len(sample.matches.labels) == count + len(gt["boxes"])
        assert (sample.matches.labels[count:] == 1).all()
        iou = box_iou(sample.boxes[sample.labels > 0], sample.boxes[sample.sampled >= count])
        assert (iou.amax(dim=1) >= 0.5).all()
