"""What the explorers of lesson 03 share: one image, and what networks of several training steps answer on it."""

from collections.abc import Mapping
from pathlib import Path

import traitlets

from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.explorers.bundle import styles
from frcnn_edu.rpn import RPNPass

HERE = Path(__file__).parent


class PassExplorer(BoxCanvas):
    """What the explorers share: one image, and what networks of several training steps answer on it."""

    _css = styles(HERE / "rpn_loss.css")

    width = traitlets.Int(420, min=100).tag(sync=True)

    steps = traitlets.Tuple().tag(sync=True)
    """How many training steps each network had behind it."""

    snapshot = traitlets.Int(0, min=0).tag(sync=True)
    """Which of them answers: an index into `steps`."""

    map_size = traitlets.Tuple((1, 1, 1)).tag(sync=True)
    """Anchors a cell, rows and columns of the feature map."""

    @traitlets.validate("snapshot")
    def _check_snapshot(self, proposal: dict) -> int:
        if not 0 <= proposal["value"] < max(len(self.steps), 1):
            raise ValueError(f"snapshot counts the {len(self.steps)} steps from 0, got {proposal['value']}")
        return proposal["value"]


def _check_passes(passes: Mapping[int, RPNPass]) -> RPNPass:
    """The first of the passes; raises ValueError where an explorer cannot show them."""
    if not passes:
        raise ValueError("give at least one pass: {step: model.trace([image], [target]).rpn}")
    if wrong := [step for step, one in passes.items() if len(one.level_sizes) > 1 or len(one.logits) != 1]:
        raise ValueError(f"the pass of step {wrong[0]} has several levels or images: the maps show one of each")
    return next(iter(passes.values()))
