"""The weights that a user names: a folder, a file, or the detector that ships. Nothing here loads torch."""

from pathlib import Path

from frcnn_edu.datasets import data_path

BLOOD_CELLS = "blood-cells"
"""The name of the detector in `course.blood_cell_detector`."""


def weights_path(text: str) -> Path:
    """The path that `text` names; a file or folder called as the shipped detector comes first."""
    path = Path(text)
    return data_path("blood_cell_detector") if text == BLOOD_CELLS and not path.exists() else path
