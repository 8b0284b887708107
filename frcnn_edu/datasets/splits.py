"""Splits: which images of a folder are trained on, and which are kept for measuring.

A folder may have splits of its own. Where it has none, two shares such as train:0.8 and val:0.2 are drawn: the order of
the images is that of a hash of their names and a fixed seed, "train" takes its share from the front and any other name
from the back. So both parts are the same every time, on every computer, and share no image as long as the two shares
add up to 1 at most.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from frcnn_edu.datasets.annotations import AnnotatedImage
from frcnn_edu.datasets.file_tree import SPLIT_WORDS, words_in
from frcnn_edu.datasets.summary import count

SEED = 0
WHOLE = "all"
"""The name for all images of a folder, whatever its splits."""

MOST_LISTED = 8


@dataclass(frozen=True)
class SplitChoice:
    """What is read: one of the folder's own splits, or the whole folder for None; of that a drawn share, if given."""

    name: str | None
    part: str = ""
    share: float = 1.0
    note: str = ""
    """What the user should know about the choice."""


def choose_split(wanted: str, there: Sequence[str], where: str) -> SplitChoice:
    """The split of a folder `where` that a user means by `wanted`, given those that are `there`.

    Raises ValueError that lists the splits and names an option that helps.
    """
    if wanted in there:
        return SplitChoice(wanted)
    name, colon, share = wanted.partition(":")
    if colon:
        return _drawn(name, share, there, where)
    if wanted == WHOLE:
        return SplitChoice(None)
    for words in (lambda split: [split], words_in):  # valid for val, and only then cells_val
        same = [split for split in there if SPLIT_WORDS.get(wanted, wanted) in map(SPLIT_WORDS.get, words(split))]
        if len(same) == 1:
            return SplitChoice(same[0])
    if SPLIT_WORDS.get(wanted) == "train":
        if not there:
            return SplitChoice(None, note=f"{where} has no splits, so all images are used; {_two_parts('val')}")
        if len(there) == 1 and there[0] not in SPLIT_WORDS and "val" not in there[0]:
            return SplitChoice(
                there[0], note=f"{where} has one split, {there[0]!r}, which is used; {_two_parts('val')}"
            )
    raise ValueError(_no_such_split(wanted, there, where))


def draw(images: Sequence[AnnotatedImage], choice: SplitChoice) -> list[AnnotatedImage]:
    """The images of a choice, in their order; raises ValueError where the share is less than one image."""
    if not choice.part:
        return list(images)
    order = sorted(range(len(images)), key=lambda index: _hash(images[index].name))
    front = SPLIT_WORDS.get(choice.part) == "train"
    border = round(len(images) * (choice.share if front else 1 - choice.share))
    chosen = order[:border] if front else order[border:]
    if not chosen:
        raise ValueError(f"{choice.share:g} of {count(len(images), 'image')} is none; --split {WHOLE} takes all")
    return [images[index] for index in sorted(chosen)]


def _drawn(name: str, text: str, there: Sequence[str], where: str) -> SplitChoice:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not (0 < share < 1 and name):
        raise ValueError(
            f"a share is a name and a number between 0 and 1, such as train:0.8; got --split {name}:{text}"
        )
    if len(there) > 1:
        raise ValueError(f"{where} has splits of its own, so none is drawn; add --split with one of {listed(there)}")
    other = "val" if SPLIT_WORDS.get(name) == "train" else "train"
    note = f"{share:g} of the images drawn by seed {SEED}; the split {other}:{1 - share:g} has the others"
    return SplitChoice(there[0] if there else None, name, share, note)


def _no_such_split(wanted: str, there: Sequence[str], where: str) -> str:
    if not there:
        return f"{where} has no splits, so no {wanted!r}: --split {WHOLE} takes all images; {_two_parts(wanted)}"
    held_out = [split for split in there if SPLIT_WORDS.get(split) in ("val", "test")]
    if SPLIT_WORDS.get(wanted) in ("val", "test"):
        helps = f"add --split {held_out[0]}" if held_out else _two_parts(wanted)
        if not held_out and len(there) > 1:
            helps = "add --split with one of them"
    else:
        helps = f"add --split {next((split for split in there if split not in held_out), there[0])}"
    return f"{where} has no split {wanted!r}; it has {listed(there)}: {helps}"


def _two_parts(held_out: str) -> str:
    return f"to keep images for measuring, train with --split train:0.8 and evaluate with --split {held_out}:0.2"


def listed(splits: Sequence[str]) -> str:
    """The names of splits for a message: train, val, test, then others, not too many."""
    order = list(SPLIT_WORDS)
    known = sorted(splits, key=lambda split: (order.index(split) if split in order else len(order), split))
    more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
    return ", ".join(known[:MOST_LISTED]) + more or "none"


def _hash(name: str) -> bytes:
    return hashlib.sha256(f"{SEED}/{name}".encode("utf-8", "surrogateescape")).digest()
