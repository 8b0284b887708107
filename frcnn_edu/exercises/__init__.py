"""Exercises: the learner writes a function, and a check says at once whether it is right or what went wrong.

    check("base_anchors", base_anchors)

runs the function on a few cases and returns a `Result`: passed, or a sentence that names the misconception and a
picture of the expected answer beside the learner's. A wrong answer raises nothing, so a lesson runs on whether or not
its exercises are done.

`running` calls the function within a time limit, `answers` reads what it returned as numbers, `exercise` compares them
with the reference solution and with its known slips, and says how to add an exercise; `answer_plots` draws. The
exercises themselves are in one module per lesson, and one more for `sample_anchors`, whose answers are random.
"""

from frcnn_edu.exercises.exercise import Result, check

__all__ = ["Result", "check"]
