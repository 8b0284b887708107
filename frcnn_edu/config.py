"""Configuration: every number of the detector that can be chosen, under torchvision's names.

The defaults are torchvision's, so its weights give its detections. `PAPER_OPTIONS` are the values of the paper and its
code: ``fasterrcnn_vgg16(num_classes, **PAPER_OPTIONS)``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypedDict


@dataclass(frozen=True)
class Config:
    """Sizes in pixels of the resized image, thresholds as IoU or probability, counts per image.

    Raises ValueError for a value outside its range.
    """

    min_size: int | Sequence[int] = 800
    """Length of the shorter side after resizing; of several, training draws one and inference uses the last."""
    max_size: int = 1333
    image_mean: Sequence[float] = (0.485, 0.456, 0.406)
    image_std: Sequence[float] = (0.229, 0.224, 0.225)
    size_divisible: int = 32
    """Both sides of a batch are padded to a multiple of this."""

    rpn_fg_iou_thresh: float = 0.7
    rpn_bg_iou_thresh: float = 0.3
    rpn_batch_size_per_image: int = 256
    rpn_positive_fraction: float = 0.5
    rpn_drop_cross_boundary: bool = False
    """Ignore anchors that cross the image's border in training: the paper does, torchvision does not."""
    rpn_n_reg: str = "samples"
    """Divisor of the box loss: the number of "samples" (torchvision) or of "locations" on the map (equation 1)."""
    rpn_loss_balance: float = 1.0
    """Lambda of equation 1."""
    rpn_pre_nms_top_n_train: int = 2000
    rpn_pre_nms_top_n_test: int = 1000
    rpn_post_nms_top_n_train: int = 2000
    rpn_post_nms_top_n_test: int = 1000
    rpn_nms_thresh: float = 0.7
    rpn_score_thresh: float = 0.0
    rpn_min_size: float = 1e-3
    """Proposals with a shorter side are dropped. torchvision's 0.001 px drops only empty ones; the paper has 16."""
    rpn_drop_small_first: bool = False
    """Drop small proposals before the top-k, as in the paper, instead of after it."""

    box_fg_iou_thresh: float = 0.5
    box_bg_iou_thresh: float = 0.5
    box_batch_size_per_image: int = 512
    box_positive_fraction: float = 0.25
    bbox_reg_weights: Sequence[float] = (10.0, 10.0, 5.0, 5.0)
    box_smooth_l1_beta: float = 1 / 9
    box_score_thresh: float = 0.05
    box_nms_thresh: float = 0.5
    box_detections_per_img: int = 100

    log_scale_limit: float = math.log(1000 / 16)
    """See `boxes.LOG_SCALE_LIMIT`; infinity disables clamping, as in the paper's code."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_thresh", "_fraction")) and not 0 <= value <= 1:
                raise ValueError(f"{field.name} must lie in [0, 1], got {value}")
            if field.name.endswith(("_per_image", "_per_img", "_train", "_test", "_divisible")) and value < 1:
                raise ValueError(f"{field.name} must be at least 1, got {value}")
        for stage in ("rpn", "box"):
            low, high = getattr(self, f"{stage}_bg_iou_thresh"), getattr(self, f"{stage}_fg_iou_thresh")
            if low > high:
                raise ValueError(f"{stage}_bg_iou_thresh {low} is above {stage}_fg_iou_thresh {high}")
        if self.rpn_n_reg not in ("samples", "locations"):
            raise ValueError(f"rpn_n_reg is 'samples' or 'locations', got {self.rpn_n_reg!r}")
        if min(self.min_sizes) < 1 or self.max_size < max(self.min_sizes):
            raise ValueError(f"1 <= min_size <= max_size is needed, got {self.min_size} and {self.max_size}")

    @property
    def min_sizes(self) -> Sequence[int]:
        """`min_size` as a sequence."""
        return self.min_size if isinstance(self.min_size, Sequence) else (self.min_size,)


class Options(TypedDict, total=False):
    """The fields of `Config` as optional keyword arguments; a test checks that both have the same."""

    min_size: int | Sequence[int]
    max_size: int
    image_mean: Sequence[float]
    image_std: Sequence[float]
    size_divisible: int
    rpn_fg_iou_thresh: float
    rpn_bg_iou_thresh: float
    rpn_batch_size_per_image: int
    rpn_positive_fraction: float
    rpn_drop_cross_boundary: bool
    rpn_n_reg: str
    rpn_loss_balance: float
    rpn_pre_nms_top_n_train: int
    rpn_pre_nms_top_n_test: int
    rpn_post_nms_top_n_train: int
    rpn_post_nms_top_n_test: int
    rpn_nms_thresh: float
    rpn_score_thresh: float
    rpn_min_size: float
    rpn_drop_small_first: bool
    box_fg_iou_thresh: float
    box_bg_iou_thresh: float
    box_batch_size_per_image: int
    box_positive_fraction: float
    bbox_reg_weights: Sequence[float]
    box_smooth_l1_beta: float
    box_score_thresh: float
    box_nms_thresh: float
    box_detections_per_img: int
    log_scale_limit: float


PAPER_OPTIONS: Options = {
    "min_size": 600,
    "max_size": 1000,
    "size_divisible": 16,
    "rpn_drop_cross_boundary": True,
    "rpn_n_reg": "locations",
    "rpn_loss_balance": 10.0,
    "rpn_pre_nms_top_n_train": 12000,
    "rpn_pre_nms_top_n_test": 6000,
    "rpn_post_nms_top_n_train": 2000,
    "rpn_post_nms_top_n_test": 300,
    "rpn_min_size": 16.0,
    "rpn_drop_small_first": True,
    "box_batch_size_per_image": 128,
    "box_smooth_l1_beta": 1.0,
    "box_nms_thresh": 0.3,
    "log_scale_limit": math.inf,
}
