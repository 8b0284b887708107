"""Kinds of errors: drawn cases of each, and agreement with the metrics on who is right."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frcnn_edu.training.metrics import evaluate
from frcnn_edu.training.mistakes import (
    BACKGROUND,
    CLASS,
    DUPLICATE,
    KINDS,
    LOCALISATION,
    MISSED,
    RIGHT,
    SET_ASIDE,
    find_errors,
)

NAMES = ("__background__", "cat", "dog", "bird")
CAT, DOG = 1, 2
HERE = [0.0, 0, 10, 10]


def found(*rows):
    """Detections from (box, label, score)."""
    boxes, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores),
    }


def truth(*rows, **more):
    boxes, labels = zip(*rows, strict=True) if rows else ((), ())
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels, dtype=torch.int64), **more}


def kinds(detections, target, **options):
    return find_errors([detections], [target], NAMES, **options).images[0].kinds


def shifted(by):
    """HERE moved right: IoU is (10 - by) / (10 + by)."""
    return [by, 0.0, 10 + by, 10]


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        (shifted(0.0), CAT, RIGHT),
        (shifted(10 / 3), CAT, RIGHT),  # IoU 0.5
        (shifted(3.4), CAT, LOCALISATION),
        (shifted(8.1), CAT, LOCALISATION),  # IoU 0.105
        (shifted(8.3), CAT, BACKGROUND),  # IoU 0.093
        (shifted(50.0), CAT, BACKGROUND),
        (shifted(1.0), DOG, CLASS),
        (shifted(3.4), DOG, BACKGROUND),  # wrong in name and place
    ],
)
def test_one_detection_beside_one_cat(box, label, kind):
    errors = find_errors([found((box, label, 0.9))], [truth((HERE, CAT))], NAMES)
    assert errors.images[0].kinds == [kind]
    assert errors.images[0].missed.tolist() == [kind != RIGHT]
    assert errors.per_class[NAMES[label]][kind] == 1
    assert errors.per_class["cat"][MISSED] == (kind != RIGHT)


def test_the_surer_of_two_is_right_whichever_comes_first():
    rows = (shifted(1.0), CAT, 0.6), (HERE, CAT, 0.9)
    assert kinds(found(*rows), truth((HERE, CAT))) == [DUPLICATE, RIGHT]
    assert kinds(found(*rows[::-1]), truth((HERE, CAT))) == [RIGHT, DUPLICATE]


def test_a_name_that_is_right_elsewhere_does_not_excuse_it_here():
    """A dog's box on the cat, while the only dog is far away: the class is wrong."""
    assert kinds(found((HERE, DOG, 0.9)), truth((HERE, CAT), (shifted(40.0), DOG))) == [CLASS]


def test_what_scores_too_little_is_not_looked_at_and_its_object_is_missed():
    errors = find_errors([found((HERE, CAT, 0.4))], [truth((HERE, CAT))], NAMES, score=0.5)
    assert errors.images[0].kinds == [""]
    assert errors.total == {MISSED: 1}
    assert find_errors([found((HERE, CAT, 0.4))], [truth((HERE, CAT))], NAMES, score=0.4).total == {RIGHT: 1}


@pytest.mark.parametrize("key", ["difficult", "iscrowd"])
def test_what_is_set_aside_counts_neither_way(key):
    target = truth((HERE, CAT), **{key: torch.tensor([True])})
    errors = find_errors([found((HERE, CAT, 0.9), (HERE, CAT, 0.8))], [target], NAMES)
    assert errors.images[0].kinds == [SET_ASIDE, SET_ASIDE]
    assert errors.total == {}


def test_empty_images_and_the_worst_ones():
    errors = find_errors(
        [found(), found((HERE, CAT, 0.9)), found((HERE, CAT, 0.9), (shifted(30.0), CAT, 0.8))],
        [truth((HERE, CAT)), truth(), truth()],
        NAMES,
    )
    assert errors.total == {BACKGROUND: 3, MISSED: 1}
    assert errors.worst(BACKGROUND) == [2, 1]
    assert errors.worst(MISSED) == [0]
    assert errors.worst(CLASS) == []
    assert "all together" in str(errors)


@given(seed=st.integers(0, 2**31), detections=st.integers(0, 12), objects=st.integers(0, 6))
def test_right_is_what_the_metrics_count_as_right(seed, detections, objects):
    """The last recall of each class times its objects is the number of true positives, however boxes lie."""
    generator = torch.Generator().manual_seed(seed)

    def boxes(count):
        corner = torch.randint(0, 12, (count, 2), generator=generator)
        return torch.cat((corner, corner + torch.randint(4, 10, (count, 2), generator=generator)), dim=1).float()

    labels = [torch.randint(1, 3, (count,), generator=generator) for count in (detections, objects)]
    seen = {"boxes": boxes(detections), "labels": labels[0], "scores": torch.rand(detections, generator=generator)}
    target = {
        "boxes": boxes(objects),
        "labels": labels[1],
        "difficult": torch.rand(objects, generator=generator) < 0.2,
    }
    errors = find_errors([seen], [target], NAMES, score=0.0)
    measured = evaluate([seen], [target], class_names=NAMES)
    for name, curve in measured.curves.items():
        true = round(curve.recall[-1] * measured.ground_truths[name]) if len(curve.recall) else 0
        assert errors.per_class[name][RIGHT] == true
    judged = errors.images[0]
    assert all(kind in (*KINDS, SET_ASIDE) for kind in judged.kinds)
    assert errors.total[RIGHT] + errors.total[MISSED] == int((~target["difficult"]).sum())


@pytest.mark.parametrize(("lists", "options"), [(([], [truth()]), {}), (([], []), {"iou_threshold": 0.05})])
def test_what_cannot_be_is_refused(lists, options):
    with pytest.raises(ValueError, match=r"images have detections|iou_threshold"):
        find_errors(*lists, NAMES, **options)
