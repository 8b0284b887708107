"""Every explorer of the course once, over scenes of shapes and the shipped detector: for what holds of all."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from frcnn_edu.anchors import base_anchors, grid_anchors
from frcnn_edu.boxes import box_iou, encode_boxes
from frcnn_edu.course.bug_zoo import BUGS, load_results
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets.photos import Photo
from frcnn_edu.datasets.shapes import Shapes
from frcnn_edu.explorers import BoxCanvas, Question
from frcnn_edu.explorers.lesson_00_overview import AnchorLife, LiveDetector
from frcnn_edu.explorers.lesson_01_anchors import (
    CoverageExplorer,
    GridExplorer,
    OddShapeExplorer,
    RatioExplorer,
    SharedExplorer,
    UsefulExplorer,
)
from frcnn_edu.explorers.lesson_02_iou_labeling import IoUExplorer, LabelExplorer, SampleExplorer
from frcnn_edu.explorers.lesson_03_rpn_and_loss import LossExplorer, ObjectnessExplorer
from frcnn_edu.explorers.lesson_04_box_regression import DeltaExplorer, PullExplorer, pulls
from frcnn_edu.explorers.lesson_05_proposals import NmsExplorer, RecallExplorer, StepsExplorer
from frcnn_edu.explorers.lesson_06_roi_pooling import GradientExplorer, HeadsExplorer, PoolingExplorer
from frcnn_edu.explorers.lesson_07_full_model import BiographyExplorer, BugZooExplorer, TimeMachine, take_snapshot
from frcnn_edu.explorers.lesson_08_real_images import FileDrop
from frcnn_edu.faster_rcnn import FasterRCNN, Trace
from frcnn_edu.matching import Matcher

STEPS = (0, 200, 4000)
SCENE = 3


@dataclass
class World:
    """What explorers are made of, each part made when it is first asked for."""

    @cached_property
    def scenes(self) -> Shapes:
        return Shapes(6, split="test")

    @property
    def image(self) -> Tensor:
        return self.scenes[SCENE][0]

    @property
    def target(self) -> dict[str, Tensor]:
        return self.scenes[SCENE][1]

    @property
    def boxes(self) -> Tensor:
        return self.target["boxes"]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.scenes.class_names)

    @property
    def captions(self) -> list[str]:
        return [self.names[label] for label in self.target["labels"].tolist()]

    @cached_property
    def models(self) -> dict[int, FasterRCNN]:
        return {step: load_trained(step) for step in STEPS}

    @property
    def model(self) -> FasterRCNN:
        return self.models[STEPS[-1]]

    def trace(self, scene: int, step: int = STEPS[-1]) -> Trace:
        image, target = self.scenes[scene]
        torch.manual_seed(0)
        with torch.no_grad():
            return self.models[step].eval().trace([image], [target])

    @cached_property
    def traces(self) -> dict[int, Trace]:
        return {step: self.trace(SCENE, step) for step in STEPS}

    @cached_property
    def features(self) -> Tensor:
        return next(iter(self.traces[STEPS[-1]].features.values()))[0]

    @property
    def region(self) -> Tensor:
        return self.boxes[0]

    def anchor_life(self) -> AnchorLife:
        rows, columns = self.features.shape[1:]
        stride = self.image.shape[1] / rows
        anchors = grid_anchors(base_anchors((32.0, 64.0, 128.0), (0.5, 1.0, 2.0)), (rows, columns), stride)
        matches = Matcher()(box_iou(anchors, self.boxes))
        photo = Photo("scene", self.image, self.boxes, self.target["labels"], self.names, "made here")
        deltas = encode_boxes(self.boxes[matches.gt_index], anchors)
        return AnchorLife(photo, anchors, matches, deltas, self.features[0], stride=stride)

    def loss(self) -> LossExplorer:
        passes = {step: trace.rpn for step, trace in self.traces.items()}
        return LossExplorer(self.image, self.boxes, passes, self.captions)

    def objectness(self) -> ObjectnessExplorer:
        passes = {step: trace.rpn for step, trace in self.traces.items()}
        return ObjectnessExplorer(self.image, self.boxes, passes, self.captions)

    def nms(self) -> NmsExplorer:
        proposals = self.traces[STEPS[-1]].rpn.proposals[0]
        chosen = proposals.kept[:40]
        clipped = proposals.boxes[:40]
        return NmsExplorer(self.image, clipped, proposals.scores[chosen], threshold=0.4, step=5, editable=True)

    def recall(self) -> RecallExplorer:
        scenes = range(3)
        data = [self.scenes[scene] for scene in scenes]
        return RecallExplorer(self.model, data, [self.trace(scene) for scene in scenes])

    def time_machine(self) -> TimeMachine:
        snapshots = [take_snapshot(model, step, self.image) for step, model in self.models.items()]
        return TimeMachine(self.image, self.target, snapshots, self.names)

    def bug_zoo(self) -> BugZooExplorer:
        scenes = dict.fromkeys((False, True), (self.image, self.target))
        return BugZooExplorer(BUGS, load_results(), scenes, self.names)

    def makers(self) -> dict[str, Callable[[], object]]:
        """A function for each explorer, by the name of its class."""
        image, boxes, captions = self.image, self.boxes, self.captions
        named = {"captions": captions}
        deltas = torch.tensor([60.0, 60.0, 140.0, 180.0]), torch.tensor([90.0, 80.0, 210.0, 170.0])
        return {
            "BoxCanvas": lambda: BoxCanvas(image, boxes, "ground truth", editable=True, **named),
            "AnchorLife": self.anchor_life,
            "LiveDetector": lambda: LiveDetector(self.model),
            "RatioExplorer": lambda: RatioExplorer(image, boxes, size=80.0, ratio=0.5, **named),
            "GridExplorer": lambda: GridExplorer(image, boxes, sizes=(32, 64, 128), **named),
            "OddShapeExplorer": lambda: OddShapeExplorer(image, boxes[:1], **named | {"captions": captions[:1]}),
            "UsefulExplorer": lambda: UsefulExplorer(image, boxes, sizes=(32, 64, 128), **named),
            "SharedExplorer": lambda: SharedExplorer(image, boxes, sizes=(32, 64, 128), **named),
            "CoverageExplorer": lambda: CoverageExplorer(
                {"shapes": [(one, target["boxes"]) for one, target in (self.scenes[i] for i in range(6))]},
                sizes=(32, 64, 128),
            ),
            "IoUExplorer": lambda: IoUExplorer(image, torch.stack(deltas)),
            "LabelExplorer": lambda: LabelExplorer(image, boxes, sizes=(32, 64, 128), stride=16.0, **named),
            "SampleExplorer": lambda: SampleExplorer(
                [Photo("scene", image, boxes, self.target["labels"], self.names, "made here")]
            ),
            "ObjectnessExplorer": self.objectness,
            "LossExplorer": self.loss,
            "DeltaExplorer": lambda: DeltaExplorer(image, *deltas),
            "PullExplorer": lambda: PullExplorer(image, boxes, pulls(self.models, image, self.target)),
            "StepsExplorer": lambda: StepsExplorer(image, self.traces[STEPS[-1]], boxes),
            "NmsExplorer": self.nms,
            "RecallExplorer": self.recall,
            "PoolingExplorer": lambda: PoolingExplorer(image, self.features, self.region),
            "GradientExplorer": lambda: GradientExplorer(image, self.features, self.region),
            "HeadsExplorer": lambda: HeadsExplorer(self.model, image, self.region, self.names),
            "TimeMachine": self.time_machine,
            "BiographyExplorer": lambda: BiographyExplorer(
                image, self.traces[STEPS[-1]], self.target, self.names, least_score=0.3
            ),
            "BugZooExplorer": self.bug_zoo,
            "Question": lambda: Question("What share of them is useful?", low=0, high=100, unit="%"),
            "FileDrop": lambda: FileDrop(lambda name, content: None, lambda name, why: None),
        }
