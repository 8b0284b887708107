"""The bug zoo: common mistakes in detectors, and a measurement of what each costs.

Each bug is a small subclass of a real module, another sampler or matcher, or another option: the detector itself has no
switch for it. An inference bug is measured in the course's trained detector, a training bug in a new detector that is
trained for a short time on plain shapes; both beside the same run without the bug.

    python -m frcnn_edu.course.bug_zoo --out data/bug_zoo.json

measures one after the other and writes the file after each; started again, it measures what is missing, or what was
measured under other conditions (steps, images, weights). Lesson 07 shows the results.
"""

import argparse
import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from frcnn_edu.anchors import AnchorGenerator
from frcnn_edu.boxes import clip_boxes, decode_boxes
from frcnn_edu.config import Options
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.shapes import PLAIN, Shapes
from frcnn_edu.explorers.lesson_07_full_model import BugDescription, BugResult, BugZooExplorer
from frcnn_edu.faster_rcnn import FasterRCNN, Trace, fasterrcnn_tiny
from frcnn_edu.images import ImageBatch
from frcnn_edu.matching import BalancedSampler, Matcher, Sample
from frcnn_edu.roi_heads import Candidates, RoIHeads
from frcnn_edu.rpn import Proposals, RegionProposalNetwork, RPNPass
from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.loop import detect, train
from frcnn_edu.training.metrics import evaluate, recall_at

FILE = "bug_zoo.json"
RECIPE = Recipe(steps=500, batch_size=4, learning_rate=1e-3, mixed_precision=True)
"""The training of a detector with a training bug."""

IMAGES = 100
TRAINING_IMAGES = 10_000
EVALUATION_SIZE = 320
"""Pixels per side of the scenes for inference bugs: the detector must resize them, and scale the boxes back."""

SCENE = 2
"""The scene whose detections are kept, for the picture."""

SHOWN_SCORE = 0.5
LAST_STEPS = 20
"""The loss of a result is the mean of this many last steps."""

Install = Callable[[FasterRCNN], FasterRCNN]


# Training bugs


class UnbalancedSampler(BalancedSampler):
    """Draws from all labelled anchors, so that only a handful of 256 are positive."""

    def __call__(self, labels: Tensor, generator: torch.Generator | None = None) -> Sample:
        """As in `BalancedSampler`."""
        labelled = (labels >= 0).nonzero().squeeze(1)
        drawn = labelled[torch.randperm(len(labelled), generator=generator)[: self.batch_size]]
        return Sample(drawn[labels[drawn] > 0], drawn[labels[drawn] == 0])


class PositivesOnlySampler(BalancedSampler):
    """Leaves the negatives out."""

    def __call__(self, labels: Tensor, generator: torch.Generator | None = None) -> Sample:
        """As in `BalancedSampler`."""
        sample = super().__call__(labels, generator)
        return Sample(sample.positive, sample.negative[:0])


class AttachedProposals(RegionProposalNetwork):
    """Gradients flow from the proposals to the deltas: `.detach()` was forgotten."""

    def forward(self, batch: ImageBatch, *arguments: Any) -> RPNPass:
        """As in `RegionProposalNetwork`."""
        rpn = super().forward(batch, *arguments)
        limit = self.config.log_scale_limit
        proposals = []
        for deltas, found, size in zip(rpn.deltas, rpn.proposals, batch.sizes, strict=True):
            chosen = found.anchor_index
            decoded = decode_boxes(deltas[chosen], rpn.anchors[chosen], log_scale_limit=limit)  # (K, 4)
            proposals.append(replace(found, decoded=decoded, clipped=clip_boxes(decoded, size)))
        return replace(rpn, proposals=proposals)


class AttachedTargets(RoIHeads):
    """Gradients flow through the second stage's targets too, so the RPN can move proposals to easier ones."""

    sample = inspect.unwrap(RoIHeads.sample)  # without no_grad


# Inference bugs


def with_inverted_ratios(generator: AnchorGenerator) -> AnchorGenerator:
    """The same anchors, with aspect ratios as width / height."""
    ratios = tuple(tuple(1 / ratio for ratio in level) for level in generator.aspect_ratios)
    return AnchorGenerator(generator.sizes, ratios, generator.strides, generator.offset)


def one_wider(boxes: Tensor) -> Tensor:
    """Boxes whose width is x2 - x1 + 1 and whose height is y2 - y1 + 1."""
    return boxes + boxes.new_tensor((0, 0, 1, 1))


class PlusOneProposals(RegionProposalNetwork):
    """Decodes with widths x2 - x1 + 1, and does not subtract the 1 afterwards."""

    def propose(self, logits: Tensor, deltas: Tensor, anchors: Tensor, *more: Any) -> Proposals:
        """As in `RegionProposalNetwork`."""
        return super().propose(logits, deltas, one_wider(anchors), *more)


class PlusOneDetections(RoIHeads):
    """The same in the second stage."""

    def detect(self, logits: Tensor, deltas: Tensor, proposals: Tensor, *more: Any) -> Candidates:
        """As in `RoIHeads`."""
        return super().detect(logits, deltas, one_wider(proposals), *more)


class BackgroundLast(RoIHeads):
    """Takes the last column of the class scores as the background, which is the first."""

    def detect(self, logits: Tensor, *more: Any) -> Candidates:
        """As in `RoIHeads`."""
        return super().detect(logits.roll(1, dims=1), *more)


class NotScaledBack(FasterRCNN):
    """Detections are left in pixels of the resized image."""

    def trace(self, *arguments: Any, **options: Any) -> Trace:
        """As in `FasterRCNN`."""
        trace = super().trace(*arguments, **options)
        if trace.detections is None or trace.roi is None:
            return trace
        pairs = zip(trace.detections, trace.roi.candidates or [], strict=True)
        return replace(trace, detections=[replace(one, boxes=both.clipped[both.kept]) for one, both in pairs])


class SwappedChannels(FasterRCNN):
    """Images are blue, green, red, as OpenCV reads them."""

    def trace(self, images: Sequence[Tensor], *arguments: Any, **options: Any) -> Trace:
        """As in `FasterRCNN`."""
        return super().trace([image.flip(0) for image in images], *arguments, **options)


def rebuilt(
    model: FasterRCNN,
    kind: type[FasterRCNN] = FasterRCNN,
    rpn: type[RegionProposalNetwork] = RegionProposalNetwork,
    roi_heads: type[RoIHeads] = RoIHeads,
    anchors: AnchorGenerator | None = None,
    matcher: Matcher | None = None,
    sampler: BalancedSampler | None = None,
    **options: Unpack[Options],
) -> FasterRCNN:
    """A detector that shares the parameters of `model`, with other classes, RPN parts, or options of `Config`."""
    stage_1, stage_2 = model.rpn, model.roi_heads
    parts = (anchors or stage_1.anchor_generator, stage_1.head)
    heads = (stage_2.box_roi_pool, stage_2.box_head, stage_2.box_predictor)
    copy = kind(model.backbone, model.num_classes, *parts, *heads, **{**asdict(model.config), **options})
    copy.rpn = rpn(*parts, copy.config)
    copy.rpn.matcher, copy.rpn.sampler = matcher or copy.rpn.matcher, sampler or copy.rpn.sampler
    copy.roi_heads = roi_heads(*heads, copy.config)
    return copy.train(model.training)


@dataclass(frozen=True)
class Bug(BugDescription):
    """A mistake, and how to make it."""

    install: Install
    """From a correct detector to one with the bug, which shares its parameters."""


BUGS = (
    Bug(
        "inverted_ratios",
        "Inverted aspect ratios",
        False,
        "w, h = s * sqrt(r), s / sqrt(r)",
        "w, h = s / sqrt(r), s * sqrt(r)",
        "Each cell has the same nine anchors, in another order. But each anchor has its own weights: those trained to "
        "stretch a wide anchor now stretch a tall one.",
        lambda model: rebuilt(model, anchors=with_inverted_ratios(model.rpn.anchor_generator)),
    ),
    Bug(
        "plus_one",
        "Widths with + 1",
        False,
        "w = x2 - x1 + 1",
        "w = x2 - x1",
        "Each stage makes its boxes about a pixel too wide. At an IoU of 0.5 that hardly matters; at stricter "
        "thresholds it does, and most for small objects.",
        lambda model: rebuilt(model, rpn=PlusOneProposals, roi_heads=PlusOneDetections),
    ),
    Bug(
        "score_filter",
        "Proposals below 0.5 dropped",
        False,
        "keep = objectness > 0.5",
        "keep = objectness.topk(n).indices",
        "Objectness ranks anchors; no fixed value separates good from bad. What the first stage drops, the second "
        "never sees. The lost detections had low scores, so mAP hardly changes, but recall drops. The less a detector "
        "is trained, the more this costs.",
        lambda model: rebuilt(model, rpn_score_thresh=0.5),
    ),
    Bug(
        "rpn_nms_left_out",
        "No NMS between the stages",
        False,
        "proposals = boxes[top]",
        "proposals = boxes[nms(boxes, scores, 0.7)]",
        "The best hundred proposals now crowd around the objects of highest objectness, and other objects may get "
        "none. The final NMS hides the mistake: it removes the duplicates.",
        lambda model: rebuilt(model, rpn_nms_thresh=1.0),
    ),
    Bug(
        "nms_left_out",
        "No NMS at the end",
        False,
        "return boxes, scores",
        "keep = nms(boxes, scores, 0.5)",
        "Every object is detected many times. The first detection is right, all others count as wrong: recall stays, "
        "precision drops.",
        lambda model: rebuilt(model, box_nms_thresh=1.0),
    ),
    Bug(
        "background_last",
        "Background off by one",
        False,
        "scores = probabilities[:, :-1]",
        "scores = probabilities[:, 1:]",
        "The background is class 0. Dropping the last column instead shifts every class by one, and the background "
        "becomes the class with the highest scores.",
        lambda model: rebuilt(model, roi_heads=BackgroundLast),
    ),
    Bug(
        "not_scaled_back",
        "Boxes not scaled back",
        False,
        "return boxes",
        "return boxes * (original_size / resized_size)",
        "The detector resized the scene, and its boxes are in pixels of the smaller one: too small, and too far up and "
        "to the left. Images that need no resizing hide the mistake.",
        lambda model: rebuilt(model, NotScaledBack),
    ),
    Bug(
        "swapped_channels",
        "Red and blue swapped",
        False,
        "image = cv2.imread(path)",
        "image = cv2.imread(path)[..., ::-1]",
        "The detector was trained on red, green, blue. The cost depends on how much it relies on colour: these shapes "
        "come in all colours.",
        lambda model: rebuilt(model, SwappedChannels),
    ),
    Bug(
        "no_best_anchor",
        "No best-anchor rule",
        True,
        "labels[best_iou >= 0.7] = 1",
        "labels[(best_iou >= 0.7) | is_best] = 1",
        "An object that no anchor overlaps by 0.7 has no positive anchor: the first stage never learns to find it.",
        lambda model: rebuilt(model, matcher=replace(model.rpn.matcher, allow_low_quality_matches=False)),
    ),
    Bug(
        "nothing_ignored",
        "No anchor is ignored",
        True,
        "labels[best_iou < 0.7] = 0",
        "labels[best_iou < 0.3] = 0",
        "Anchors that cover half of an object are labelled background, next to nearly identical ones that are labelled "
        "object. Yet not every departure from the paper does harm: in a short training this hardly matters.",
        lambda model: rebuilt(model, rpn_bg_iou_thresh=model.config.rpn_fg_iou_thresh),
    ),
    Bug(
        "unbalanced",
        "Unbalanced sampling",
        True,
        "sample = randperm(len(anchors))[:256]",
        "sample = half positive, half negative",
        "Of 256 anchors drawn at random one or two are positive. Predicting background everywhere costs almost "
        "nothing, and box regression gets hardly any examples.",
        lambda model: rebuilt(model, sampler=UnbalancedSampler(model.config.rpn_batch_size_per_image)),
    ),
    Bug(
        "positives_only",
        "No negative anchors",
        True,
        "sample = positives",
        "sample = positives and negatives",
        "A network trained only on positives learns to answer 'object' everywhere. Objectness carries no information, "
        "and the second stage must find its objects among proposals of background.",
        lambda model: rebuilt(model, sampler=PositivesOnlySampler(model.config.rpn_batch_size_per_image)),
    ),
    Bug(
        "not_normalised",
        "Deltas not normalised",
        True,
        "weights = (1, 1, 1, 1)",
        "weights = (10, 10, 5, 5)",
        "Proposals are close to their objects, so raw deltas are small, and so is their share of the loss: the second "
        "stage learns classes, but moves boxes too little. At an IoU of 0.5 that hardly matters, at 0.75 it does.",
        lambda model: rebuilt(model, bbox_reg_weights=(1.0, 1.0, 1.0, 1.0)),
    ),
    Bug(
        "missing_detach",
        "Missing detach",
        True,
        "proposals = decode(deltas, anchors)",
        "proposals = decode(deltas.detach(), anchors)",
        "Gradients of the second stage's loss now reach the first stage through the boxes: it can move a proposal to "
        "where regression is easy, not to where the object is. Nothing crashes, and the loss is lower than without the "
        "bug.",
        lambda model: rebuilt(model, rpn=AttachedProposals, roi_heads=AttachedTargets),
    ),
)


def evaluation_scenes(images: int = IMAGES) -> Shapes:
    """The scenes for inference bugs."""
    return Shapes(images, "val", image_size=EVALUATION_SIZE)


def training_scenes(images: int = IMAGES) -> Shapes:
    """The scenes for detectors that were trained with a bug."""
    return Shapes(images, "val", config=PLAIN)


def measure(model: FasterRCNN, scenes: Shapes, loss: float | None = None) -> BugResult:
    """Detect on all scenes and evaluate."""
    detections, targets = detect(model, scenes, progress=False)
    map_50, map_75 = (
        evaluate(detections, targets, iou_threshold=iou, class_names=scenes.class_names).map for iou in (0.5, 0.75)
    )
    recall = recall_at([one["boxes"] for one in detections], targets, [0.5]).item()
    return BugResult(map_50, map_75, recall, loss, _rows(detections[SCENE % len(detections)]))


def measure_in_inference(install: Install, model: FasterRCNN, images: int) -> BugResult:
    """The result of the trained detector with a bug."""
    return measure(install(model), evaluation_scenes(images))


def measure_in_training(install: Install, recipe: Recipe, images: int) -> BugResult:
    """The result of a new detector that is trained with a bug."""
    scenes = Shapes(TRAINING_IMAGES, "train", config=PLAIN)
    torch.manual_seed(recipe.seed)
    model = install(fasterrcnn_tiny(len(scenes.class_names)))
    losses = train(model, scenes, recipe).total[-LAST_STEPS:]
    return measure(model, training_scenes(images), sum(losses) / len(losses))


def load_results(path: str | Path | None = None) -> dict[str, BugResult]:
    """The results by name of the bug; "sound_inference" and "sound_training" are those without a bug.

    By default from the file that ships with the course. Raises FileNotFoundError that names the path.
    """
    path = data_path(FILE) if path is None else Path(path)
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: BugResult(**entry["measured"]) for name, entry in entries.items()}


def open_zoo(results: Mapping[str, BugResult], **traits: Any) -> BugZooExplorer:
    """The explorer of lesson 07 for results such as those of `load_results`.

    Raises ValueError for a bug without a result.
    """
    scenes = {False: evaluation_scenes()[SCENE], True: training_scenes()[SCENE]}
    return BugZooExplorer(BUGS, results, scenes, evaluation_scenes().class_names, **traits)


def run(out: str | Path, recipe: Recipe = RECIPE, images: int = IMAGES, only: Sequence[str] = ()) -> None:
    """Measure every bug, or those in `only`, that the file `out` lacks under these conditions, and write it.

    Raises ValueError for an unknown name.
    """
    runs: dict[str, tuple[bool, Install]] = {"sound_inference": (False, rebuilt), "sound_training": (True, rebuilt)}
    runs |= {bug.name: (bug.in_training, bug.install) for bug in BUGS}
    if unknown := set(only) - set(runs):
        raise ValueError(f"unknown bug {', '.join(sorted(unknown))}; there are {', '.join(runs)}")
    out = Path(out)
    entries = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    model = load_trained()
    for name, (in_training, install) in runs.items():
        conditions = {"images": images, **(asdict(recipe) if in_training else {"weights": digest(model)})}
        if (only and name not in only) or entries.get(name, {}).get("conditions") == conditions:
            continue
        started = time.perf_counter()
        if in_training:
            result = measure_in_training(install, recipe, images)
        else:
            result = measure_in_inference(install, model, images)
        entries[name] = {"conditions": conditions, "measured": asdict(result)}
        _write(out, {known: entries[known] for known in runs if known in entries})
        print(
            f"{name}: mAP {result.map_50:.3f} at IoU 0.5, {result.map_75:.3f} at 0.75, "
            f"recall {result.recall_50:.3f}, {time.perf_counter() - started:.0f} s",
            flush=True,
        )


def digest(model: FasterRCNN) -> str:
    """The first 16 digits of the SHA-256 of a model's weights."""
    sha = hashlib.sha256()
    for name, values in sorted(model.state_dict().items()):
        sha.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def _rows(detections: Mapping[str, Tensor]) -> list[list[float]]:
    sure = detections["scores"] >= SHOWN_SCORE
    parts = (detections["boxes"], detections["labels"][:, None].double(), detections["scores"][:, None])
    rows = torch.cat(parts, dim=1)[sure]  # (N, 6)
    return [[*(round(value, 1) for value in row[:5]), round(row[5], 3)] for row in rows.tolist()]


def _write(path: Path, entries: Mapping[str, object]) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m frcnn_edu.course.bug_zoo", description="Measure what each bug costs."
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file; results that it already has are kept")
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="steps of each training (default: %(default)s)")
    parser.add_argument("--images", type=int, default=IMAGES, help="scenes to evaluate on (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="BUG", help="names of bugs (default: all)")
    given = parser.parse_args(arguments)
    run(given.out, replace(RECIPE, steps=given.steps), given.images, given.only)


if __name__ == "__main__":
    main()
