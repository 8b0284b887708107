"""The runs of lesson 02: those that ship are those that the code makes."""

import pytest

from frcnn_edu.course.sampling_experiment import LONG, SEEDS, STEPS, WAYS, load_runs, run, shown_scene

pytestmark = pytest.mark.slow

RUNS = load_runs()


def test_every_way_ships_from_every_seed_and_one_of_them_longer():
    made = [(one.way, one.seed, len(one.losses)) for one in RUNS]
    wanted = [(way, seed, STEPS) for way in WAYS for seed in range(SEEDS)]
    assert sorted(made) == sorted([*wanted, *(("unbalanced", seed, LONG) for seed in range(SEEDS))])


@pytest.mark.parametrize("way", ["balanced", "unbalanced"])
def test_what_ships_is_what_a_training_gives(way):
    """Later steps differ in their last digits from machine to machine, and then in more."""
    shipped = next(one for one in RUNS if one.way == way and one.seed == 1 and len(one.losses) == STEPS)
    again = run(way, seed=1)
    assert again.losses[:3] == pytest.approx(shipped.losses[:3], abs=1e-3)
    assert again.positives[:3] == shipped.positives[:3]
    assert again.recall == pytest.approx(shipped.recall, abs=0.15)


def test_the_ways_draw_what_they_say():
    drawn = {way: [one.positives for one in RUNS if one.way == way] for way in WAYS}
    assert {sum(steps) for steps in drawn["only negatives"]} == {0}
    assert min(map(min, drawn["balanced"])) > max(map(max, drawn["unbalanced"]))


def test_the_shown_scene_is_as_large_as_its_score_map():
    assert shown_scene().shape == (3, 128, 128)
    assert len(RUNS[0].score_map) == len(RUNS[0].score_map[0]) == 128 // 16
