"""A data set's IoUs, measured once, so that another score filter is quick."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from frcnn_edu.boxes import batched_nms, box_iou
from frcnn_edu.config import Config
from frcnn_edu.explorers.lesson_05_proposals.proposal_steps import STEPS, proposal_steps
from frcnn_edu.faster_rcnn import Trace
from frcnn_edu.images import resize_boxes
from frcnn_edu.roi_heads import Candidates

HERE = Path(__file__).parent


class _Funnel:
    """A data set's IoUs, measured once, so that a score filter needs only maxima and the detector's last NMS."""

    def __init__(self, traces: Sequence[Trace], objects: Sequence[Tensor], config: Config) -> None:
        batches = [trace.batch for trace in traces]
        objects = [
            resize_boxes(boxes, batch.original_sizes[0], batch.sizes[0])
            for boxes, batch in zip(objects, batches, strict=True)
        ]
        rpns = [trace.rpn for trace in traces]
        steps = [
            proposal_steps(rpn.anchors, rpn.logits[0].detach(), rpn.deltas[0].detach(), batch.sizes[0], config)
            for rpn, batch in zip(rpns, batches, strict=True)
        ]
        self.config, self.num_images = config, len(traces)
        whole = [_Pairs([one[number] for one in steps], objects) for number in range(len(STEPS) - 1)]
        self.unfiltered = [pairs.best() for pairs in whole]
        self.counts = [pairs.num_boxes / self.num_images for pairs in whole]
        self.top = whole[-1]
        self.top_scores = _joined(
            rpn.logits[0].detach().sigmoid()[one.left[-2]] for rpn, one in zip(rpns, steps, strict=True)
        )
        self._take_answers(traces, objects)

    def _take_answers(self, traces: Sequence[Trace], objects: Sequence[Tensor]) -> None:
        """The model's own proposals, and what its second stage answered to them, image after image."""
        proposals = [trace.rpn.proposals[0] for trace in traces]
        answers = [_candidates(trace) for trace in traces]
        scores = [one.scores[one.kept] for one in proposals]
        self.kept, self.kept_scores = _Pairs([one.boxes for one in proposals], objects), _joined(scores)
        self.answers = _Pairs([one.clipped for one in answers], objects)
        self.answer_boxes = _joined(one.clipped for one in answers)  # (D, 4)
        self.answer_scores = _joined(one.scores for one in answers)  # (D,)
        self.asked_scores = _joined(
            one[answer.proposal_index] for one, answer in zip(scores, answers, strict=True)
        )  # (D,) of the proposal that answered
        self.image = _joined(torch.full_like(one.labels, index) for index, one in enumerate(answers))  # (D,)
        labels = _joined(one.labels for one in answers)
        self.groups = self.image * (int(labels.max()) + 1 if len(labels) else 1) + labels  # (D,)

    def measure(self, lowest_score: float) -> tuple[Tensor, list[float]]:
        """For each of `FUNNEL` the best IoU with every object, (S, G), and the number of boxes an image.

        What a filter keeps of the proposals is what NMS makes of the filtered ones: both go from the best score down.
        """
        passes = (
            (self.top, self.top_scores >= lowest_score),
            (self.kept, self.kept_scores >= lowest_score),
            (self.answers, self._detections(lowest_score)),
        )
        best = [*self.unfiltered, *(pairs.best(left) for pairs, left in passes)]
        return torch.stack(best), [*self.counts, *(left.sum().item() / self.num_images for _, left in passes)]

    def _detections(self, lowest_score: float) -> Tensor:
        """Which answers become detections: (D,) bool."""
        rows = (self.asked_scores >= lowest_score).nonzero().squeeze(1)
        chosen = self.answer_boxes[rows], self.answer_scores[rows], self.groups[rows]
        kept = rows[batched_nms(*chosen, self.config.box_nms_thresh)]  # best first, all images together
        place = F.one_hot(self.image[kept], self.num_images).cumsum(0).gather(1, self.image[kept, None])  # (N, 1)
        kept = kept[place.squeeze(1) <= self.config.box_detections_per_img]
        return torch.zeros(len(self.image), dtype=torch.bool).index_fill(0, kept, True)


class _Pairs:
    """Every box of one step with every object of its image: E pairs of N boxes and G objects of a data set."""

    def __init__(self, boxes: Sequence[Tensor], objects: Sequence[Tensor]) -> None:
        tables = [box_iou(one, other) for one, other in zip(boxes, objects, strict=True)]  # (N_i, G_i) each
        first = torch.tensor([(0, 0), *(table.shape for table in tables)]).cumsum(0)
        places = [torch.ones_like(table).nonzero() + start for table, start in zip(tables, first, strict=False)]
        self.num_boxes, self.num_objects = first[-1].tolist()
        self.iou = _joined(table.flatten() for table in tables)  # (E,)
        self.box, self.object = _joined(places).unbind(1)  # (E,) each

    def best(self, left: Tensor | None = None) -> Tensor:
        """The best IoU with each object of the boxes that are `left`, (N,) bool, or of all: (G,)."""
        iou = self.iou if left is None else self.iou * left[self.box]
        return torch.zeros(self.num_objects).scatter_reduce(0, self.object, iou, "amax")


def _candidates(trace: Trace) -> Candidates:
    if trace.roi is None or trace.roi.candidates is None:
        raise ValueError("trace has no detections: take it in evaluation mode, model.eval().trace([image])")
    return trace.roi.candidates[0]


def _joined(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts))
