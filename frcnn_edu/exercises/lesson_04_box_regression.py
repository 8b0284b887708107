"""Exercises of lesson 04: `encode_boxes` and `decode_boxes`. The code to learn from is `frcnn_edu.boxes`."""

import torch
from torch import Tensor

from frcnn_edu.boxes import LOG_SCALE_LIMIT
from frcnn_edu.exercises import answer_plots
from frcnn_edu.exercises.answers import as_numbers
from frcnn_edu.exercises.exercise import Case, Exercise, Hints, Step, rows, same_rows_in_another_order
from frcnn_edu.exercises.running import Problem

WEIGHTS = torch.tensor([10.0, 10.0, 5.0, 5.0])
FAR = 1e6
"""Coordinates are smaller than this in pixels, with any slip but an exp of pixels."""

GT_BOXES = rows("60 40 140 100, 22 37 61 93, 210 20 290 260, 31.5 70 54 81, 100 100 133 190")
ANCHORS = rows("50 50 114 98, 10 20 74 84, 190 60 253 187, 24 52 70 75, 100 110 145 200")
DELTAS = rows("0.25 -0.5 0.4 -0.3, -0.125 0.3 -0.7 0.9, -0.6 0.1 1.1 0.2, 0.05 0.4 -1.3 -0.15, 0 0 0.35 0")
PLACES = rows("40 60 104 108, 110 20 142 120, -24 -9 40 55, 200 150 290 195, 81 133 101 143")


class _RowByRow(Exercise):
    """What encoding and decoding have in common: boxes as centre and sides, and answers row by row."""

    column_names: tuple[str, str, str, str]
    wanted_shape = "Return one row of 4 numbers per box."

    layout = Step(lambda xy, last: (xy, last - xy)) | {
        "Boxes are read as x, y, width, height, but they are x1, y1, x2, y2: w = x2 - x1.": lambda xy, wh: (xy, wh),
        "Boxes are read as centre, width, height, but they are x1, y1, x2, y2: "
        "w = x2 - x1, and the centre is x1 + w/2.": lambda c, wh: (c - wh / 2, wh),
    }
    width = Step(lambda xy, wh: (xy, wh)) | {
        "The sides are one pixel too long: a width is x2 - x1, without the + 1.": lambda xy, wh: (xy, wh + 1),
    }
    center = Step(lambda xy, wh: xy + wh / 2) | {
        "The corner x1, y1 is taken for the centre: shifts lead from centre to centre.": lambda xy, wh: xy,
        "The corner x2, y2 is taken for the centre: shifts lead from centre to centre.": lambda xy, wh: xy + wh,
        "The centre is taken for half the side: add x1, where the box begins.": lambda xy, wh: wh / 2,
        "The centre is taken for x1 + x2: take half of that.": lambda xy, wh: 2 * xy + wh,
    }

    def center_and_size(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 4) -> (N, 2) each."""
        corner, size = self.width(*self.layout(*boxes.double().split(2, dim=1)))
        return self.center(corner, size), size

    def shape_hints(self, first: Tensor, second: Tensor) -> Hints:
        n = len(first)
        every_pair = "It takes every row with every row: row i of the first argument goes with row i of the second."
        squeezed = "That is a single box without its axis. Is there a squeeze() that removes too much?"
        two = "Those are two numbers per box: return four, two for the place and two for the size."
        return [((n, n, 4), every_pair), ((n * n, 4), every_pair), ((4,) if n == 1 else (), squeezed), ((n, 2), two)]

    def explain_values(self, case: tuple, right: Tensor, answer: Tensor) -> str:
        if same_rows_in_another_order(right, answer):
            return "The rows are right, but in another order: row i of the result belongs to row i of the arguments."
        off = (right - answer).abs() > self.tolerance  # (N, 4)
        bad = off.any(dim=0).tolist()
        if all(bad):
            return super().explain_values(case, right, answer)
        i, j = off.nonzero()[0].tolist()
        names = self.column_names
        fine, wrong = (
            ", ".join(name for name, b in zip(names, bad, strict=True) if b is is_bad) for is_bad in (False, True)
        )
        return (
            f"Right columns: {fine}; wrong: {wrong}. In row {i} {names[j]} should be {right[i, j]:.4g}, "
            f"but is {answer[i, j]:.4g}."
        )


class EncodeBoxes(_RowByRow):
    """`encode_boxes(gt_boxes, anchors)`: the deltas that lead from each anchor to its ground truth, (N, 4)."""

    name = "encode_boxes"
    arguments = ("gt_boxes", "anchors")
    cases = ((GT_BOXES[:3], ANCHORS[:3]), (GT_BOXES, ANCHORS), Case("a single box", GT_BOXES[3:4], ANCHORS[3:4]))
    tolerance = 1e-4
    column_names = ("dx", "dy", "dw", "dh")
    draw = staticmethod(answer_plots.decoded_beside)

    given = Step(lambda gt_boxes, anchors: (gt_boxes, anchors)) | {
        "Anchors and ground truth are exchanged: deltas lead from the anchor to the ground truth, "
        "in units of the anchor's sides.": lambda gt_boxes, anchors: (anchors, gt_boxes),
    }
    # Of the centres of ground truth and anchor, and their sides.
    shift = Step(lambda g, a, gs, s: (g - a) / s) | {
        "The shift is in pixels: divide it by the anchor's width and height, "
        "so that it means the same for small anchors and large.": lambda g, a, gs, s: g - a,
        "The shift is divided by the sides of the ground truth, which a detector does not know: "
        "divide by the anchor's.": lambda g, a, gs, s: (g - a) / gs,
        "dx is divided by the height and dy by the width: exchange them.": lambda g, a, gs, s: (g - a) / s.flip(1),
        "dx and dy are both divided by the width: divide dy by the height.": lambda g, a, gs, s: (g - a) / s[:, :1],
        "The shift has the wrong sign: it is ground truth minus anchor.": lambda g, a, gs, s: (a - g) / s,
        "The shift is multiplied by the anchor's sides: divide by them.": lambda g, a, gs, s: (g - a) * s,
    }
    # Of the ratio gs / s and both sides.
    scale = Step(lambda ratio, gs, s: ratio.log()) | {
        "The log is missing: dw = log(gw / aw) and dh = log(gh / ah).": lambda ratio, gs, s: ratio,
        "The ratio in the log is upside down: log(gw / aw).": lambda ratio, gs, s: (1 / ratio).log(),
        "The log is missing, and the ratio is upside down: dw = log(gw / aw).": lambda ratio, gs, s: 1 / ratio,
        "dw and dh are differences of sides in pixels: take log(gw / aw).": lambda ratio, gs, s: gs - s,
        "dw and dh are (gw - aw) / aw: take the log of the ratio, log(gw / aw).": lambda ratio, gs, s: ratio - 1,
        "The log has base 2, but decoding uses exp: torch.log, not torch.log2.": lambda ratio, gs, s: ratio.log2(),
        "The log has base 10, but decoding uses exp: torch.log, not torch.log10.": lambda ratio, gs, s: ratio.log10(),
        "log1p(gw / aw) is log(1 + gw / aw), not 0 for equal sides: torch.log.": lambda ratio, gs, s: ratio.log1p(),
        "dw and dh are logs of the ground truth's sides alone: take log(gw / aw).": lambda ratio, gs, s: gs.log(),
        "It takes exp instead of log: decoding will undo the log with exp.": lambda ratio, gs, s: ratio.exp(),
        "dh is made of the widths: dh = log(gh / ah).": lambda ratio, gs, s: ratio.log()[:, [0, 0]],
    }
    order = Step([0, 1, 2, 3]) | {
        "The columns are dx, dw, dy, dh, but should be dx, dy, dw, dh.": [0, 2, 1, 3],
        "x and y are exchanged: the columns should be dx, dy, dw, dh.": [1, 0, 3, 2],
        "The sizes come first, but the columns should be dx, dy, dw, dh.": [2, 3, 0, 1],
    }
    spread = Step(1) | {
        "The deltas are multiplied by the weights 10, 10, 5, 5, as in the second stage: leave them out.": WEIGHTS,
        "The deltas are multiplied by the spread 0.1, 0.1, 0.2, 0.2: leave it out.": 1 / WEIGHTS,
    }

    def reference(self, gt_boxes: Tensor, anchors: Tensor) -> Tensor:
        gt_boxes, anchors = self.given(gt_boxes, anchors)
        (g, gs), (a, s) = self.center_and_size(gt_boxes), self.center_and_size(anchors)  # (N, 2) each
        deltas = torch.cat((self.shift(g, a, gs, s), self.scale(gs / s, gs, s)), dim=1)  # (N, 4)
        return deltas[:, self.order] * self.spread


class DecodeBoxes(_RowByRow):
    """`decode_boxes(deltas, anchors)`: the boxes that the deltas make of the anchors, (N, 4)."""

    name = "decode_boxes"
    arguments = ("deltas", "anchors")
    cases = (
        (DELTAS[:3], PLACES[:3]),
        (DELTAS, PLACES),
        Case("a single box", DELTAS[3:4], PLACES[3:4]),
        Case("a dw and a dh far from 0", rows("0.1 0.2 4.6 -4.6, -0.3 0 -4.4 4.5"), rows("40 60 56 92, 8 10 40 26")),
    )
    column_names = ("x1", "y1", "x2", "y2")
    draw = staticmethod(answer_plots.boxes_beside)

    given = Step(lambda deltas, anchors: (deltas, anchors)) | {
        "deltas and anchors are exchanged: the deltas come first.": lambda deltas, anchors: (anchors, deltas),
    }
    width = _RowByRow.width | {
        "The sides are one pixel too long, though not in the centre: a width is x2 - x1, "
        "without the + 1.": lambda xy, wh: (xy - 0.5, wh + 1),
    }
    # Of the anchor's centre and sides, (dx, dy), and the new sides.
    move = Step(lambda a, s, d, new: a + s * d) | {
        "The shift is taken as pixels, but is in anchor sides: cx = ax + aw·dx.": lambda a, s, d, new: a + d,
        "The shift is taken in sides of the new box: cx = ax + aw·dx.": lambda a, s, d, new: a + new * d,
        "dx is multiplied by the height, dy by the width: exchange them.": lambda a, s, d, new: a + s.flip(1) * d,
        "dx and dy are both multiplied by the width: dy is in heights.": lambda a, s, d, new: a + s[:, :1] * d,
        "The shift is subtracted, but should be added: cx = ax + aw·dx.": lambda a, s, d, new: a - s * d,
        "The anchor's centre is not added: cx = ax + aw·dx.": lambda a, s, d, new: s * d,
        "The boxes are not moved: dx and dy are not used.": lambda a, s, d, new: a,
        "The shift is divided by the anchor's sides: multiply it, cx = ax + aw·dx.": lambda a, s, d, new: a + d / s,
    }
    grow = Step(lambda s, log: s * log.exp()) | {
        "The exp is missing: w = aw·exp(dw) and h = ah·exp(dh).": lambda s, log: s * log,
        "The sides grow by aw·(1 + dw), but dw is a log: w = aw·exp(dw).": lambda s, log: s * (1 + log),
        "dw and dh are added to the sides as if they were pixels: w = aw·exp(dw).": lambda s, log: s + log,
        "The anchor's sides are missing: w = aw·exp(dw), not exp(dw) alone.": lambda s, log: log.exp(),
        "exp(dw) is added to the side, but it is a factor: w = aw·exp(dw).": lambda s, log: s + log.exp(),
        "It takes powers of 2, but dw is a natural log: w = aw·exp(dw).": lambda s, log: s * log.exp2(),
        "It takes powers of 10, but dw is a natural log: w = aw·exp(dw).": lambda s, log: s * 10**log,
        "The sides shrink instead of growing: exp(dw), not exp(-dw).": lambda s, log: s * (-log).exp(),
        "aw·(exp(dw) - 1) is only what the side grows by: w = aw·exp(dw).": lambda s, log: s * log.expm1(),
        "The sizes stay those of the anchors: dw and dh are not used.": lambda s, log: s,
        "dw is used for the height and dh for the width: exchange them.": lambda s, log: s * log.flip(1).exp(),
    }
    clamped = Step(lambda log: log.clamp(max=LOG_SCALE_LIMIT)) | {
        "dw and dh are not clamped: at most log(1000 / 16), before exp.": lambda log: log,
        "dw and dh are clamped below, too: there is only an upper limit.": lambda log: log.clamp(
            -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT
        ),
        "dw and dh are clamped at 0 below: a box may shrink.": lambda log: log.clamp(0, LOG_SCALE_LIMIT),
        "Only dw is clamped: dh has the same limit.": lambda log: torch.cat(
            (log[:, :1].clamp(max=LOG_SCALE_LIMIT), log[:, 1:]), dim=1
        ),
    }
    corners = Step(lambda c, s: (c - s / 2, c + s / 2)) | {
        "The boxes are twice as wide and tall as they should be: go half a side each way.": lambda c, s: (c - s, c + s),
        "The centre is taken for the corner x1, y1: a box reaches from cx - w/2 to cx + w/2.": lambda c, s: (c, c + s),
        "It returns cx, cy, w, h, but should return corners: cx - w/2 and so on.": lambda c, s: (c, s),
        "It returns x1, y1, w, h: the last two should be x1 + w and y1 + h.": lambda c, s: (c - s / 2, s),
        "The last corner is one pixel short: coordinates are continuous, "
        "so x2 = cx + w/2, without the - 1.": lambda c, s: (c - s / 2, c + s / 2 - 1),
        "The corners are exchanged: x1, y1 comes first and is the smaller one.": lambda c, s: (c + s / 2, c - s / 2),
    }
    columns = Step([0, 1, 2, 3]) | {"The columns are x1, x2, y1, y2, but should be x1, y1, x2, y2.": [0, 2, 1, 3]}
    border = Step(lambda boxes: boxes) | {
        "Negative coordinates are cut to 0: clipping is a later step, so leave them.": lambda boxes: boxes.clamp(min=0),
    }
    rounding = Step(lambda boxes: boxes) | {
        "The numbers are rounded to whole pixels: leave them as they are.": torch.round,
        "The numbers have lost their fractions: is there an int() or a //?": torch.trunc,
    }
    order = Step([0, 1, 2, 3]) | {
        "The deltas are read as dx, dw, dy, dh, but they are dx, dy, dw, dh.": [0, 2, 1, 3],
        "x and y are exchanged: the deltas are dx, dy, dw, dh.": [1, 0, 3, 2],
        "The deltas are read as dw, dh, dx, dy, but they are dx, dy, dw, dh.": [2, 3, 0, 1],
    }
    spread = Step(1) | {
        "The deltas are divided by the weights 10, 10, 5, 5, as in the second stage: leave them out.": WEIGHTS,
    }

    def reference(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        deltas, anchors = self.given(deltas, anchors)
        center, size = self.center_and_size(anchors)  # (N, 2) each
        shift, log = (deltas.double() / self.spread)[:, self.order].split(2, dim=1)  # (N, 2) each
        grown = self.grow(size, self.clamped(log))  # (N, 2)
        boxes = torch.cat(self.corners(self.move(center, size, shift, grown), grown), dim=1)  # (N, 4)
        return self.rounding(self.border(boxes[:, self.columns]))

    def read(self, answer: object, case: tuple) -> Tensor:
        exchanged = "exp is for dw and dh, which are small, and there is no log. Are `deltas` and `anchors` exchanged?"
        try:
            boxes = as_numbers(answer)
        except Problem as problem:
            if "NaN" not in str(problem):
                raise
            raise Problem(f"It returns NaN or infinity somewhere. {exchanged}") from None
        if boxes.numel() and boxes.abs().max() > FAR:
            raise Problem(f"Its boxes reach {boxes.abs().max():.1g} pixels far. {exchanged}")
        return boxes
