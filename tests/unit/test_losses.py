"""Losses: what each term is, that terms sum to losses, and that what is not asked about has no say."""

import dataclasses
import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.roi_heads import fastrcnn_loss as torchvision_fast_rcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork as TorchvisionRPN

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.losses import RPN_BETA, count_of_this_process, fast_rcnn_loss, rpn_loss, smooth_l1

SEEDS = st.integers(0, 2**31)


def draw_rpn(seed: int, count: int = 40, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Arguments of `rpn_loss`; about a third of the anchors are positive, a third not sampled."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "logits": torch.randn(count, generator=generator, dtype=dtype).requires_grad_(),
        "deltas": torch.randn(count, 4, generator=generator, dtype=dtype).requires_grad_(),
        "labels": torch.randint(-1, 2, (count,), generator=generator),
        "target_deltas": torch.randn(count, 4, generator=generator, dtype=dtype),
    }


def draw_heads(seed: int, count: int = 30, classes: int = 4, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "class_logits": torch.randn(count, classes, generator=generator, dtype=dtype).requires_grad_(),
        "box_deltas": torch.randn(count, classes, 4, generator=generator, dtype=dtype).requires_grad_(),
        "labels": torch.randint(0, classes, (count,), generator=generator),
        "target_deltas": torch.randn(count, 4, generator=generator, dtype=dtype),
    }


# smooth L1


@settings(deadline=None)
@given(SEEDS, st.sampled_from([0.0, RPN_BETA, 0.5, 1.0, 3.0]))
def test_smooth_l1_is_pytorchs(seed, beta):
    x = 3 * torch.randn(50, generator=torch.Generator().manual_seed(seed))
    expected = F.smooth_l1_loss(x, torch.zeros_like(x), beta=beta, reduction="none")
    torch.testing.assert_close(smooth_l1(x, beta), expected)


def test_smooth_l1_is_a_parabola_within_beta_and_a_line_beyond():
    """With beta 1: 0.5 x^2 up to 1, and from there |x| - 0.5; both meet at 1 with slope 1."""
    x = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], requires_grad=True)
    values = smooth_l1(x, beta=1.0)
    assert values.tolist() == [2.5, 0.5, 0.125, 0.0, 0.125, 0.5, 2.5]
    values.sum().backward()
    assert x.grad.tolist() == [-1.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.0]


def test_smooth_l1_has_beta_a_ninth_unless_told_otherwise():
    torch.testing.assert_close(smooth_l1(torch.tensor([1 / 18, 1.0])), torch.tensor([1 / 72, 1 - 1 / 18]))


def test_smooth_l1_refuses_a_negative_beta():
    with pytest.raises(ValueError, match=r"beta must be at least 0, got -1"):
        smooth_l1(torch.zeros(1), -1)


# The loss of the region proposal network


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_rpn_loss_is_torchvisions(seed):
    """torchvision's `compute_loss` takes all anchors and draws its sample; here the sample is all that have a label."""
    drawn = draw_rpn(seed)
    loss = rpn_loss(**drawn)
    theirs = TorchvisionRPN(None, None, 0.7, 0.3, 10**6, 1.0, {}, {}, 0.7)
    logits, deltas, labels, targets = drawn.values()
    expected = theirs.compute_loss(logits[:, None], deltas, [labels.float()], [targets])
    torch.testing.assert_close((loss.objectness, loss.box_reg), expected)


def test_rpn_loss_is_the_papers_equation_1():
    """1/N_cls sum L_cls + lambda 1/N_reg sum p* L_reg, written out with N_cls 256, N_reg 2400 and lambda 10."""
    drawn = draw_rpn(0)
    loss = rpn_loss(**drawn, n_cls=256, n_reg=2400, balance=10, beta=1.0)
    p, labels = drawn["logits"].sigmoid(), drawn["labels"]
    l_cls = -torch.where(labels == 1, p, 1 - p).log()[labels >= 0]
    errors = (drawn["deltas"] - drawn["target_deltas"])[labels == 1].abs()
    l_reg = torch.where(errors < 1, 0.5 * errors**2, errors - 0.5)
    torch.testing.assert_close(loss.objectness, l_cls.sum() / 256)
    torch.testing.assert_close(loss.box_reg, 10 * l_reg.sum() / 2400)
    torch.testing.assert_close(loss.total, l_cls.sum() / 256 + 10 * l_reg.sum() / 2400)


def test_without_counts_both_halves_are_divided_by_the_sampled_anchors():
    drawn = draw_rpn(1)
    count = int((drawn["labels"] >= 0).sum())
    torch.testing.assert_close(rpn_loss(**drawn).objectness, rpn_loss(**drawn, n_cls=count).objectness)
    torch.testing.assert_close(rpn_loss(**drawn).box_reg, rpn_loss(**drawn, n_reg=count).box_reg)
    torch.testing.assert_close(rpn_loss(**drawn, balance=3).box_reg, 3 * rpn_loss(**drawn).box_reg)
    torch.testing.assert_close(rpn_loss(**drawn, balance=3).objectness, rpn_loss(**drawn).objectness)


@pytest.mark.parametrize("counts", [{}, {"n_cls": 256, "n_reg": 2400, "balance": 10}], ids=str)
def test_rpn_terms_sum_to_the_losses(counts):
    drawn = draw_rpn(2)
    loss = rpn_loss(**drawn, **counts)
    assert loss.objectness_terms.shape == drawn["logits"].shape
    assert loss.box_reg_terms.shape == drawn["deltas"].shape
    torch.testing.assert_close(loss.objectness_terms.sum(), loss.objectness)
    torch.testing.assert_close(loss.box_reg_terms.sum(), loss.box_reg)
    torch.testing.assert_close(loss.total, loss.objectness + loss.box_reg)


def test_what_is_not_sampled_adds_nothing_and_learns_nothing():
    drawn = draw_rpn(3)
    labels = drawn["labels"]
    loss = rpn_loss(**drawn)
    loss.total.backward()
    for per_anchor, asked in (
        (loss.objectness_terms, labels >= 0),
        (drawn["logits"].grad, labels >= 0),
        (loss.box_reg_terms.sum(dim=1), labels == 1),
        (drawn["deltas"].grad.abs().sum(dim=1), labels == 1),
    ):
        assert torch.equal(per_anchor != 0, asked)


def test_targets_of_anchors_that_are_not_positive_may_be_nan():
    """Half-filled buffers are: neither a value nor a gradient may come of it."""
    drawn, clean = draw_rpn(4), draw_rpn(4)
    drawn["target_deltas"] = drawn["target_deltas"].where(drawn["labels"][:, None] == 1, torch.nan)
    loss, expected = rpn_loss(**drawn), rpn_loss(**clean)
    assert torch.equal(loss.total, expected.total)
    loss.total.backward()
    expected.total.backward()
    assert torch.equal(drawn["deltas"].grad, clean["deltas"].grad)


@pytest.mark.parametrize("labels", [[], [-1, -1], [0, 0]], ids=["no anchors", "none sampled", "none positive"])
def test_an_rpn_sample_without_examples_costs_0_and_not_nan(labels):
    count = len(labels)
    logits, deltas = torch.randn(count, requires_grad=True), torch.randn(count, 4, requires_grad=True)
    loss = rpn_loss(logits, deltas, torch.tensor(labels, dtype=torch.int64), torch.zeros(count, 4))
    loss.total.backward()
    assert loss.box_reg == 0
    assert torch.equal(deltas.grad, torch.zeros(count, 4))
    assert (loss.objectness == 0) == (0 not in labels)
    assert loss.total.isfinite()
    assert logits.grad.isfinite().all()


def test_one_anchor_alone_and_one_region_alone_count_once():
    loss = rpn_loss(torch.zeros(2), torch.ones(2, 4), torch.tensor([1, -1]), torch.zeros(2, 4), beta=0.0)
    assert loss.objectness.item() == pytest.approx(math.log(2))
    assert loss.box_reg.item() == 4
    loss = fast_rcnn_loss(torch.zeros(1, 2), torch.ones(1, 2, 4), torch.tensor([1]), torch.zeros(1, 4), beta=0.0)
    assert loss.classifier.item() == pytest.approx(math.log(2))
    assert loss.box_reg.item() == 4


def test_extreme_logits_give_finite_losses_and_gradients():
    logits = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = rpn_loss(logits, torch.zeros(2, 4), torch.tensor([0, 1]), torch.zeros(2, 4))
    loss.total.backward()
    assert loss.objectness_terms.tolist() == [5000.0, 5000.0]
    assert logits.grad.tolist() == [0.5, -0.5]


@pytest.mark.parametrize(("name", "shape"), [("deltas", "(40, 4)"), ("labels", "(40,)"), ("target_deltas", "(40, 4)")])
def test_rpn_loss_names_the_argument_that_does_not_fit(name, shape):
    drawn = draw_rpn(5)
    drawn[name] = drawn[name][:-1]
    with pytest.raises(ValueError, match=re.escape(f"{name} must be {shape}, one row per box, got (39")):
        rpn_loss(**drawn)


# The loss of the second stage


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_fast_rcnn_loss_is_torchvisions(seed):
    drawn = draw_heads(seed)
    loss = fast_rcnn_loss(**drawn)
    logits, deltas, labels, targets = drawn.values()
    expected = torchvision_fast_rcnn_loss(logits, deltas.flatten(1), [labels], [targets])
    torch.testing.assert_close((loss.classifier, loss.box_reg), expected)


def test_fast_rcnn_loss_written_out():
    drawn = draw_heads(0)
    loss = fast_rcnn_loss(**drawn, beta=1.0)
    probabilities, box_reg = drawn["class_logits"].softmax(dim=1), 0.0
    for row, label in enumerate(drawn["labels"].tolist()):
        torch.testing.assert_close(loss.classifier_terms[row], -probabilities[row, label].log() / 30)
        if label > 0:
            error = (drawn["box_deltas"][row, label] - drawn["target_deltas"][row]).abs()
            box_reg += torch.where(error < 1, 0.5 * error**2, error - 0.5).sum() / 30
    torch.testing.assert_close(loss.box_reg, box_reg)


def test_the_second_stages_terms_sum_to_its_losses():
    loss = fast_rcnn_loss(**draw_heads(1))
    assert loss.classifier_terms.shape == (30,)
    assert loss.box_reg_terms.shape == (30, 4)
    torch.testing.assert_close(loss.classifier_terms.sum(), loss.classifier)
    torch.testing.assert_close(loss.box_reg_terms.sum(), loss.box_reg)
    torch.testing.assert_close(loss.total, loss.classifier + loss.box_reg)


def test_only_the_deltas_of_the_right_class_learn_and_the_background_has_none():
    drawn = draw_heads(2)
    loss = fast_rcnn_loss(**drawn)
    loss.total.backward()
    learns = F.one_hot(drawn["labels"], 4).bool()
    learns[:, 0] = False
    assert torch.equal(drawn["box_deltas"].grad.abs().sum(dim=2) > 0, learns)
    assert torch.equal(loss.box_reg_terms.sum(dim=1) > 0, drawn["labels"] > 0)


def test_targets_of_background_may_be_nan():
    drawn, clean = draw_heads(3), draw_heads(3)
    drawn["target_deltas"] = drawn["target_deltas"].where(drawn["labels"][:, None] > 0, torch.nan)
    loss, expected = fast_rcnn_loss(**drawn), fast_rcnn_loss(**clean)
    assert torch.equal(loss.total, expected.total)
    loss.total.backward()
    expected.total.backward()
    assert torch.equal(drawn["box_deltas"].grad, clean["box_deltas"].grad)


def test_a_second_stage_without_regions_costs_0_and_not_nan():
    logits, deltas = torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 4, 4, requires_grad=True)
    loss = fast_rcnn_loss(logits, deltas, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))
    loss.total.backward()
    assert loss.classifier == loss.box_reg == 0
    assert logits.grad.shape == (0, 4)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("box_deltas", lambda x: x.flatten(1), r"box_deltas must be \(30, 4, 4\).*got \(30, 16\)"),
        ("box_deltas", lambda x: x[:, :3], r"box_deltas must be \(30, 4, 4\).*got \(30, 3, 4\)"),
        ("labels", lambda x: x[:, None], r"labels must be \(30,\).*got \(30, 1\)"),
        ("target_deltas", lambda x: x[1:], r"target_deltas must be \(30, 4\).*got \(29, 4\)"),
    ],
)
def test_fast_rcnn_loss_names_the_argument_that_does_not_fit(name, change, message):
    drawn = draw_heads(4)
    with pytest.raises(ValueError, match=message):
        fast_rcnn_loss(**{**drawn, name: change(drawn[name])})


def test_losses_cannot_be_changed_afterwards():
    for loss, field in ((rpn_loss(**draw_rpn(0)), "objectness"), (fast_rcnn_loss(**draw_heads(0)), "classifier")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(loss, field, torch.zeros(()))


# Precision and gradients


def test_half_precision_answers_give_float32_losses():
    """What a network says under autocast is bfloat16; sums of hundreds of terms in it would lose the last ones."""
    for loss_of, drawn, halves in (
        (rpn_loss, draw_rpn(6), ("logits", "deltas")),
        (fast_rcnn_loss, draw_heads(6), ("class_logits", "box_deltas")),
    ):
        half = {name: values.bfloat16() if name in halves else values for name, values in drawn.items()}
        rounded = {name: values.bfloat16().float() if name in halves else values for name, values in drawn.items()}
        total = loss_of(**half).total
        assert total.dtype == torch.float32
        torch.testing.assert_close(total, loss_of(**rounded).total)


def test_gradients_of_the_rpn_loss_are_right():
    drawn = draw_rpn(7, count=8, dtype=torch.float64)
    rest = {name: drawn[name] for name in ("labels", "target_deltas")}
    assert set(drawn["labels"].tolist()) == {-1, 0, 1}
    torch.autograd.gradcheck(
        lambda *x: rpn_loss(*x, **rest, n_reg=20, balance=3).total, (drawn["logits"], drawn["deltas"])
    )


def test_gradients_of_the_second_stages_loss_are_right():
    drawn = draw_heads(8, count=6, dtype=torch.float64)
    rest = {name: drawn[name] for name in ("labels", "target_deltas")}
    torch.autograd.gradcheck(lambda *x: fast_rcnn_loss(*x, **rest).total, (drawn["class_logits"], drawn["box_deltas"]))


def test_gradients_of_decoding_are_right():
    """For one class and several, on both sides of the cut of log sizes but not on it."""
    generator = torch.Generator().manual_seed(9)
    corner = torch.rand(5, 2, generator=generator, dtype=torch.float64) * 50
    anchors = torch.cat((corner, corner + 20), dim=1).requires_grad_()
    for shape in ((5, 4), (5, 3, 4)):
        deltas = (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
        torch.autograd.gradcheck(
            lambda d, a: decode_boxes(d, a, (10, 10, 5, 5), log_scale_limit=0.1), (deltas, anchors)
        )


@pytest.mark.parametrize("divisor", [1, 0.5])
def test_any_divisor_above_0_will_do(divisor):
    drawn = draw_rpn(3)
    once, divided = rpn_loss(**drawn, n_cls=1, n_reg=1), rpn_loss(**drawn, n_cls=divisor, n_reg=divisor)
    torch.testing.assert_close(divided.total, once.total / divisor)


@pytest.mark.parametrize("divisors", [{"n_cls": 0}, {"n_reg": 0}, {"n_cls": -256}])
def test_a_divisor_that_is_not_above_zero_is_refused(divisors):
    with pytest.raises(ValueError, match="must be above 0"):
        rpn_loss(torch.zeros(2), torch.zeros(2, 4), torch.tensor([1, 0]), torch.zeros(2, 4), **divisors)


@pytest.mark.parametrize(("rows", "divisor"), [(0, 1), (1, 1), (7, 7)])
def test_a_process_alone_divides_by_its_own_rows(rows, divisor):
    assert count_of_this_process(rows, torch.device("cpu")) == divisor
