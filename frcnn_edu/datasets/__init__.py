"""Data sets: pictures with boxes, every one as (image, target) in torchvision's form.

`images` reads picture files, `photos` holds the real photographs that come with the course. What is read from the
checkout's ``data`` folder is found through `data_path`; nothing here is loaded before it is asked for.
"""

import os
from pathlib import Path

BACKGROUND = "__background__"
"""The name of label 0 in every data set's class names."""

DATA_VARIABLE = "FRCNN_EDU_DATA"
"""The environment variable that names another data folder."""


def data_path(name: str) -> Path:
    """Where the file or folder `name` of the course's data lies: in ``data`` beside the package.

    An installed wheel has no such folder; the environment variable FRCNN_EDU_DATA then names a copy of it.
    Raises FileNotFoundError that says where it was looked for.
    """
    folder = Path(os.environ.get(DATA_VARIABLE) or Path(__file__).parents[2] / "data")
    if not (folder / name).exists():
        raise FileNotFoundError(
            f"{name} is not in {folder}, the data folder of the course; install the package from its checkout "
            f"(pip install -e .), or set {DATA_VARIABLE} to the checkout's data folder"
        )
    return folder / name
