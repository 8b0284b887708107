"""Exercises: what the learner writes, checked at once, and diagnosed.

    check("base_anchors", base_anchors)

runs the learner's function on a few cases and returns a `Result`: passed, or one sentence that names the misconception
and a picture of expected beside got. It raises nothing for a wrong answer, so a lesson runs on whether or not its
exercises are done.

`running` calls the function within a time limit, `answers` reads what it returned, `exercise` compares that with the
right recipe and with the recipes that go wrong; one module per lesson holds the recipes. What is drawn at random has no
one right value: `drawing` judges that.
"""

from frcnn_edu.exercises.exercise import Result, check

__all__ = ["Result", "check"]
