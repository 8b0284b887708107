"""The clinic: every patient has its symptom and loses it, can be run, and belongs to a row of the table."""

import json
import math
import re
from dataclasses import replace

import pytest
import torch

from frcnn_edu.course import clinic
from frcnn_edu.course.clinic import CAUSES, PATIENTS, PLANS, Plan, load_runs
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.exercises.exercise import check, find
from frcnn_edu.exercises.lesson_09_your_own_photographs import ACCEPTED, ANSWERS
from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.symptoms import TABLE


def sick_and_cured(name):
    (one,) = (one for one in PATIENTS if one.name == name)
    return load_runs()[one.cause], load_runs()[one.cured]


def test_what_ships_was_made_by_these_plans():
    shipped = json.loads(data_path(clinic.FILE).read_text(encoding="utf-8"))
    assert {name: entry["conditions"] for name, entry in shipped.items()} == {
        name: plan.conditions for name, plan in PLANS.items()
    }


def test_the_patients_are_the_rows_of_the_table():
    assert [one.name for one in PATIENTS] == [row.name for row in TABLE]
    assert set(PLANS) == set(load_runs())
    assert {one.cause for one in PATIENTS} == set(CAUSES) <= set(PLANS)
    for one in PATIENTS:
        assert one.cured in PLANS
        assert len(one.choices) == 4
        assert one.cause in one.choices
    assert [clinic.patient(number) for number in range(1, 11)] == list(PATIENTS)
    for number in (0, 11, "nan"):
        with pytest.raises(ValueError, match=r"no patient has the number .*; there are 1 to 10"):
            clinic.patient(number)


@pytest.mark.parametrize("one", [one for one in PATIENTS if one.name != "minus_one"], ids=lambda one: one.name)
def test_the_cure_raises_map_clearly(one):
    sick, cured = sick_and_cured(one.name)
    assert cured.map_75 > sick.map_75 + 0.1


def test_each_patient_has_the_symptom_of_its_row():
    sick = {one.name: load_runs()[one.cause] for one in PATIENTS}
    assert max(sick["nan"].losses) > 1e6
    assert re.fullmatch(r"step \d+: FloatingPointError: .*(nan|inf|infinity)", sick["nan"].said)
    assert load_runs()["slower"].said == ""
    assert sick["no_map"].map_50 < 0.1
    assert sick["no_map"].losses[-1] < 0.5 * sick["no_map"].losses[0]
    seen, unseen = (list(values.values())[-1] for values in (sick["overfitting"].seen, sick["overfitting"].unseen))
    assert seen > 0.8 > 2 * unseen
    assert sick["unlabelled"].losses[1] < load_runs()["sound"].losses[1]
    assert "-1.000" in sick["minus_one"].said
    assert "-1.000" not in load_runs()["all_sizes"].said
    assert sick["background"].best_score < 0.5
    doubled, trained = sick_and_cured("doubled")
    assert len(doubled.detections) > len(trained.detections)
    assert doubled.recall_50 >= trained.recall_50
    first, *rest = (at_50 - at_75 for at_50, at_75 in sick["one_regressor"].per_class.values())
    assert first < min(rest)


def test_the_curves_of_the_exercise_are_those_that_it_says():
    runs = load_runs()
    assert {number for accepted in ACCEPTED.values() for number in accepted} == set(ANSWERS)
    last = {letter: [list(part.values())[-1] for part in (runs[letter].unseen, runs[letter].seen)] for letter in "ABC"}
    assert max(last["A"]) < 0.05
    assert min(last["B"]) > 0.85
    assert abs(last["B"][0] - last["B"][1]) < 0.05
    assert last["C"][1] > 0.95
    assert last["C"][0] < 0.4
    assert runs["D"].losses[-1] > 1e6
    assert "FloatingPointError" in runs["D"].said


def test_the_exercise_takes_every_diagnosis_that_a_curve_allows_and_says_why():
    for number in ACCEPTED["A"]:
        result = check("which_patient", {**find("which_patient").diagnosis, "A": number}.__getitem__)
        assert result.passed
        assert "x and y were exchanged" in result.message


def test_a_cure_measured_on_other_images_is_not_compared():
    for one in PATIENTS:
        said = clinic._compared(one, load_runs()[one.cause], load_runs()[one.cured])
        assert ("cannot be compared" in said) == (one.name == "minus_one")


def test_faults_of_the_data_change_the_boxes_and_nothing_else():
    target = {"boxes": torch.tensor([[10.0, 20, 40, 80]]), "labels": torch.tensor([2])}
    assert clinic.corners_read_as_sides(0, target, (128, 128))["boxes"].tolist() == [[10, 20, 50, 100]]
    assert clinic.corners_read_as_sides(0, target, (64, 45))["boxes"].tolist() == [[10, 20, 45, 64]]
    assert clinic.axes_exchanged(0, target, (128, 128))["boxes"].tolist() == [[20, 10, 80, 40]]
    assert [len(clinic.most_left_out(i, target, (9, 9))["labels"]) for i in range(12)] == [1] + 9 * [0] + [1, 0]
    assert clinic.axes_exchanged(0, target, (128, 128))["labels"].tolist() == [2]


def test_the_first_patient_really_diverges(monkeypatch):
    for name in ("UNSEEN", "MEASURED"):
        monkeypatch.setattr(clinic, name, 1)
    plan = PLANS["rate"]
    run = clinic.perform(replace(plan, recipe=replace(plan.recipe, steps=clinic.FEW_STEPS)))
    assert "FloatingPointError" in run.said
    assert run.each == 1
    assert len(run.losses) < clinic.FEW_STEPS
    assert max(run.losses) > 1e6


def test_a_plan_can_be_run_and_its_run_is_written(tmp_path, monkeypatch, capsys):
    few = replace(PLANS["unlabelled"], recipe=Recipe(steps=3, batch_size=1))
    monkeypatch.setattr(clinic, "PLANS", {"sound": few, "trained": Plan(recipe=None, tested={"image_size": 64})})
    for name in ("UNSEEN", "TESTED", "MEASURED"):
        monkeypatch.setattr(clinic, name, 2)
    out = tmp_path / "clinic.json"
    clinic.make(out)
    assert "trained: mAP" in capsys.readouterr().out
    clinic.make(out)
    assert capsys.readouterr().out == "", "nothing was missing"
    written = json.loads(out.read_text(encoding="utf-8"))
    assert set(written) == {"sound", "trained"}
    assert set(written["sound"]["run"]["unseen"]) == {"3"}
    assert math.isfinite(written["sound"]["run"]["losses"][0])


def test_inference_faults_leave_the_number_of_detections_or_the_boxes():
    with torch.no_grad():
        images = [Shapes(1, "val", image_size=320)[0][0]]
        names = ("trained", "twice", "one_regressor")
        sound, twice, one = (PLANS[name].install(clinic.load_trained()).trace(images) for name in names)
    (found,), (found_twice,) = sound.detections, twice.detections
    torch.testing.assert_close(found_twice.boxes, 320 / 256 * found.boxes)
    assert torch.equal(one.roi.class_logits, sound.roi.class_logits)
    assert not torch.equal(one.detections[0].boxes, found.boxes)


def test_every_run_is_drawn():
    for name, run in load_runs().items():
        assert len(clinic.figure(name, run).axes) >= 2


def test_the_table_has_every_row():
    assert len(clinic.table().rows) == len(TABLE)
    assert "10" in clinic.table()._repr_html_()
