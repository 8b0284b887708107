"""Explorers of lesson 05: from all anchors to a few hundred proposals (Faster R-CNN, section 3.3).

`StepsExplorer` follows the boxes of one image from step to step, `NmsExplorer` suppresses them one at a time and says
who suppressed whom, `RecallExplorer` measures over a data set what each step costs.

The first two compute in the browser, with the sliders under the hand; the third asks the kernel only for the score
filter, after which detections must be sorted out anew. Steps come in the paper's order, small boxes before the top-k;
the model's own order (top-k first) gives the same unless small boxes are among its best.
"""

from frcnn_edu.explorers.lesson_05_proposals.nms import NMS_STATES, NmsExplorer
from frcnn_edu.explorers.lesson_05_proposals.proposal_steps import STEPS, ProposalSteps, proposal_steps
from frcnn_edu.explorers.lesson_05_proposals.recall import FATE_STATES, FUNNEL, RecallExplorer
from frcnn_edu.explorers.lesson_05_proposals.steps import REACHED, STEP_STATES, TRUTH, StepsExplorer

__all__ = [
    "FATE_STATES",
    "FUNNEL",
    "NMS_STATES",
    "REACHED",
    "STEPS",
    "STEP_STATES",
    "TRUTH",
    "NmsExplorer",
    "ProposalSteps",
    "RecallExplorer",
    "StepsExplorer",
    "proposal_steps",
]
