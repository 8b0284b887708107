"""Mutated annotations: cut, swapped or retyped, each is read, counted or refused in one sentence, none silently.

`python tests/unit/test_mutated_annotations.py 2000` runs more of them, and counts what became of them.
"""

import copy
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from data_folders import BOXES, CLASSES, LAYOUTS, SIZE

from frcnn_edu.datasets.field_values import read_text
from frcnn_edu.datasets.folder import FolderDataset, open_folder
from frcnn_edu.datasets.voc import parse_xml

MUTATED = {
    "VOC": (".xml", ".txt"),
    "Roboflow VOC": (".xml",),
    "labelImg": (".xml",),
    "COCO": (".json",),
    "one JSON": (".json",),
    "ultralytics": (".txt", ".yaml"),
    "labelImg YOLO": (".txt",),
}
"""The layouts, and the suffixes of the files that are mutated."""

VALUES = (
    None, True, False, 0, 1, -1, 2, 1.0, 0.5, -3.7, 1e308, float("nan"), float("inf"), 10**30, "", " ", "0", "1", "1.0",
    "true", "no", "Unspecified", "maybe", "wide", "1e999", "1_0", "12,5", "../../etc/passwd", "a\0b", "細胞", "$", [],
    [1], [[1, 2]], {}, {"x": 1}, "x" * 5000,
)  # fmt: skip
"""What a value is retyped to."""


# --- mutations --------------------------------------------------------------------------------------------------------


def cut(text: str, rng: random.Random) -> str:
    """The beginning, the end, or all but a piece of the middle."""
    start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    return rng.choice((text[:start], text[end:], text[:start] + text[end:]))


def swap_pieces(text: str, rng: random.Random) -> str:
    """Two pieces of the text in each other's place."""
    a, b, c, d = sorted(rng.randrange(len(text) + 1) for _ in range(4))
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def damage(text: str, rng: random.Random) -> str:
    """A few characters replaced."""
    characters = list(text)
    for _ in range(rng.randint(1, 5)):
        if characters:
            characters[rng.randrange(len(characters))] = rng.choice('<>/"{}[],:\0\n 09.-xé')
    return "".join(characters)


def swap_tokens(text: str, rng: random.Random) -> str:
    """Two words or numbers in each other's place."""
    tokens = _tokens(text)
    words = [index for index, token in enumerate(tokens) if token[:1].isalnum()]
    if len(words) > 1:
        first, second = rng.sample(words, 2)
        tokens[first], tokens[second] = tokens[second], tokens[first]
    return "".join(tokens)


def retype_token(text: str, rng: random.Random) -> str:
    """A word or number replaced by something of another type."""
    tokens = _tokens(text)
    words = [index for index, token in enumerate(tokens) if token[:1].isalnum()]
    if words:
        tokens[rng.choice(words)] = str(rng.choice(VALUES))
    return "".join(tokens)


def drop_token(text: str, rng: random.Random) -> str:
    tokens = _tokens(text)
    del tokens[rng.randrange(len(tokens))]
    return "".join(tokens)


def _tokens(text: str) -> list[str]:
    tokens, last = [], ""
    for character in text:
        kind = "word" if character.isalnum() or character in "._" else character
        if kind == "word" == last:
            tokens[-1] += character
        else:
            tokens.append(character)
        last = kind
    return tokens or [""]


def retype_json(text: str, rng: random.Random) -> str:
    """Values of JSON retyped, removed, doubled, or exchanged with one another."""
    content = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(content))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.choice(("retype", "remove", "swap", "text"))
        if kind == "remove":
            del holder[key]
        elif kind == "swap":
            other, other_key = rng.choice(places)
            holder[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(holder[key])
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES)) if kind == "retype" else str(holder[key])
    return json.dumps(content)


def _places(content: object) -> list[tuple]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    found = []
    for key, value in pairs:
        found += [(content, key), *_places(value)]
    return found


TEXT_MUTATIONS = (cut, swap_pieces, damage, swap_tokens, retype_token, drop_token)


def mutate(text: str, suffix: str, rng: random.Random) -> str:
    if suffix == ".json" and rng.random() < 0.7:
        return retype_json(text, rng)
    return rng.choice(TEXT_MUTATIONS)(text, rng)


# --- what is in the files, counted independently of the readers -------------------------------------------------------


def count_objects(folder: Path, suffix: str) -> int:
    """How many boxes the files have, those left out that cannot be parsed."""
    counts = {".xml": _count_in_xml, ".json": _count_in_json, ".txt": _count_in_text}
    return sum(counts[suffix](path) for path in folder.rglob(f"*{suffix}"))


def _count_in_xml(path: Path) -> int:
    """Objects, and boxes that belong to none."""
    try:
        root = parse_xml(path)
    except ValueError:
        return 0
    if root.tag != "annotation":
        return 0
    objects = list(root.iter("object"))
    return len(objects) + len(set(root.iter("bndbox")) - {box for one in objects for box in one.iter("bndbox")})


def _count_in_json(path: Path) -> int:
    try:
        return len(json.loads(path.read_text("utf-8"))["annotations"])
    except (ValueError, KeyError, TypeError):
        return 0


def _count_in_text(path: Path) -> int:
    if path.name == "classes.txt":
        return 0
    try:
        return sum(1 for line in read_text(path).splitlines() if line.strip())
    except ValueError:
        return 0


# --- the property -----------------------------------------------------------------------------------------------------


class Case:
    """A folder in one layout, of which one file at a time is mutated and restored."""

    def __init__(self, layout: str, folder: Path) -> None:
        self.layout, self.folder = layout, folder
        LAYOUTS[layout][0](folder, 3)
        self.files = [path for path in sorted(folder.rglob("*")) if path.suffix in MUTATED[layout]]

    def check(self, seed: int) -> str:
        """What became of the mutation: "read", "counted" or "refused"; AssertionError where it is none of these."""
        rng = random.Random(seed)
        path = rng.choice(self.files)
        original = path.read_bytes()
        mutated = mutate(original.decode(), path.suffix, rng)
        path.write_bytes(mutated.encode("utf-8", "surrogatepass"))
        case = f"{self.layout}, seed {seed}, {path.name}: {mutated[:2000]!r}"
        try:
            return self._outcome(case)
        finally:
            path.write_bytes(original)

    def _outcome(self, case: str) -> str:
        try:
            dataset = open_folder(self.folder, "all", for_training=True, quiet=True)
            train = open_folder(self.folder, for_training=True, quiet=True)
        except (ValueError, FileNotFoundError) as error:
            message = str(error)
            assert message, case
            assert message.isprintable(), f"{case}: {message!r} is not one line"
            assert len(message) < 1500, f"{case}: {message}"
            return "refused"
        if self.layout == "VOC":
            lines = (self.folder / "ImageSets" / "Main" / "train.txt").read_text("utf-8").splitlines()
            listed = sum(1 for line in lines if line.strip())
            assert len(train) + len(train.summary().skipped) == listed, f"{case}: {listed} images are listed"
            if train.summary().skipped:
                return "counted"
        return self._account(dataset, case)

    def _account(self, dataset: FolderDataset, case: str) -> str:
        """Whether every object and every image is there or is named; what is there must be usable."""
        summary, report = dataset.summary(), dataset.report
        counted = summary.boxes + summary.difficult + summary.crowd + report.skipped_boxes.total()
        suffix = {"VOC": ".xml", "COCO": ".json", "YOLO": ".txt"}[LAYOUTS[self.layout][1]]
        named = count_objects(self.folder, suffix)
        if summary.skipped:
            assert counted <= named, f"{case}: {named} objects, {counted} counted"
        else:
            assert counted == named, f"{case}: {named} objects, {counted} counted, no file skipped"
        for image, target in dataset:
            boxes = target["boxes"]
            assert image.shape == (3, SIZE[1], SIZE[0]), case
            assert ((boxes[:, 2:] - boxes[:, :2]) > 0).all(), case
            assert (boxes >= 0).all(), case
            assert (boxes <= torch.tensor([*SIZE, *SIZE])).all(), case
            assert ((target["labels"] > 0) & (target["labels"] < len(dataset.class_names))).all(), case
        assert all(line.isprintable() for line in dataset.lines()), f"{case}: {dataset.lines()}"
        return "counted" if summary.skipped or summary.warnings or summary.difficult or summary.crowd else "read"


@pytest.mark.parametrize("layout", MUTATED)
def test_every_mutation_is_read_counted_or_refused(tmp_path, layout):
    case = Case(layout, tmp_path)
    outcomes = Counter(case.check(seed) for seed in range(25))
    assert outcomes["counted"] + outcomes["refused"] > 5, "mutations do harm"


@pytest.mark.parametrize("layout", MUTATED)
def test_without_a_mutation_all_is_read(tmp_path, layout):
    case = Case(layout, tmp_path)
    assert case._outcome(layout) == "read"
    assert len(BOXES) == len(CLASSES)


def run(count: int) -> Counter:
    """Many mutations over all layouts in turn; what became of them, by layout."""
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as folder:
        cases = [Case(layout, Path(folder) / layout) for layout in MUTATED]
        for seed in range(count):
            case = cases[seed % len(cases)]
            outcomes[case.layout, case.check(seed)] += 1
    return outcomes


if __name__ == "__main__":
    for (layout, outcome), number in sorted(run(int(sys.argv[1])).items()):
        print(f"{layout:16} {outcome:8} {number}")
