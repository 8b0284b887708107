"""The bug zoo: every bug has its effect, does not change the correct detector, and is measured once."""

import json

import pytest
import torch
from small_detector import draw_images, draw_targets, small_detector

from frcnn_edu.course import bug_zoo
from frcnn_edu.course.bug_zoo import BUGS, BugResult, load_results, rebuilt
from frcnn_edu.matching import BalancedSampler
from frcnn_edu.training.checkpoints import Recipe

LARGER = [(96, 128), (128, 80)]
IN_TRAINING = [bug for bug in BUGS if bug.in_training]
IN_INFERENCE = [bug for bug in BUGS if not bug.in_training]


def by_name(name):
    return next(bug for bug in BUGS if bug.name == name)


def named(bugs):
    return {"argvalues": bugs, "ids": [bug.name for bug in bugs]}


def installed(name, **options):
    return by_name(name).install(small_detector(**options))


def detected(model, sizes=LARGER):
    with torch.no_grad():
        return model.eval()(draw_images(sizes))


def losses(model):
    torch.manual_seed(1)
    return {name: value.item() for name, value in model.train()(draw_images(), draw_targets()).items()}


def same(first, second):
    return all(
        one[key].shape == other[key].shape and torch.equal(one[key], other[key])
        for one, other in zip(first, second, strict=True)
        for key in one
    )


def targets_of(model):
    """The RPN's targets in one pass with large objects."""
    torch.manual_seed(0)
    return model.eval().trace(draw_images(), draw_targets()).rpn.targets


def test_a_detector_rebuilt_without_a_bug_is_the_same():
    model = small_detector(box_score_thresh=0.3)
    assert same(detected(model), detected(rebuilt(model)))
    assert losses(model) == losses(rebuilt(model))
    assert rebuilt(model).config == model.config


@pytest.mark.parametrize("bug", **named(BUGS))
def test_a_bug_shares_the_parameters_of_the_detector_and_does_not_change_it(bug):
    model = small_detector()
    before = detected(model)
    bugged = bug.install(model)
    assert dict(bugged.named_parameters()) == dict(model.named_parameters())
    assert same(detected(model), before)


@pytest.mark.parametrize("bug", **named(IN_INFERENCE))
def test_an_inference_bug_changes_the_detections(bug):
    model = small_detector(box_score_thresh=0.1)
    with torch.no_grad():
        model.rpn.head.cls_logits.bias -= 0.5  # so that a filter by score has something to drop
    before = detected(model)
    assert not same(detected(bug.install(model)), before)


@pytest.mark.parametrize("bug", **named(IN_TRAINING))
def test_a_training_bug_changes_the_gradient(bug):
    def gradient(model):
        torch.manual_seed(1)
        sum(model.train()(draw_images(), draw_targets()).values()).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    assert not torch.equal(gradient(small_detector()), gradient(bug.install(small_detector())))


def test_inverted_ratios_give_the_same_nine_anchors_in_another_order():
    sound, bugged = small_detector(), installed("inverted_ratios")
    ours, theirs = (model.rpn.anchor_generator.cell_anchors[0] for model in (sound, bugged))
    torch.testing.assert_close(ours.view(3, 3, 4).flip(0).reshape(9, 4), theirs)
    torch.testing.assert_close(ours[:, [1, 0, 3, 2]], theirs)


def test_plus_one_makes_every_proposal_a_pixel_wider():
    model = small_detector()
    with torch.no_grad():
        model.rpn.head.bbox_pred.weight.zero_()
        wider, right = (one.eval().trace(draw_images()).rpn.proposals[0] for one in (installed_plus_one(model), model))
    torch.testing.assert_close(wider.decoded - right.decoded, torch.tensor([0.0, 0, 1, 1]).expand_as(right.decoded))


def installed_plus_one(model):
    return by_name("plus_one").install(model)


def test_the_score_filter_leaves_no_proposal_below_a_half():
    model = small_detector()
    with torch.no_grad():
        model.rpn.head.cls_logits.bias -= 0.5
        traces = [one.eval().trace(draw_images()) for one in (model, by_name("score_filter").install(model))]
    lowest = [trace.rpn.proposals[0].scores[trace.rpn.proposals[0].kept].min().item() for trace in traces]
    assert lowest[0] < 0.5 <= lowest[1]


def test_boxes_that_are_not_scaled_back_lie_on_the_resized_image():
    model = small_detector()
    with torch.no_grad():
        sound, bugged = (
            one.eval().trace(draw_images(LARGER)) for one in (model, by_name("not_scaled_back").install(model))
        )
    for i, (right, wrong) in enumerate(zip(sound.detections, bugged.detections, strict=True)):
        torch.testing.assert_close(sound.batch.to_original(wrong.boxes, i), right.boxes)
        assert len(right.boxes) > 0


def test_background_last_shifts_every_class_by_one():
    model = small_detector()
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.zero_()
        model.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([5.0, 0, 0, 0]))
        found = detected(by_name("background_last").install(model))
    assert set(found[0]["labels"].tolist()) == {1}, "background comes out as the first class"
    assert len(detected(model)[0]["labels"]) == 0


def test_swapped_channels_equal_a_flipped_image():
    model = small_detector()
    with torch.no_grad():
        expected = model.eval()([image.flip(0) for image in draw_images(LARGER)])
    assert same(detected(by_name("swapped_channels").install(model)), expected)


def test_without_the_best_anchor_rule_positives_reach_the_threshold():
    for target in targets_of(installed("no_best_anchor")):
        assert (target.matches.iou[target.matches.labels == 1] >= 0.7).all()
    assert any((one.matches.iou[one.matches.labels == 1] < 0.7).any() for one in targets_of(small_detector()))


def test_where_nothing_is_ignored_every_anchor_has_a_label():
    assert all((one.matches.labels >= 0).all() for one in targets_of(installed("nothing_ignored")))
    assert any((one.matches.labels < 0).any() for one in targets_of(small_detector()))


def test_an_unbalanced_sampler_draws_positives_in_proportion():
    labels = torch.zeros(10_000, dtype=torch.int64)
    labels[:1000] = 1
    labels[1000:2000] = -1
    sample = bug_zoo.UnbalancedSampler(256)(labels, torch.Generator().manual_seed(0))
    assert len(sample.indices) == 256
    assert (labels[sample.positive] == 1).all()
    assert (labels[sample.negative] == 0).all()
    assert 10 < len(sample.positive) < 50
    assert len(BalancedSampler(256)(labels).positive) == 128


def test_positives_only_samples_no_negative():
    assert all((one.labels == 1).all() and len(one.labels) for one in targets_of(installed("positives_only")))


def test_target_deltas_that_are_not_normalised_are_smaller():
    easy = {"box_fg_iou_thresh": 0.1, "box_bg_iou_thresh": 0.1}  # so that more than the ground truth is positive
    sound, bugged = small_detector(**easy), installed("not_normalised", **easy)
    for model in (sound, bugged):
        model.train()
    torch.manual_seed(2)
    sound = sound.trace(draw_images(), draw_targets()).roi_training.samples[0].deltas
    torch.manual_seed(2)
    raw = bugged.trace(draw_images(), draw_targets()).roi_training.samples[0].deltas
    torch.testing.assert_close(raw * torch.tensor([10.0, 10, 5, 5]), sound)
    assert sound.abs().max() > 0


def test_without_detach_the_second_loss_reaches_the_deltas_of_the_first():
    def reach(model):
        torch.manual_seed(0)
        second = model.train()(draw_images(), draw_targets())["loss_box_reg"]
        (gradient,) = torch.autograd.grad(second, [model.rpn.head.bbox_pred.weight], allow_unused=True)
        return 0 if gradient is None else gradient.abs().sum().item()

    assert reach(small_detector()) == 0
    assert reach(installed("missing_detach")) > 0


@pytest.fixture
def measured(monkeypatch):
    """Replaces both measurements, and lists the bugs that were measured."""
    asked = []

    def stand_in(install, *conditions):
        asked.append(install)
        return BugResult(0.5, 0.25, 0.75, None, [])

    monkeypatch.setattr(bug_zoo, "measure_in_inference", stand_in)
    monkeypatch.setattr(bug_zoo, "measure_in_training", stand_in)
    monkeypatch.setattr(bug_zoo, "load_trained", small_detector)
    return asked


def test_a_second_run_measures_only_what_is_missing(tmp_path, measured):
    out = tmp_path / "zoo.json"
    bug_zoo.run(out, images=4, only=["plus_one", "missing_detach"])
    assert len(measured) == 2
    bug_zoo.run(out, images=4)
    assert len(measured) == len(BUGS) + 2
    bug_zoo.run(out, images=4)
    assert len(measured) == len(BUGS) + 2, "nothing was missing"
    assert set(load_results(out)) == {"sound_inference", "sound_training", *(bug.name for bug in BUGS)}


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"images": 5}, len(BUGS) + 2),
        ({"recipe": Recipe(steps=7)}, len(IN_TRAINING) + 1),
    ],
)
def test_other_conditions_are_measured_again(tmp_path, measured, change, again):
    given = {"images": 4, "recipe": Recipe(steps=3)}
    bug_zoo.run(tmp_path / "zoo.json", **given)
    measured.clear()
    bug_zoo.run(tmp_path / "zoo.json", **given | change)
    assert len(measured) == again


def test_other_weights_are_measured_again(tmp_path, measured, monkeypatch):
    bug_zoo.run(tmp_path / "zoo.json")
    measured.clear()
    monkeypatch.setattr(bug_zoo, "load_trained", lambda: small_detector(seed=1))
    bug_zoo.run(tmp_path / "zoo.json")
    assert len(measured) == len(IN_INFERENCE) + 1


def test_an_unknown_bug_raises(tmp_path, measured):
    with pytest.raises(ValueError, match=r"unknown bug plus_two; there are .*plus_one"):
        bug_zoo.run(tmp_path / "zoo.json", only=["plus_two"])


def test_a_result_keeps_the_confident_detections_of_one_scene():
    model = small_detector(box_score_thresh=0.0)
    scenes = bug_zoo.Shapes(3, "val", image_size=64, classes=("disc", "ring", "square"))
    measured = bug_zoo.measure(model, scenes)
    assert json.loads(json.dumps(measured.detections)) == measured.detections
    assert all(len(row) == 6 and row[5] >= bug_zoo.SHOWN_SCORE for row in measured.detections)
    assert 0 <= measured.map_75 <= measured.map_50 <= 1
    assert 0 <= measured.recall_50 <= 1


def test_the_shipped_file_has_every_bug():
    assert set(load_results()) == {"sound_inference", "sound_training", *(bug.name for bug in BUGS)}
