"""The explorers of lesson 07, as Python sees them: what they count equals what boxes and metrics say."""

import pytest
import torch
import traitlets
from small_detector import draw_images, draw_targets, small_detector

from frcnn_edu.boxes import box_iou
from frcnn_edu.course.bug_zoo import BUGS, BugResult, open_zoo
from frcnn_edu.explorers.lesson_07_full_model import (
    PREDICTIONS,
    BiographyExplorer,
    Snapshot,
    TimeMachine,
    biographies,
    right_ones,
    right_prediction,
    take_snapshot,
)
from frcnn_edu.training.checkpoints import History
from frcnn_edu.training.metrics import evaluate
from frcnn_edu.viz.live_curve import NAMES, LiveCurve, running_mean

CLASSES = ("background", "disc", "ring", "square")
IMAGE = torch.full((3, 64, 64), 0.5)
TARGET = {"boxes": torch.tensor([[0.0, 0, 20, 20], [30, 30, 60, 60]]), "labels": torch.tensor([1, 2])}


def snapshot(step, proposals, rows):
    rows = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    detections = {"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]}
    return Snapshot(step, torch.rand(4, 4), torch.tensor(proposals).reshape(-1, 4), detections)


def machine(**traits):
    early = snapshot(0, [[0.0, 0, 5, 5], [40, 40, 64, 64]], [])
    late = snapshot(
        10,
        [[0.0, 0, 18, 20], [5, 5, 9, 9], [30, 30, 58, 60]],
        [[0, 0, 20, 18, 1, 0.9], [31, 31, 60, 60, 2, 0.8], [30, 30, 60, 58, 2, 0.7], [30, 30, 60, 60, 3, 0.6]],
    )
    return TimeMachine(IMAGE, TARGET, [early, late], CLASSES, **traits)


def test_the_time_machine_counts_what_is_reached_and_what_is_right():
    film = machine()
    assert (film.steps, film.snapshot) == ((0, 10), 1)
    assert (film.num_reached, film.num_right) == (2, 2)
    film.num_proposals = 1
    assert (film.num_reached, film.num_right) == (1, 2)
    film.threshold = 0.85
    assert film.num_right == 1
    film.snapshot, film.num_proposals = 0, 12
    assert (film.num_reached, film.num_right) == (0, 0)


def test_the_second_find_of_an_object_and_a_wrong_name_are_not_right():
    rows = machine().shown_detections
    assert right_ones(rows, TARGET).tolist() == [True, True, False, False]
    assert right_ones(rows.flip(0), TARGET).tolist() == [False, False, True, True], "whatever their order"


def test_as_many_are_right_as_the_metrics_say():
    generator = torch.Generator().manual_seed(0)
    boxes = TARGET["boxes"][torch.randint(2, (12,), generator=generator)] + 4 * torch.rand(12, 4, generator=generator)
    labels, scores = torch.randint(1, 4, (12,), generator=generator), torch.rand(12, generator=generator)
    rows = torch.cat((boxes, labels[:, None], scores[:, None]), dim=1)
    right = right_ones(rows, TARGET)
    measured = evaluate([{"boxes": boxes, "labels": labels, "scores": scores}], [TARGET])
    found = sum(
        curve.recall[-1] * measured.ground_truths[name] for name, curve in measured.curves.items() if len(curve.recall)
    )
    assert right.sum().item() == round(found) > 0


def test_without_objects_nothing_is_right():
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    film = TimeMachine(IMAGE, empty, [snapshot(0, [[0.0, 0, 9, 9]], [[0, 0, 9, 9, 1, 0.9]])], CLASSES)
    assert (film.num_reached, film.num_right) == (0, 0)


def test_a_snapshot_is_what_the_trace_says():
    model, (image, _) = small_detector(), draw_images()
    taken = take_snapshot(model, 7, image)
    with torch.no_grad():
        trace = model.eval().trace([image])
    assert taken.step == 7
    per_cell, rows, columns = trace.rpn.level_sizes[0]
    best = trace.rpn.logits[0].sigmoid().view(rows * columns, per_cell).amax(dim=1)
    torch.testing.assert_close(taken.objectness.flatten(), best)
    torch.testing.assert_close(taken.detections["boxes"], trace.detections[0].boxes)
    torch.testing.assert_close(taken.proposals, trace.batch.to_original(trace.rpn.proposals[0].boxes, 0))


def test_a_time_machine_needs_a_snapshot():
    with pytest.raises(ValueError, match="at least one snapshot"):
        TimeMachine(IMAGE, TARGET, [], CLASSES)


@pytest.fixture(scope="module")
def lives():
    model, (image, _), (target, _) = small_detector(), draw_images(), draw_targets()
    with torch.no_grad():
        trace = model.eval().trace([image])
    return image, trace, target


def test_a_biography_follows_the_links_of_the_trace(lives):
    _, trace, target = lives
    told = biographies(trace, target, CLASSES, 0.3)
    found = trace.detections[0]
    assert len(told) == (found.scores >= 0.3).sum().item() > 0
    for i, life in enumerate(told):
        assert life["index"] == found.anchor_index[i].item()
        row, column = life["cell"]
        per_cell, _, columns = trace.rpn.level_sizes[0]
        assert (row * columns + column) * per_cell + life["which"] == life["index"]
        higher = (trace.rpn.logits[0] > trace.rpn.logits[0, life["index"]]).sum().item()
        assert life["rank"] == higher + 1
        overlaps = box_iou(torch.tensor([life["detection"]]), target["boxes"])[0]
        assert life["truth"] == target["boxes"][overlaps.argmax()].tolist()
        assert life["name"] == CLASSES[found.labels[i]]
        assert life["name"] in [name for name, _ in life["runners_up"]]


def test_age_walks_from_the_anchor_over_the_proposal_to_the_detection(lives):
    image, trace, target = lives
    explorer = BiographyExplorer(image, trace, target, CLASSES, 0.3)
    for age, name in enumerate(("anchor", "proposal", "detection")):
        explorer.age = age
        torch.testing.assert_close(explorer.box, torch.tensor(explorer.life[name]))
    explorer.age = 0.5
    middle = (torch.tensor(explorer.life["anchor"]) + torch.tensor(explorer.life["proposal"])) / 2
    torch.testing.assert_close(explorer.box, middle)
    expected = box_iou(middle[None], torch.tensor([explorer.life["truth"]])).item()
    assert explorer.iou == pytest.approx(expected)


def test_no_detection_is_no_life(lives):
    image, trace, target = lives
    with pytest.raises(ValueError, match="no life to tell"):
        BiographyExplorer(image, trace, target, CLASSES, least_score=1.1)


def test_a_trace_in_training_has_no_biographies(lives):
    image, _, target = lives
    trace = small_detector().train().trace([image], [target])
    with pytest.raises(ValueError, match="no detections: take it in evaluation mode"):
        biographies(trace, target, CLASSES, 0.3)


def results():
    sound = [[100.0, 100, 140, 140, 1, 0.9]]
    measured = {bug.name: BugResult(0.1 + 0.05 * i, 0.1, 0.5, 1.0, []) for i, bug in enumerate(BUGS)}
    return measured | {bug.without: BugResult(0.8, 0.6, 0.9, 0.5, sound) for bug in BUGS}


def test_the_zoo_shows_the_sound_detector_until_the_answer_is_opened():
    zoo = open_zoo(results())
    assert len(zoo.shown_rows) == 1
    assert len(zoo.boxes) == len(zoo.scenes[False][1]["boxes"]) + 1
    zoo.revealed = True
    assert len(zoo.shown_rows) == 0
    assert len(zoo.boxes) == len(zoo.scenes[False][1]["boxes"])


def test_another_bug_closes_the_answer_and_shows_its_own_scene():
    zoo = open_zoo(results(), prediction=2, revealed=True)
    zoo.bug = next(i for i, bug in enumerate(BUGS) if bug.in_training)
    assert (zoo.prediction, zoo.revealed) == (-1, False)
    assert zoo.image.shape[0] == zoo.scenes[True][0].shape[1] != zoo.scenes[False][0].shape[1]


def test_a_zoo_without_a_result_says_how_to_get_it():
    incomplete = results()
    del incomplete["plus_one"]
    with pytest.raises(ValueError, match=r"plus_one; run python -m frcnn_edu\.course\.bug_zoo"):
        open_zoo(incomplete)


@pytest.mark.parametrize(
    ("sound", "with_bug", "prediction"),
    [(0.8, 0.85, 0), (0.8, 0.78, 0), (0.8, 0.65, 1), (0.8, 0.3, 2), (0.8, 0.01, 3), (0.02, 0.0, 0)],
)
def test_a_loss_of_map_has_its_answer(sound, with_bug, prediction):
    assert right_prediction(sound, with_bug) == prediction < len(PREDICTIONS)


def test_a_bug_that_is_not_there_is_refused():
    with pytest.raises(traitlets.TraitError, match="bug"):
        open_zoo(results(), bug=len(BUGS))


def test_every_explorer_has_a_plain_picture_for_a_page_without_a_kernel(lives):
    image, trace, target = lives
    explorers = [machine(), BiographyExplorer(image, trace, target, CLASSES, 0.3), open_zoo(results())]
    for explorer in explorers:
        data, _ = explorer._repr_mimebundle_()
        assert len(data["image/jpeg"]) > 1000
        assert repr(explorer) == repr(explorer)


def history(steps):
    kept = History()
    for step in range(steps):
        kept.add(dict.fromkeys(NAMES, 1 / (step + 1)))
    return kept


def test_the_live_curve_draws_seldom_but_always_at_the_end(monkeypatch):
    curve, shown = LiveCurve(steps=30, seconds=1000), []
    monkeypatch.setattr(curve, "_show", shown.append)
    for done in range(1, 31):
        curve(done, None, history(done))
    assert len(shown) == 1
    eager = LiveCurve(steps=3, seconds=0)
    monkeypatch.setattr(eager, "_show", shown.append)
    for done in range(1, 4):
        eager(done, None, history(done))
    assert len(shown) == 4


def test_the_live_curve_has_a_line_for_every_loss_over_all_steps():
    _, axes = LiveCurve(steps=30).figure(20, history(20)).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(NAMES.values())
    assert axes.get_xlim() == (0, 30)


def test_the_live_curve_draws_the_map_where_it_was_measured_and_marks_the_best(monkeypatch):
    curve, shown = LiveCurve(steps=30, seconds=1000), []
    monkeypatch.setattr(curve, "_show", shown.append)
    measured = history(20)
    for done, value in ((10, 0.5), (15, 0.4)):
        measured.measured[done] = value
        curve(done, None, measured)
        curve(done + 1, None, measured)
    assert len(shown) == 2, "a new mAP is drawn at once"
    *_, panel = shown[-1].axes
    line, best = panel.get_lines()
    assert line.get_xydata().tolist() == [[10, 0.5], [15, 0.4]]
    assert best.get_xydata().tolist() == [[10, 0.5]]
    assert panel.get_xlim() == (0, 30)


def test_the_time_to_go_of_a_resumed_training_counts_its_own_steps(monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr("frcnn_edu.viz.live_curve.time.perf_counter", lambda: next(clock))
    curve = LiveCurve(steps=100, seconds=1e9)
    monkeypatch.setattr(curve, "_show", lambda _: None)
    curve(91, None, history(91))
    assert "about 90 s to go" in curve._progress(91)


def test_a_live_curve_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        LiveCurve(0)


def test_a_running_mean_looks_back_and_never_ahead():
    values = torch.arange(6.0).numpy()
    assert running_mean(values, 3).tolist() == [0, 0.5, 1, 2, 3, 4]
