"""The bug zoo: mistakes that people really make in a detector, kept alive so that their price can be measured.

Each bug is a small subclass of a real module, or a changed option: the core has no switch for being wrong. A bug of
inference is switched on in the trained detector of the course; a bug of training is in place while a new detector
learns plain shapes for a short while. Either way the same run without the bug stands beside it.

    python -m frcnn_edu.course.bug_zoo --out data/bug_zoo.json

measures all of them, one after the other, and writes the file after each: stopped and started again, it goes on where
it was. What was measured under other conditions (steps, images, weights) is measured anew. Lesson 07 shows the result.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from frcnn_edu.anchors import AnchorGenerator
from frcnn_edu.boxes import clip_boxes, decode_boxes
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets import data_path
from frcnn_edu.datasets.shapes import PLAIN, Shapes
from frcnn_edu.explorers.lesson_07_full_model import BugZooExplorer
from frcnn_edu.faster_rcnn import FasterRCNN, Trace, fasterrcnn_tiny
from frcnn_edu.matching import BalancedSampler, Matcher, Sample
from frcnn_edu.roi_heads import Candidates, RoIHeads
from frcnn_edu.rpn import Proposals, RegionProposalNetwork, RPNPass
from frcnn_edu.training.checkpoints import Recipe
from frcnn_edu.training.loop import detect, train
from frcnn_edu.training.metrics import evaluate, recall_at

FILE = "bug_zoo.json"
RECIPE = Recipe(steps=500, batch_size=4, learning_rate=1e-3)
"""How long the detectors with a bug of training learn."""

IMAGES = 100
TRAINING_IMAGES = 10_000
EVALUATION_SIZE = 320
"""Scenes for bugs of inference have this many pixels a side: the detector must shrink them, and scale boxes back."""

SCENE = 2
"""The scene on which the detections themselves are kept, for the picture."""

SHOWN_SCORE = 0.5
LAST_STEPS = 20
"""The loss that is kept is the mean over these last steps."""

SOUND = "sound"


# Mistakes in training


class NoBestAnchor(RegionProposalNetwork):
    """Anchors are positive from IoU 0.7 on only: an object that no anchor fits so well has no positive at all."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)
        self.matcher = replace(self.matcher, allow_low_quality_matches=False)


class UnbalancedSampler(BalancedSampler):
    """Draws from all labelled anchors alike, so that a handful of 256 are positive."""

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


class Unbalanced(RegionProposalNetwork):
    """The RPN's loss looks at any 256 anchors."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)
        self.sampler = UnbalancedSampler(self.sampler.batch_size)


class PositivesOnly(RegionProposalNetwork):
    """The RPN's loss looks at positive anchors only."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)
        self.sampler = PositivesOnlySampler(self.sampler.batch_size)


class NothingIgnored(RegionProposalNetwork):
    """Every anchor below the high threshold is background, also one that covers most of an object."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)
        self.matcher = Matcher(self.config.rpn_fg_iou_thresh, self.config.rpn_fg_iou_thresh)


class AttachedProposals(RegionProposalNetwork):
    """Proposals keep the way back to the deltas that made them: `.detach()` was forgotten."""

    def forward(self, *arguments: object, **options: object) -> RPNPass:
        """As in `RegionProposalNetwork`."""
        rpn = super().forward(*arguments, **options)
        limit = self.config.log_scale_limit
        proposals = []
        for deltas, found, size in zip(rpn.deltas, rpn.proposals, arguments[0].sizes, strict=True):
            chosen = found.anchor_index
            decoded = decode_boxes(deltas[chosen], rpn.anchors[chosen], log_scale_limit=limit)  # (K, 4)
            proposals.append(replace(found, decoded=decoded, clipped=clip_boxes(decoded, size)))
        return replace(rpn, proposals=proposals)


class AttachedTargets(RoIHeads):
    """The second stage's targets are part of the graph: the RPN can move its proposals to make them easier."""

    sample = RoIHeads.sample.__wrapped__  # without no_grad


# Mistakes in inference


def upside_down(generator: AnchorGenerator) -> AnchorGenerator:
    """The same anchors with aspect ratios read as width over height."""
    ratios = tuple(tuple(1 / ratio for ratio in level) for level in generator.aspect_ratios)
    return AnchorGenerator(generator.sizes, ratios, generator.strides, generator.offset)


def one_wider(boxes: Tensor) -> Tensor:
    """Boxes as somebody sees them who counts a width as x2 - x1 + 1."""
    return boxes + boxes.new_tensor((0, 0, 1, 1))


class PlusOneProposals(RegionProposalNetwork):
    """Widths are x2 - x1 + 1 where deltas are applied, and nobody takes the 1 away again."""

    def propose(self, logits: Tensor, deltas: Tensor, anchors: Tensor, *more: object) -> Proposals:
        """As in `RegionProposalNetwork`."""
        return super().propose(logits, deltas, one_wider(anchors), *more)


class PlusOneDetections(RoIHeads):
    """The same in the second stage."""

    def detect(self, logits: Tensor, deltas: Tensor, proposals: Tensor, *more: object) -> Candidates:
        """As in `RoIHeads`."""
        return super().detect(logits, deltas, one_wider(proposals), *more)


class BackgroundLast(RoIHeads):
    """Takes the last column of the class scores for the background, which is the first."""

    def detect(self, logits: Tensor, *more: object) -> Candidates:
        """As in `RoIHeads`."""
        return super().detect(logits.roll(1, dims=1), *more)


class NotScaledBack(FasterRCNN):
    """Detections stay in pixels of the resized image."""

    def trace(self, *arguments: object, **options: object) -> Trace:
        """As in `FasterRCNN`."""
        trace = super().trace(*arguments, **options)
        if trace.detections is None:
            return trace
        pairs = zip(trace.detections, trace.roi.candidates, strict=True)
        return replace(trace, detections=[replace(one, boxes=both.clipped[both.kept]) for one, both in pairs])


class SwappedChannels(FasterRCNN):
    """Images come as blue, green, red, as OpenCV reads them."""

    def trace(self, images: Sequence[Tensor], *arguments: object, **options: object) -> Trace:
        """As in `FasterRCNN`."""
        return super().trace([image.flip(0) for image in images], *arguments, **options)


def rebuilt(
    model: FasterRCNN,
    kind: type[FasterRCNN] = FasterRCNN,
    rpn: type[RegionProposalNetwork] = RegionProposalNetwork,
    roi_heads: type[RoIHeads] = RoIHeads,
    anchors: AnchorGenerator | None = None,
    **options: object,
) -> FasterRCNN:
    """A detector with the parameters of `model` itself, but other classes round them, or other options of `Config`."""
    stage_1, stage_2 = model.rpn, model.roi_heads
    parts = (anchors or stage_1.anchor_generator, stage_1.head)
    heads = (stage_2.box_roi_pool, stage_2.box_head, stage_2.box_predictor)
    copy = kind(model.backbone, model.num_classes, *parts, *heads, **asdict(model.config) | options)
    copy.rpn = rpn(*parts, copy.config)
    copy.roi_heads = roi_heads(*heads, copy.config)
    return copy.train(model.training)


@dataclass(frozen=True)
class Bug:
    """A mistake, and how to make it."""

    name: str
    title: str
    in_training: bool
    """Whether it does its harm while the weights are learned; else while they are used."""
    wrong: str
    """The line of code as the mistake has it, and as it should be in `right`."""
    right: str
    why: str
    """What the line does to the detector."""
    install: Callable[[FasterRCNN], FasterRCNN]
    """From a sound detector the one with the bug; it has the same parameters."""

    @property
    def without(self) -> str:
        """Under which name the results hold the same run without the bug."""
        return f"{SOUND}_{'training' if self.in_training else 'inference'}"


BUGS = (
    Bug(
        "inverted_ratios",
        "Anchors upside down",
        False,
        "w, h = s * sqrt(r), s / sqrt(r)",
        "w, h = s / sqrt(r), s * sqrt(r)",
        "The nine anchors of a cell are the same nine, in another order. But each has weights of its own: those that "
        "learned to stretch a lying anchor now stretch a standing one.",
        lambda model: rebuilt(model, anchors=upside_down(model.rpn.anchor_generator)),
    ),
    Bug(
        "plus_one",
        "Widths with + 1",
        False,
        "w = x2 - x1 + 1",
        "w = x2 - x1",
        "Each stage makes its boxes about a pixel too wide. An IoU of 0.5 forgives that, a stricter one does not, "
        "and small objects suffer first.",
        lambda model: rebuilt(model, rpn=PlusOneProposals, roi_heads=PlusOneDetections),
    ),
    Bug(
        "score_filter",
        "Proposals below 0.5 thrown away",
        False,
        "keep = objectness > 0.5",
        "keep = objectness.topk(n).indices",
        "Objectness says which anchor is better, not which is good enough: what the first stage drops, the second "
        "never sees. The lost finds were unsure ones, so mAP hardly misses them, but recall does. The less a detector "
        "has learned, the more it costs.",
        lambda model: rebuilt(model, rpn_score_thresh=0.5),
    ),
    Bug(
        "rpn_nms_left_out",
        "No NMS between the stages",
        False,
        "proposals = boxes[top]",
        "proposals = boxes[nms(boxes, scores, 0.7)]",
        "The best hundred proposals now crowd round the surest objects, and an unsure one must hope to be among them. "
        "The NMS at the end hides the mistake: it tidies up the crowd.",
        lambda model: rebuilt(model, rpn_nms_thresh=1.0),
    ),
    Bug(
        "nms_left_out",
        "No NMS at the end",
        False,
        "return boxes, scores",
        "keep = nms(boxes, scores, 0.5)",
        "Every object is found many times. The first find is right, all others count as wrong: recall stays, "
        "precision goes.",
        lambda model: rebuilt(model, box_nms_thresh=1.0),
    ),
    Bug(
        "background_last",
        "Background off by one",
        False,
        "scores = probabilities[:, :-1]",
        "scores = probabilities[:, 1:]",
        "The background is class 0. Who takes the last column for it reads every name one off, and takes empty "
        "ground for the surest class of all.",
        lambda model: rebuilt(model, roi_heads=BackgroundLast),
    ),
    Bug(
        "not_scaled_back",
        "Boxes not scaled back",
        False,
        "return boxes",
        "return boxes * (original_size / resized_size)",
        "The detector shrank the scene and answers in pixels of the small one: every box lies too far up and to the "
        "left, and is too small. With images that need no resizing nobody notices.",
        lambda model: rebuilt(model, NotScaledBack),
    ),
    Bug(
        "swapped_channels",
        "Red and blue swapped",
        False,
        "image = cv2.imread(path)",
        "image = cv2.imread(path)[..., ::-1]",
        "The detector learned on red, green, blue. How much it minds depends on how much of its knowledge is "
        "colour: these shapes come in all colours.",
        lambda model: rebuilt(model, SwappedChannels),
    ),
    Bug(
        "no_best_anchor",
        "No best-anchor rule",
        True,
        "labels[best_iou >= 0.7] = 1",
        "labels[(best_iou >= 0.7) | is_best] = 1",
        "An object that no anchor overlaps by 0.7 has no positive anchor: the first stage is never taught to find it.",
        lambda model: rebuilt(model, rpn=NoBestAnchor),
    ),
    Bug(
        "nothing_ignored",
        "No anchor is ignored",
        True,
        "labels[best_iou < 0.7] = 0",
        "labels[best_iou < 0.3] = 0",
        "Anchors that cover half an object are taught to be background, beside neighbours that look nearly the same "
        "and are taught to be an object. Yet not every step aside from the paper hurts: in a short training this "
        "hardly shows.",
        lambda model: rebuilt(model, rpn=NothingIgnored),
    ),
    Bug(
        "unbalanced",
        "Sampling without balance",
        True,
        "sample = randperm(len(anchors))[:256]",
        "sample = half positive, half negative",
        "Of 256 anchors drawn blindly one or two are positive. To say 'nothing here' everywhere is nearly free, and "
        "the boxes hardly have an example to learn from.",
        lambda model: rebuilt(model, rpn=Unbalanced),
    ),
    Bug(
        "positives_only",
        "No negative anchors",
        True,
        "sample = positives",
        "sample = positives and negatives",
        "Whoever is only ever asked about objects learns to answer 'object' everywhere. Objectness says nothing, and "
        "the second stage must find its objects among proposals of empty ground.",
        lambda model: rebuilt(model, rpn=PositivesOnly),
    ),
    Bug(
        "not_normalised",
        "Deltas not normalised",
        True,
        "weights = (1, 1, 1, 1)",
        "weights = (10, 10, 5, 5)",
        "Proposals lie close to their objects, so raw deltas are tiny and so is their share of the loss: the second "
        "stage learns names and moves boxes too little. An IoU of 0.5 hardly notices, 0.75 does.",
        lambda model: rebuilt(model, bbox_reg_weights=(1.0, 1.0, 1.0, 1.0)),
    ),
    Bug(
        "missing_detach",
        "Missing detach",
        True,
        "proposals = decode(deltas, anchors)",
        "proposals = decode(deltas.detach(), anchors)",
        "The second stage's loss now reaches the first through the boxes: it may move a proposal to where its "
        "regression is cheap, not to where the object is. Nothing crashes, and the loss looks better than ever.",
        lambda model: rebuilt(model, rpn=AttachedProposals, roi_heads=AttachedTargets),
    ),
)


@dataclass(frozen=True)
class Measured:
    """What a detector reached: shares in [0, 1] over the scenes of its kind, and its answer to one of them."""

    map_50: float
    """Mean average precision at IoU 0.5, and at 0.75 in `map_75`."""
    map_75: float
    recall_50: float
    """The share of objects that some detection overlaps by 0.5, whatever name it gives them."""
    loss: float | None
    """Training: the mean of the last steps' losses."""
    detections: list[list[float]]
    """x1, y1, x2, y2, label, score of those on scene `SCENE` that score `SHOWN_SCORE` or more."""


def evaluation_scenes(images: int = IMAGES) -> Shapes:
    """The scenes for bugs of inference."""
    return Shapes(images, "val", image_size=EVALUATION_SIZE)


def training_scenes(images: int = IMAGES) -> Shapes:
    """The scenes on which detectors that learned with a bug of training are measured."""
    return Shapes(images, "val", config=PLAIN)


def measure(model: FasterRCNN, scenes: Shapes, loss: float | None = None) -> Measured:
    """Detect on all scenes, and compare with what is there."""
    detections, targets = detect(model, scenes, progress=False)
    map_50, map_75 = (
        evaluate(detections, targets, iou_threshold=iou, class_names=scenes.class_names).map for iou in (0.5, 0.75)
    )
    recall = recall_at([one["boxes"] for one in detections], targets, [0.5]).item()
    return Measured(map_50, map_75, recall, loss, _rows(detections[SCENE % len(detections)]))


def measure_in_inference(install: Callable[[FasterRCNN], FasterRCNN], model: FasterRCNN, images: int) -> Measured:
    """The trained detector with a bug switched on."""
    return measure(install(model), evaluation_scenes(images))


def measure_in_training(install: Callable[[FasterRCNN], FasterRCNN], recipe: Recipe, images: int) -> Measured:
    """A new detector that has learned with a bug in place."""
    scenes = Shapes(TRAINING_IMAGES, "train", config=PLAIN)
    torch.manual_seed(recipe.seed)
    model = install(fasterrcnn_tiny(len(scenes.class_names)))
    losses = train(model, scenes, recipe).total[-LAST_STEPS:]
    return measure(model, training_scenes(images), sum(losses) / len(losses))


def load_results(path: str | Path | None = None) -> dict[str, Measured]:
    """What was measured, by bug; "sound_inference" and "sound_training" are the same without any.

    Reads the file that ships with the course. Raises FileNotFoundError that says where it was looked for.
    """
    path = data_path(FILE) if path is None else Path(path)
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: Measured(**entry["measured"]) for name, entry in entries.items()}


def open_zoo(results: Mapping[str, Measured], **traits: object) -> BugZooExplorer:
    """The explorer of lesson 07 over these results, such as those of `load_results`.

    Raises ValueError for a bug without a result.
    """
    scenes = {False: evaluation_scenes()[SCENE], True: training_scenes()[SCENE]}
    return BugZooExplorer(BUGS, results, scenes, evaluation_scenes().class_names, **traits)


def run(out: str | Path, recipe: Recipe = RECIPE, images: int = IMAGES, only: Sequence[str] = ()) -> None:
    """Measure every bug, or those in `only`, that `out` does not hold under these conditions, and write it there.

    Raises ValueError for a name that no bug has.
    """
    names = [*(f"{SOUND}_{when}" for when in ("inference", "training")), *(bug.name for bug in BUGS)]
    if unknown := set(only) - set(names):
        raise ValueError(f"no bug is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    out = Path(out)
    entries = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    model = load_trained()
    sound = {f"{SOUND}_{when}": (when == "training", rebuilt) for when in ("inference", "training")}
    for name, (in_training, install) in (sound | {bug.name: (bug.in_training, bug.install) for bug in BUGS}).items():
        conditions = {"images": images, **(asdict(recipe) if in_training else {"weights": digest(model)})}
        if (only and name not in only) or entries.get(name, {}).get("conditions") == conditions:
            continue
        started = time.perf_counter()
        measured = (
            measure_in_training(install, recipe, images)
            if in_training
            else measure_in_inference(install, model, images)
        )
        entries[name] = {"conditions": conditions, "measured": asdict(measured)}
        _write(out, {known: entries[known] for known in names if known in entries})
        print(
            f"{name}: mAP {measured.map_50:.3f} at IoU 0.5, {measured.map_75:.3f} at 0.75, "
            f"recall {measured.recall_50:.3f}, {time.perf_counter() - started:.0f} s",
            flush=True,
        )


def digest(model: FasterRCNN) -> str:
    """What tells these weights from others: the first letters of their SHA-256."""
    sha = hashlib.sha256()
    for name, values in sorted(model.state_dict().items()):
        sha.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


def _rows(detections: Mapping[str, Tensor]) -> list[list[float]]:
    sure = detections["scores"] >= SHOWN_SCORE
    parts = (detections["boxes"], detections["labels"][:, None].double(), detections["scores"][:, None])
    rows = torch.cat(parts, dim=1)[sure]  # (N, 6)
    return [[*(round(value, 1) for value in row[:5]), round(row[5], 3)] for row in rows.tolist()]


def _write(path: Path, entries: dict) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m frcnn_edu.course.bug_zoo", description="Measure what bugs cost.")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file, continued if it is there")
    parser.add_argument("--steps", type=int, default=RECIPE.steps, help="of each training")
    parser.add_argument("--images", type=int, default=IMAGES, help="how many scenes are measured")
    parser.add_argument("--only", nargs="+", default=[], metavar="BUG", help="by name; all, if left out")
    given = parser.parse_args(arguments)
    run(given.out, replace(RECIPE, steps=given.steps), given.images, given.only)


if __name__ == "__main__":
    main()
