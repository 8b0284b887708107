"""nbgrader's settings for this course; `make release` and `make grade` read them, and so does `nbgrader` in here."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # for judge.py, which nbgrader loads by name

c = get_config()  # noqa: F821 - nbgrader brings it

c.CourseDirectory.course_id = "frcnn_edu"
c.CourseDirectory.root = str(HERE)

# An answer that was copied or split counts with its first cell: judge.FirstOfEach stands for nbgrader's DeduplicateIds.
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "judge.FirstOfEach",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Tests run apart from what they test: judge.Judge stands where nbgrader's own list has Execute.
c.Autograde.autograde_preprocessors = [
    "judge.Judge",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Judge.limits = {"seconds_per_cell": 120.0, "seconds": 1800.0, "memory": 4.0, "disk": 1.0}  # GB; see walls.py

# What goes back to students does not show the hidden tests.
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]

c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError"}
c.IncludeHeaderFooter.header = ""
