"""The explorers of lesson 03, as Python sees them: what they show is what the network answered and `rpn_loss` says."""

import pytest
import torch
from small_detector import small_detector

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.explorers.lesson_03_rpn_and_loss import LossExplorer, ObjectnessExplorer
from frcnn_edu.losses import RPN_BETA, rpn_loss, smooth_l1

SIZE = (64, 96)
BOXES = torch.tensor([[8.0, 8.0, 40.0, 40.0], [50.0, 20.0, 82.0, 52.0]])
STEPS = (0, 7)
LOGIT, DX, DH = 0, 1, 4


def make_passes():
    """The RPN's passes of two untrained networks over one image."""
    torch.manual_seed(0)
    image, target = torch.rand(3, *SIZE), {"boxes": BOXES, "labels": torch.tensor([1, 2])}
    with torch.no_grad():
        return image, {step: small_detector(seed=step).eval().trace([image], [target]).rpn for step in STEPS}


IMAGE, PASSES = make_passes()
LAST = PASSES[STEPS[-1]]


@pytest.fixture
def loss():
    return LossExplorer(IMAGE, BOXES, PASSES, captions=["left", "right"])


def places(explorer):
    return torch.tensor(explorer.places[:, 0]).long()


# The loss


def test_the_column_sums_to_the_loss_that_the_network_printed(loss):
    torch.testing.assert_close(loss.loss.total, LAST.loss.total)
    column = loss.loss.objectness_terms + loss.loss.box_reg_terms.sum(dim=1)  # (A,)
    torch.testing.assert_close(column[: loss.num_sampled].sum(), LAST.loss.total)
    assert column[loss.num_sampled :].abs().max() == 0


def test_sampled_anchors_come_first_and_keep_what_the_network_said_of_them(loss):
    sampled = LAST.targets[0].sampled
    assert places(loss)[: len(sampled)].tolist() == sampled.tolist()
    assert sorted(places(loss).tolist()) == list(range(len(LAST.anchors)))
    torch.testing.assert_close(loss.answer[:, LOGIT], LAST.logits[0][places(loss)])
    torch.testing.assert_close(loss.answer[:, DX:], LAST.deltas[0][places(loss)])
    torch.testing.assert_close(loss.box_tensor[: loss.num_anchors], LAST.anchors[places(loss)])
    torch.testing.assert_close(loss.box_tensor[loss.num_anchors :], BOXES)


def test_another_step_answers_for_the_same_sample(loss):
    truth = loss.truth.copy()
    loss.snapshot = 0
    assert (loss.truth == truth).all()
    targets, first = LAST.targets[0], PASSES[STEPS[0]]
    expected = rpn_loss(
        first.logits[0, targets.sampled], first.deltas[0, targets.sampled], targets.labels, targets.deltas
    )
    torch.testing.assert_close(loss.loss.total, expected.total)


@pytest.mark.parametrize("balance", [0.1, 10])
def test_lambda_weighs_the_box_half_alone(loss, balance):
    before = loss.loss
    loss.balance = balance
    torch.testing.assert_close(loss.loss.objectness, before.objectness)
    torch.testing.assert_close(loss.loss.box_reg, balance * before.box_reg)


def test_the_papers_divisor_counts_the_cells_of_the_map(loss):
    before = loss.loss
    loss.locations = True
    assert loss.num_locations == 4 * 6 != loss.num_sampled
    torch.testing.assert_close(loss.loss.box_reg, before.box_reg * loss.num_sampled / (4 * 6))
    torch.testing.assert_close(loss.loss.objectness, before.objectness)


@pytest.mark.parametrize("beta", [0, RPN_BETA, 2])
def test_terms_and_gradients_are_what_equation_1_says(loss, beta):
    loss.beta, loss.balance = beta, 3
    k = int((loss.truth[:, 0] == 1).argmax())  # a positive
    logit, target = loss.answer[k, LOGIT], torch.tensor(loss.truth[k, 3:])
    errors = loss.answer[k, DX:] - target
    torch.testing.assert_close(loss.loss.box_reg_terms[k], 3 * smooth_l1(errors, beta) / loss.num_sampled)
    slopes = (errors / beta).clamp(-1, 1) if beta else errors.sign()
    torch.testing.assert_close(loss.gradients[k, DX:], 3 * slopes / loss.num_sampled)
    torch.testing.assert_close(loss.gradients[k, LOGIT], (logit.sigmoid() - 1) / loss.num_sampled)


def test_negatives_answer_for_their_score_alone_and_the_others_for_nothing(loss):
    negative, other = torch.tensor(loss.truth[:, 0] == 0), torch.tensor(loss.truth[:, 0] == -1)
    assert negative.any()
    assert other.any()
    assert loss.gradients[negative, LOGIT].abs().min() > 0
    assert loss.gradients[negative, DX:].abs().max() == 0
    assert loss.gradients[other].abs().max() == 0


def test_the_prediction_is_the_selected_anchor_moved_by_its_deltas(loss):
    loss.selected = 2
    expected = decode_boxes(LAST.deltas[0], LAST.anchors)[places(loss)[2]]
    torch.testing.assert_close(loss.prediction, expected)
    loss.selected = loss.num_anchors  # an object
    assert loss.prediction is None
    loss.selected = None
    assert loss.prediction is None


# Objectness


def test_each_map_holds_the_scores_of_the_anchors_of_its_shape():
    explorer = ObjectnessExplorer(IMAGE, BOXES, PASSES)
    assert explorer.maps.shape == (9, 4, 6)
    for step, one in PASSES.items():
        explorer.snapshot = STEPS.index(step)
        for anchor in (0, 40, 215):
            cell, shape = divmod(anchor, 9)
            assert explorer.maps[shape][divmod(cell, 6)] == pytest.approx(one.logits[0, anchor].sigmoid().item())


def test_the_best_anchor_of_a_shape_has_that_shape_and_the_highest_score():
    explorer = ObjectnessExplorer(IMAGE, BOXES, PASSES, shape=5)
    anchor, score = explorer.best
    assert anchor % 9 == 5
    assert score == pytest.approx(LAST.logits[0, 5::9].sigmoid().max().item())
    assert LAST.logits[0, anchor].sigmoid().item() == pytest.approx(score)


# Both


@pytest.mark.parametrize("explorer", [LossExplorer, ObjectnessExplorer])
def test_every_explorer_has_a_plain_picture_for_a_page_without_a_kernel(explorer):
    made = explorer(IMAGE, BOXES, PASSES)
    data, _ = made._repr_mimebundle_()
    assert len(data["image/jpeg"]) > 1000
    assert repr(made).startswith(f"{explorer.__name__}(96 x 64 image;")


@pytest.mark.parametrize("explorer", [LossExplorer, ObjectnessExplorer])
def test_what_cannot_be_shown_is_refused_by_name(explorer):
    with pytest.raises(ValueError, match="at least one pass"):
        explorer(IMAGE, BOXES, {})
    torch.manual_seed(0)
    with torch.no_grad():
        two = small_detector().eval().trace([IMAGE, IMAGE]).rpn
    with pytest.raises(ValueError, match="several levels or images"):
        explorer(IMAGE, BOXES, {3: two})


def test_a_loss_needs_targets():
    with torch.no_grad():
        blind = small_detector().eval().trace([IMAGE]).rpn
    with pytest.raises(ValueError, match="no targets"):
        LossExplorer(IMAGE, BOXES, {0: blind})


def test_a_step_or_a_shape_that_is_not_there_is_refused(loss):
    with pytest.raises(ValueError, match="counts the 2 steps"):
        loss.snapshot = 2
    with pytest.raises(ValueError, match="counts the 9 anchors"):
        ObjectnessExplorer(IMAGE, BOXES, PASSES, shape=9)
