"""What a training step draws, and what comes of it: five ways of choosing anchors, each trained from several seeds.

The region proposal network is trained alone, from random weights, on small scenes of 128 x 128 pixels with 576 anchors,
of which a step draws 16 per scene. Lesson 02 shows the results, which ship with the course:

    python -m frcnn_edu.course.sampling_experiment --out data/sampling.json

trains them again (about two minutes).
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from frcnn_edu.boxes import box_iou
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.faster_rcnn import FasterRCNN, fasterrcnn_tiny
from frcnn_edu.images import batch_images
from frcnn_edu.matching import BalancedSampler, Matcher, Matches, Sample
from frcnn_edu.rpn import RPNPass

FILE = "sampling.json"
SEEDS = 5
STEPS = 50
LONG = 100
"""Steps of the run that gets twice as many."""
SCENES_PER_STEP = 8
TRAINED_ON, UNSEEN = range(256), range(256, 300)
SHOWN_SCENE = 258
PROPOSALS = 10
"""Recall counts the objects that one of so many best proposals overlaps by IoU 0.5 or more."""

balanced = BalancedSampler(batch_size=16)


def unbalanced(labels: Tensor) -> Sample:
    """16 of the anchors that have a label, whichever they are."""
    asked = (labels >= 0).nonzero().squeeze(1)
    drawn = asked[torch.randperm(len(asked))[:16]]
    return Sample(drawn[labels[drawn] == 1], drawn[labels[drawn] == 0])


def only_positives(labels: Tensor) -> Sample:
    """The positive half of a balanced sample."""
    sample = balanced(labels)
    return Sample(sample.positive, sample.negative[:0])


def only_negatives(labels: Tensor) -> Sample:
    """The negative half of a balanced sample."""
    sample = balanced(labels)
    return Sample(sample.positive[:0], sample.negative)


def none_ignored(iou: Tensor) -> Matches:
    """Matches in which the ignored anchors are negative."""
    matches = Matcher()(iou)
    return Matches(matches.labels.clamp(min=0), matches.gt_index, matches.iou)


WAYS: dict[str, tuple[Callable[[Tensor], Sample], Callable[[Tensor], Matches]]] = {
    "balanced": (balanced, Matcher()),
    "unbalanced": (unbalanced, Matcher()),
    "only positives": (only_positives, Matcher()),
    "only negatives": (only_negatives, Matcher()),
    "ignored as negative": (balanced, none_ignored),
}
"""How anchors are drawn and labelled, by name."""


@dataclass(frozen=True)
class Run:
    """One training: what each step met, and an exam afterwards on scenes that it has not seen."""

    way: str
    seed: int
    losses: list[float]
    """Of objectness, step by step."""
    positives: list[int]
    """How many positive anchors each step drew."""
    positive_score: float
    """The mean score of positive anchors."""
    negative_score: float
    above: float
    """How often a positive anchor scores above a negative one; 0.5 is chance."""
    recall: float
    """The share of objects that one of the ten best proposals overlaps by IoU 0.5 or more."""
    recall_seen: float
    """The same on scenes that it was trained on."""
    score_map: list[list[float]]
    """On one unseen scene, the highest score at each cell, (8, 8)."""


def run(way: str, seed: int = 0, num_steps: int = STEPS) -> Run:
    """Train in one of the `WAYS` and examine the result; about three seconds. Raises KeyError for an unknown way."""
    torch.manual_seed(seed)
    model = fasterrcnn_tiny(num_classes=8, min_size=128, max_size=128).train()
    model.rpn.sampler, model.rpn.matcher = WAYS[way]  # type: ignore[assignment]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses, positives = [], []
    for chosen in torch.randint(len(TRAINED_ON), (num_steps, SCENES_PER_STEP)).tolist():
        made = look(model, chosen)
        assert made.loss is not None
        assert made.targets is not None
        positives.append(sum(int(one.labels.sum()) for one in made.targets))
        losses.append(made.loss.objectness.item())
        optimizer.zero_grad()
        made.loss.total.backward()
        optimizer.step()
    return Run(way, seed, losses, positives, **examine(model.eval()))


def look(model: FasterRCNN, chosen: list[int] | range) -> RPNPass:
    """A pass of scenes through the backbone and the region proposal network, with its loss."""
    images, targets = _scenes()
    batch = batch_images([images[i] for i in chosen], model.config, training=False)
    return model.rpn(batch, [model.backbone(batch.tensors)], [targets[i]["boxes"] for i in chosen])


@torch.no_grad()
def examine(model: FasterRCNN) -> dict:
    """The exam's part of a `Run`, by name."""
    _, targets = _scenes()
    made = look(model, UNSEEN)
    labels = torch.stack([Matcher()(box_iou(made.anchors, targets[i]["boxes"])).labels for i in UNSEEN])  # (44, 576)
    scores = made.logits.sigmoid()  # (44, 576)
    positive, negative = scores[labels == 1], scores[labels == 0]
    score_map = scores[UNSEEN.index(SHOWN_SCENE)].reshape(8, 8, 9).amax(dim=2)
    return {
        "positive_score": positive.mean().item(),
        "negative_score": negative.mean().item(),
        "above": (positive[:, None] > negative).float().mean().item(),
        "recall": _recall(made, UNSEEN),
        "recall_seen": _recall(look(model, TRAINED_ON[: len(UNSEEN)]), TRAINED_ON[: len(UNSEEN)]),
        "score_map": [[round(score, 3) for score in row] for row in score_map.tolist()],
    }


def load_runs() -> list[Run]:
    """The runs that ship: every way from every seed, and then `LONG` unbalanced steps. Raises FileNotFoundError."""
    return [Run(**one) for one in json.loads(data_path(FILE).read_text(encoding="utf-8"))]


def shown_scene() -> Tensor:
    """The image whose score map a `Run` keeps: (3, 128, 128)."""
    return _scenes()[0][SHOWN_SCENE]


@cache
def _scenes() -> tuple[tuple[Tensor, ...], tuple[dict[str, Tensor], ...]]:
    plain = Shapes(300, image_size=128, difficulty=0.0, sizes=(14.0, 64.0), objects=(2, 6))
    images, targets = zip(*(plain[i] for i in range(len(plain))), strict=True)
    return images, targets


def _recall(made: RPNPass, scenes: range) -> float:
    _, targets = _scenes()
    best = [one.boxes[:PROPOSALS] for one in made.proposals]
    found = [box_iou(b, targets[i]["boxes"]).amax(dim=0) >= 0.5 for i, b in zip(scenes, best, strict=True)]
    return torch.cat(found).float().mean().item()


def main() -> None:
    """Train everything and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    out = parser.parse_args().out
    jobs = [(way, seed, STEPS) for way in WAYS for seed in range(SEEDS)]
    jobs += [("unbalanced", seed, LONG) for seed in range(SEEDS)]
    runs = [asdict(run(*job)) for job in tqdm(jobs)]
    for one in runs:
        one["losses"] = [round(loss, 4) for loss in one["losses"]]
    out.write_text(json.dumps(runs) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
