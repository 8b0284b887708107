"""Data sets: pictures with boxes, every one as (image, target) in torchvision's form.

`images` reads picture files, `photos` holds the real photographs that come with the course. What is read from the
course's ``data`` folder is found through `data_path`; nothing here is loaded before it is asked for.
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
    """Where the file or folder `name` of the course's data lies; raises FileNotFoundError where it is missing."""
    path = course_folder("data") / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: install the course again, or its checkout with pip install -e .")
    return path
