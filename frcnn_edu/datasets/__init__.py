"""Data sets: images with boxes, each as (image, target) in torchvision's form.

`shapes` draws scenes, `photos` has the course's photographs, `folder` opens data of your own in any of
`formats.FORMATS`, and `download` fetches public data sets. Files of the course's ``data`` folder are found through
`data_path`. Importing this package loads none of its modules.
"""

from pathlib import Path

BACKGROUND = "__background__"
"""The name of label 0 in every data set's class names."""

PACKAGE = Path(__file__).parents[1]


def course_folder(name: str) -> Path:
    """The folder ``data`` or ``notebooks`` of the course: within an installed package, beside it in a checkout."""
    within = PACKAGE / name
    return within if within.is_dir() else PACKAGE.parent / name


def data_path(name: str) -> Path:
    """The path of a file or folder of the course's data; raises FileNotFoundError where it is missing."""
    path = course_folder("data") / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: install the course again, or its checkout with pip install -e .")
    return path
