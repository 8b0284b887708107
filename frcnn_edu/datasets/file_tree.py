"""File tree: the files below a folder, and which of them a path in an annotation means.

Annotations name files as the tool or the author's computer saw them: ``C:\\data\\images\\a.jpg``, ``../train/a.jpg``,
``images/a.jpg`` for a file that lies beside the JSON, ``A.JPG`` for ``a.jpg``. A path stands for the file whose last
parts agree with it, as many as possible; nothing outside the folder is ever found. Hidden files and those that macOS
and Windows leave behind are not there at all.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".heic", ".heif",
    ".ppm", ".pgm",
)  # fmt: skip
LEFT_BEHIND = ("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "@eadir")
MOST_FILES = 2_000_000
LISTED_TWICE = "it is listed twice"

SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Words for a split, and the split that each of them means."""

PLAIN_WORDS = {
    "annotation", "annotations", "bbox", "boxes", "coco", "data", "dataset", "default", "image", "images", "imgs",
    "img", "instances", "jpegimages", "json", "label", "labels", "set", "split", "voc", "xml", "xmls", "yolo",
}  # fmt: skip
"""Words in names of folders and files that say nothing about the split."""

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "pictures", "photos")


class FileTree:
    """The files below `root`, sorted, as paths relative to it; links to folders are followed.

    `named` is the file of them that the user named instead of the folder, if any. Raises FileNotFoundError where there
    is no such folder, ValueError for more than `MOST_FILES` files.
    """

    def __init__(self, root: Path, named: Path | None = None) -> None:
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}; check the path given as --data")
        self.root = root
        self.files = sorted(_walk(root))
        self.named = None if named is None else PurePosixPath(named.relative_to(root).as_posix())
        self.images = NameIndex(self.of(*IMAGE_SUFFIXES))

    def of(self, *suffixes: str) -> list[PurePosixPath]:
        """The files with one of these suffixes, in upper or lower case."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def path(self, file: PurePosixPath) -> Path:
        """Where a file lies on the disk."""
        return self.root / file


class NameIndex:
    """Files, to be found by a name or by the last parts of a path; `by_stem` leaves their suffixes out of it."""

    def __init__(self, files: Iterable[PurePosixPath], by_stem: bool = False) -> None:
        self.files = list(files)
        self.by_stem = by_stem
        self._by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
        for file in self.files:
            self._by_name[_fold(file.stem if by_stem else file.name)].append(file)

    def __contains__(self, name: str) -> bool:
        return bool(self.find(name))

    def find(self, name: str, prefer: Callable[[PurePosixPath], tuple] = lambda file: ()) -> list[PurePosixPath]:
        """The file that `name` means: none, one, or several between which neither name nor `prefer` decides.

        Among files whose last parts agree with the name equally far, the one of the highest `prefer` is taken.
        """
        parts = parts_of(name)
        found = self._by_name.get(_fold(parts[-1])) if parts else None
        if not found and "%" in name:
            parts = parts_of(unquote(name))
            found = self._by_name.get(_fold(parts[-1])) if parts else None
        if not found:
            return []
        if len(found) == 1:
            return list(found)

        def rank(file: PurePosixPath) -> tuple:
            return (self.agreement(parts, file), _nfc(self._last(file)) == _nfc(parts[-1]), *prefer(file))

        best = max(map(rank, found))
        return [file for file in found if rank(file) == best]

    def agreement(self, parts: tuple[str, ...], file: PurePosixPath) -> int:
        """How many last parts a file shares with the parts of a name."""
        return shared_end(parts, (*file.parts[:-1], self._last(file)))

    def closeness(self, name: str, file: PurePosixPath) -> tuple[int, bool]:
        """How well a name fits a file: by last parts, then by whether both lie in the same folder."""
        parts = parts_of(name)
        return self.agreement(parts, file), parts[:-1] == file.parts[:-1]

    def _last(self, file: PurePosixPath) -> str:
        return file.stem if self.by_stem else file.name


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a path in the spelling of any system, without the drive and without ``.`` and ``..``."""
    if "\0" in name:
        return ()
    parts = re.split(r"[\\/]|\?d=", name)
    return tuple(part for part in parts if part.strip() not in ("", ".", "..") and not re.fullmatch(r"\w+:", part))


def shared_end(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """How many parts two paths share, counted from the end; images and labels count as the same folder."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if _folder_word(one) != _folder_word(other):
            break
        count += 1
    return count


def shared_start(first: PurePosixPath, second: PurePosixPath) -> int:
    """How many folders two files share, counted from the root."""
    count = 0
    for one, other in zip(first.parts[:-1], second.parts[:-1], strict=False):
        if one != other:
            break
        count += 1
    return count


def nearness(annotation: PurePosixPath) -> Callable[[PurePosixPath], tuple]:
    """How likely an image belongs to an annotation file by where it lies: beside it, in a folder for images, near."""
    split = split_in(annotation.stem) or split_of(annotation)

    def rank(image: PurePosixPath) -> tuple:
        for_images = any(part.lower() in IMAGE_FOLDERS for part in image.parts[:-1])
        agrees = split is not None and split_of(image) == split
        return (image.parent == annotation.parent, agrees, for_images, shared_start(image, annotation))

    return rank


def split_in(name: str) -> str | None:
    """The split that a folder's or file's name speaks of, in its own word: "valid" for ``valid_images``, else None."""
    words = [word for word in words_in(name) if word not in PLAIN_WORDS]
    return words[0] if len(words) == 1 and words[0] in SPLIT_WORDS else None


def words_in(name: str) -> list[str]:
    """The words of a name, without digits and in lower case."""
    return re.findall(r"[^\W\d_]+", name.lower())


def split_of(file: PurePosixPath) -> str | None:
    """The split that one of the file's folders speaks of, the nearest first."""
    words = (split_in(folder) for folder in reversed(file.parts[:-1]))
    return next((word for word in words if word is not None), None)


def match(
    index: NameIndex, names: Sequence[str], missing: str, prefer: Sequence[Callable[[PurePosixPath], tuple]]
) -> list[PurePosixPath | str]:
    """The file that each of `names` means, or why there is none, `missing` if no file has the name.

    `prefer` has an entry for each name, see `NameIndex.find`. A file that several names could mean goes to the one that
    agrees with more of its path.
    """
    files: list[PurePosixPath | str] = []
    claims: dict[PurePosixPath, list[int]] = defaultdict(list)
    for position, (name, rank) in enumerate(zip(names, prefer, strict=True)):
        found = index.find(name, rank)
        if len(found) == 1:
            claims[found[0]].append(position)
        files.append(found[0] if len(found) == 1 else missing if not found else f"it may be {found[0]} or {found[1]}")
    for file, positions in claims.items():
        closeness = {position: index.closeness(names[position], file) for position in positions}
        best = [position for position in positions if closeness[position] == max(closeness.values())]
        several = len({parts_of(names[position]) for position in best}) > 1
        for position in positions:
            if position not in best:
                files[position] = missing
            elif several:
                files[position] = f"several paths lead to {file}"
            elif position != best[0]:
                files[position] = LISTED_TWICE
    return files


def case_note(written: str, there: str) -> tuple[str, ...]:
    """A note where a file's name differs from the one written in upper and lower case, and in nothing else."""
    differs = _fold(written) == _fold(there) and _nfc(written) != _nfc(there)
    return ("the file's name differs in upper and lower case",) if differs else ()


def _walk(root: Path) -> Iterable[PurePosixPath]:
    seen, count = set(), 0
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_give_up):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back into the tree
            folders.clear()
            continue
        seen.add(real)
        folders[:] = (name for name in folders if not _is_left_behind(name))
        count += len(files)
        if count > MOST_FILES:
            raise ValueError(f"{root} holds more than {MOST_FILES:,} files; name the folder of the data set alone")
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        yield from (below / name for name in files if not _is_left_behind(name))


def _give_up(error: OSError) -> None:
    raise error


def _is_left_behind(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def _nfc(name: str) -> str:
    """A name in one spelling: an umlaut is one character or two, depending on the system that wrote it."""
    return unicodedata.normalize("NFC", name)


def _fold(name: str) -> str:
    return _nfc(name).casefold()


def _folder_word(part: str) -> str:
    folded = _fold(part)
    return "images" if folded in ("labels", "jpegimages", "annotations") else folded
