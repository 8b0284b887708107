"""Folder: somebody's data set in whichever of the two formats it is."""

import os
from collections.abc import Sequence
from pathlib import Path

from frcnn_edu.datasets.coco import Coco, find_coco
from frcnn_edu.datasets.voc import Voc, find_voc


def open_folder(
    root: str | os.PathLike,
    split: str = "train",
    class_names: Sequence[str] | None = None,
    for_training: bool = False,
    decode_all: bool = False,
    quiet: bool = False,
) -> Voc | Coco:
    """The data set below `root`, VOC's layout or else COCO's; `for_training` drops difficult boxes and crowds.

    Give a test split the `class_names` of its training split. Raises FileNotFoundError where `root` holds neither
    layout, and whatever `Voc` and `Coco` raise.
    """
    root = Path(root)
    options = {"class_names": class_names, "decode_all": decode_all, "quiet": quiet}
    try:
        voc = find_voc(root)
    except FileNotFoundError as no_voc:
        try:
            files = find_coco(root, split)
        except FileNotFoundError as no_coco:
            raise FileNotFoundError(f"{no_voc}; {no_coco}") from None
        return Coco(files.images, files.annotations, keep_crowd=not for_training, **options)
    return Voc(voc, split, keep_difficult=not for_training, **options)
