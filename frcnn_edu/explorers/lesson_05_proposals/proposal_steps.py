"""From anchors to proposals, step by step, for one image and one level (section 3.3)."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from frcnn_edu.boxes import clip_boxes, decode_boxes, nms, remove_small_boxes
from frcnn_edu.config import Config

HERE = Path(__file__).parent
STEPS = ("anchors", "decoded", "clipped", "large enough", "top-k", "after NMS")
"""What a step is called that hands these boxes on."""


@dataclass(frozen=True)
class ProposalSteps:
    """Which of one image's A boxes are left after each of `STEPS`, and where they lie then."""

    boxes: tuple[Tensor, Tensor, Tensor]
    """Three times (A, 4): anchors, decoded, clipped; later steps only choose among the clipped ones."""
    left: tuple[Tensor, ...]
    """(N,) int64 into the A boxes for each step, best first."""

    def __getitem__(self, step: int) -> Tensor:
        """The boxes that step number `step` hands on: (N, 4)."""
        return self.boxes[min(step, 2)][self.left[step]]


def proposal_steps(
    anchors: Tensor,
    logits: Tensor,
    deltas: Tensor,
    image_size: tuple[int, int],
    config: Config,
) -> ProposalSteps:
    """All steps from anchors (A, 4), logits (A,) and deltas (A, 4) of one level to proposals, in the paper's order.

    Sizes, counts and thresholds are `config`'s for inference; `image_size` is (height, width). Source: section 3.3.
    """
    decoded = decode_boxes(deltas, anchors, log_scale_limit=config.log_scale_limit)
    clipped = clip_boxes(decoded, image_size)
    counts = config.rpn_pre_nms_top_n_test, config.rpn_post_nms_top_n_test
    left = _choose(clipped, logits, config.rpn_min_size, config.rpn_nms_thresh, *counts)
    return ProposalSteps((anchors, decoded, clipped), left)


def _choose(
    clipped: Tensor, logits: Tensor, min_size: float, threshold: float, top_n: int, limit: int
) -> tuple[Tensor, ...]:
    """Rows of `clipped` that are left after each step, best first."""
    everything = logits.argsort(descending=True, stable=True)  # (A,)
    large = everything[remove_small_boxes(clipped[everything], min_size)]  # (L,)
    top = large[:top_n]  # (K,)
    kept = top[nms(clipped[top], logits[top], threshold, limit)]  # (P,)
    return (everything, everything, everything, large, top, kept)
