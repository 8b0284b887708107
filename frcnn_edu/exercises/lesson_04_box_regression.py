"""Exercises of lesson 04: `encode_boxes` and `decode_boxes`, with what people write instead.

Both recipes are written for the slips, not for beauty; `frcnn_edu.boxes` is the code to learn from.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frcnn_edu.boxes import decode_boxes
from frcnn_edu.exercises.answers import as_numbers
from frcnn_edu.exercises.exercise import TOLERANCE, Exercise, Step, same_rows_in_another_order
from frcnn_edu.exercises.pictures import draw_beside
from frcnn_edu.exercises.running import Problem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
DELTA_TOLERANCE = 1e-4
FAR = 1e6
"""No box of the cases is this many pixels from 0, by any slip but an exp of pixels."""

DELTA_NAMES = ("dx", "dy", "dw", "dh")
CORNER_NAMES = ("x1", "y1", "x2", "y2")
ALL_PAIRS = (
    "It takes every row with every row; row by row is due: row i of the first argument goes with row i of the second."
)

ARGUMENTS = Step(
    "arguments",
    "ground truth, anchors",
    {
        "exchanged": "The way back is encoded: anchors and ground truth are exchanged. The deltas lead from the anchor "
        "to the ground truth, and the anchor's sides are the unit."
    },
)
LAYOUT = Step(
    "layout",
    "x1, y1, x2, y2",
    {
        "x, y, w, h": "The boxes are read as x, y, width, height; they are x1, y1, x2, y2, so the width is x2 - x1.",
        "cx, cy, w, h": "The boxes are read as centre, width, height; they are x1, y1, x2, y2, "
        "so the width is x2 - x1 and the centre x1 + w/2.",
    },
)
TOO_LONG = (
    "The sides are one pixel too long: coordinates are continuous here, so the width is x2 - x1, without the + 1."
)
WIDTH = Step("width", "x2 - x1", {"plus 1": TOO_LONG})
ANCHOR_WIDTH = Step("width", "x2 - x1", {"plus 1": TOO_LONG, "plus 1, but not for the centre": TOO_LONG})
CENTER = Step(
    "center",
    "(x1 + x2) / 2",
    {
        "corner": "The shift leads from corner to corner (x1, y1); from centre to centre is due.",
        "last corner": "The shift leads from corner to corner (x2, y2); from centre to centre is due.",
        "half the side": "The centre is taken for half the side, (x2 - x1) / 2; where the box begins is missing: "
        "x1 + (x2 - x1) / 2.",
        "not halved": "The centre is taken for x1 + x2: half of that is due.",
    },
)
UNIT = Step(
    "unit",
    "the anchor's side",
    {
        "pixels": "The shift is in pixels: divide it by the anchor's width and height, so that it means the same for "
        "small anchors and large.",
        "the ground truth's side": "The shift is divided by the sides of the ground truth; when a detection is made "
        "only the anchor's are known, so divide by those.",
        "the other side": "The shift in x is divided by the height and the one in y by the width: it is the other way "
        "round.",
        "the width": "Both shifts are divided by the width: the one in y is due in anchor heights.",
        "backwards": "The shift has the wrong sign: ground truth minus anchor is due.",
        "times the side": "The shift is multiplied by the anchor's sides; it is to be divided by them.",
    },
)
SIZE = Step(
    "size",
    "log(gw / aw)",
    {
        "ratio": "The log is missing: dw = log(gw / aw) and dh = log(gh / ah).",
        "log(aw / gw)": "The ratio in the log is upside down: log(gw / aw) is due, above 0 where the anchor must grow.",
        "no log, upside down": "The log is missing, and the ratio is upside down: dw = log(gw / aw).",
        "difference": "dw and dh are differences of sides in pixels; the log of their ratio is due: log(gw / aw).",
        "relative difference": "dw and dh are (gw - aw) / aw; the log of the ratio is due: log(gw / aw).",
        "log2": "The log has base 2: the natural one is due, as decoding uses exp. torch.log, not torch.log2.",
        "log10": "The log has base 10: the natural one is due, as decoding uses exp. torch.log, not torch.log10.",
        "log1p": "log1p(gw / aw) is log(1 + gw / aw): for equal sides it must be 0, so take torch.log.",
        "log gw": "dw and dh are logs of the ground truth's sides alone: divide them by the anchor's first.",
        "exp": "exp is taken where the log is due: encoding takes log(gw / aw), decoding undoes it with exp.",
        "width twice": "dh is made of the widths: dh = log(gh / ah).",
    },
)
DELTA_ORDER = Step(
    "order",
    "dx, dy, dw, dh",
    {
        "dx, dw, dy, dh": "The four numbers stand in the order dx, dw, dy, dh; dx, dy, dw, dh is due.",
        "dy, dx, dh, dw": "x and y are exchanged: dx, dy, dw, dh is due.",
        "dw, dh, dx, dy": "The sizes come first; dx, dy, dw, dh is due.",
    },
)
SPREAD = Step(
    "spread",
    "as they are",
    {
        "weights": "The deltas are multiplied by the weights 10, 10, 5, 5. The second stage does that; "
        "here they are due as they are.",
        "normalised": "The deltas are multiplied by the spread 0.1, 0.1, 0.2, 0.2; here they are due as they are.",
    },
)


def encode_recipe(
    gt_boxes: Tensor,
    anchors: Tensor,
    arguments: str,
    layout: str,
    width: str,
    center: str,
    unit: str,
    size: str,
    order: str,
    spread: str,
) -> Tensor:
    """The deltas with every step taken as named: -> (N, 4)."""
    if arguments == "exchanged":
        gt_boxes, anchors = anchors, gt_boxes
    g, gs = _center_and_size(gt_boxes, layout, width, center)  # (N, 2) each
    a, s = _center_and_size(anchors, layout, width, center)  # (N, 2) each
    shift = {
        UNIT.right: (g - a) / s,
        "pixels": g - a,
        "the ground truth's side": (g - a) / gs,
        "the other side": (g - a) / s.flip(1),
        "the width": (g - a) / s[:, :1],
        "backwards": (a - g) / s,
        "times the side": (g - a) * s,
    }[unit]
    scale = {
        SIZE.right: (gs / s).log(),
        "ratio": gs / s,
        "log(aw / gw)": (s / gs).log(),
        "no log, upside down": s / gs,
        "difference": gs - s,
        "relative difference": (gs - s) / s,
        "log2": (gs / s).log2(),
        "log10": (gs / s).log10(),
        "log1p": (gs / s).log1p(),
        "log gw": gs.log(),
        "exp": (gs / s).exp(),
        "width twice": (gs / s).log()[:, [0, 0]],
    }[size]
    deltas = torch.cat((shift, scale), dim=1)[:, _columns(order)]  # (N, 4)
    return deltas * {"weights": deltas.new_tensor(WEIGHTS), "normalised": 1 / deltas.new_tensor(WEIGHTS)}.get(spread, 1)


def _columns(order: str) -> list[int]:
    return [DELTA_NAMES.index(name) for name in order.split(", ")]


def _center_and_size(boxes: Tensor, layout: str, width: str, center: str) -> tuple[Tensor, Tensor]:
    """Centre and sides of boxes read as named: (N, 4) -> (N, 2) each."""
    first, last = boxes.double().split(2, dim=1)  # (N, 2) each
    if layout == "cx, cy, w, h":
        return first, last
    size = last if layout == "x, y, w, h" else last - first
    if width == "plus 1, but not for the centre":
        return (first + last) / 2, size + 1
    size = size + (width == "plus 1")
    centers = {
        CENTER.right: first + size / 2,
        "corner": first,
        "last corner": first + size,
        "half the side": size / 2,
        "not halved": 2 * first + size,
    }
    return centers[center], size


def explain_pairs(case: tuple, right: Tensor, answer: Tensor) -> str:
    """What the shape of deltas or boxes tells that the usual sentences do not."""
    number = len(right)
    if number > 1 and tuple(answer.shape) in ((number, number, 4), (number * number, 4)):
        return ALL_PAIRS
    if number == 1 and tuple(answer.shape) == (4,):
        return "With a single box it returns shape (4,) where (1, 4) is due. Is there a squeeze() that takes too much?"
    if answer.ndim == 2 and answer.shape[1] == 2 and len(answer) == number:
        return "It returns two numbers per box; four are due: two for the place, two for the size."
    return ""


def _name_columns(names: tuple[str, ...], tolerance: float) -> Callable[[Tensor, Tensor], str]:
    """What tells which of the four columns are wrong, where some are right."""

    def inspect(right: Tensor, answer: Tensor) -> str:
        if same_rows_in_another_order(right, answer):
            return "The rows are right, but in another order: row i of the result belongs to row i of the arguments."
        off = (right - answer).abs() > tolerance  # (N, 4)
        bad = off.any(dim=0).tolist()
        if all(bad):
            return ""
        row = int(off.any(dim=1).nonzero()[0])
        column = int(off[row].nonzero()[0])
        wrong = " and ".join(name for name, is_bad in zip(names, bad, strict=True) if is_bad)
        fine = ", ".join(name for name, is_bad in zip(names, bad, strict=True) if not is_bad)
        return (
            f"{fine} {'is' if sum(bad) == 3 else 'are'} right, but {wrong} {'is' if sum(bad) == 1 else 'are'} not: in "
            f"row {row} {names[column]} should be {right[row, column]:.4g}, but is {answer[row, column]:.4g}."
        )

    return inspect


def draw_where_deltas_lead(case: tuple, right: Tensor, answer: Tensor) -> "Figure":
    """The ground truth, which right deltas make of the anchors, beside what these deltas make of them."""
    anchors = case[1].double()
    led = decode_boxes(answer, anchors) if answer.shape == right.shape else None
    figure = draw_beside(decode_boxes(right, anchors), led)
    for axes, title in zip(figure.axes, ("expected: the ground truth", "yours: where your deltas lead"), strict=True):
        axes.set_title(title)
        for x1, y1, x2, y2 in anchors.tolist():
            axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color="gray", linestyle="--", linewidth=1)
        axes.set_xlabel("dashed: the anchors")
    return figure


GT_BOXES = torch.tensor(
    [
        [60.0, 40.0, 140.0, 100.0],
        [22.0, 37.0, 61.0, 93.0],
        [210.0, 20.0, 290.0, 260.0],
        [31.5, 70.0, 54.0, 81.0],
        [100.0, 100.0, 133.0, 190.0],
    ]
)
ANCHORS = torch.tensor(
    [
        [50.0, 50.0, 114.0, 98.0],
        [10.0, 20.0, 74.0, 84.0],
        [190.0, 60.0, 253.0, 187.0],
        [24.0, 52.0, 70.0, 75.0],
        [100.0, 110.0, 145.0, 200.0],
    ]
)

ENCODE = Exercise(
    name="encode_boxes",
    arguments=("gt_boxes", "anchors"),
    cases=((GT_BOXES[:3], ANCHORS[:3]), (GT_BOXES, ANCHORS), (GT_BOXES[3:4], ANCHORS[3:4])),
    recipe=encode_recipe,
    steps=(ARGUMENTS, LAYOUT, WIDTH, CENTER, UNIT, SIZE, DELTA_ORDER, SPREAD),
    inspect=_name_columns(DELTA_NAMES, DELTA_TOLERANCE),
    explain=explain_pairs,
    draw_case=draw_where_deltas_lead,
    case_names=("", "", "a single box"),
    tolerance=DELTA_TOLERANCE,
)

DELTAS = torch.tensor(
    [
        [0.25, -0.5, 0.4, -0.3],
        [-0.125, 0.3, -0.7, 0.9],
        [-0.6, 0.1, 1.1, 0.2],
        [0.05, 0.4, -1.3, -0.15],
        [0.0, 0.0, 0.35, 0.0],
    ]
)
PLACES = torch.tensor(
    [
        [40.0, 60.0, 104.0, 108.0],
        [110.0, 20.0, 142.0, 120.0],
        [-24.0, -9.0, 40.0, 55.0],
        [200.0, 150.0, 290.0, 195.0],
        [81.0, 133.0, 101.0, 143.0],
    ]
)

READING = Step(
    "arguments",
    "deltas, anchors",
    {"exchanged": "deltas and anchors are exchanged: the first argument holds the deltas."},
)
ANCHOR_LAYOUT = Step(
    "layout",
    "x1, y1, x2, y2",
    {
        "x, y, w, h": "The anchors are read as x, y, width, height; they are x1, y1, x2, y2, so the width is x2 - x1.",
        "cx, cy, w, h": "The anchors are read as centre, width, height; they are x1, y1, x2, y2, "
        "so the width is x2 - x1 and the centre x1 + w/2.",
    },
)
START = Step(
    "center",
    "(x1 + x2) / 2",
    {
        "corner": "The shift starts at the anchor's corner x1, y1; it starts at its centre.",
        "last corner": "The shift starts at the anchor's corner x2, y2; it starts at its centre.",
        "half the side": "The anchor's centre is taken for half its side, (x2 - x1) / 2; where it begins is missing: "
        "x1 + (x2 - x1) / 2.",
        "not halved": "The anchor's centre is taken for x1 + x2: half of that is due.",
    },
)
MOVE = Step(
    "move",
    "in anchor sides",
    {
        "pixels": "The shift is taken as pixels; it is in anchor widths and heights: cx = ax + aw·dx.",
        "the new side": "The shift is taken in sides of the new box; it is in sides of the anchor: cx = ax + aw·dx.",
        "the other side": "dx is multiplied by the height and dy by the width: it is the other way round.",
        "the width": "Both shifts are multiplied by the width: dy is in anchor heights.",
        "backwards": "The shift is subtracted where it should be added: cx = ax + aw·dx.",
        "no start": "The anchor's centre is not added: cx = ax + aw·dx.",
        "not moved": "The boxes are not moved: dx and dy are not used.",
        "divided": "The shift is divided by the anchor's sides; it is to be multiplied by them: cx = ax + aw·dx.",
    },
)
GROWTH = Step(
    "growth",
    "exp",
    {
        "times": "The exp is missing: w = aw·exp(dw) and h = ah·exp(dh).",
        "one plus": "The sides grow by aw·(1 + dw); dw is a log, so w = aw·exp(dw).",
        "plus": "dw and dh are added to the sides as if they were pixels: w = aw·exp(dw).",
        "exp alone": "The anchor's sides are missing: w = aw·exp(dw), and not exp(dw) alone.",
        "plus exp": "exp(dw) is added to the side; it is a factor: w = aw·exp(dw).",
        "base 2": "Powers of 2 are taken: dw is a natural log, so w = aw·exp(dw).",
        "base 10": "Powers of 10 are taken: dw is a natural log, so w = aw·exp(dw).",
        "shrinks": "The sides shrink where they should grow: exp(dw), not exp(-dw).",
        "expm1": "aw·(exp(dw) - 1) is only what the side grows by: w = aw·exp(dw).",
        "not grown": "The sizes stay the anchors': dw and dh are not used. Half of the new sides, w = aw·exp(dw), "
        "is due to each side of the centre.",
        "exchanged": "dw is used for the height and dh for the width: the order is dx, dy, dw, dh.",
    },
)
DECODED_CORNERS = Step(
    "corners",
    "half a side to each side",
    {
        "whole sides": "The boxes are twice as wide and twice as tall as they should be: take half a side to each "
        "side of the centre.",
        "from the centre": "The centre is taken for the corner x1, y1: the box reaches from cx - w/2 to cx + w/2.",
        "cx, cy, w, h": "It returns cx, cy, w, h; corners are due: cx - w/2, cy - h/2, cx + w/2, cy + h/2.",
        "x, y, w, h": "It returns x1, y1, w, h; the last two are due as x1 + w and y1 + h.",
        "x1, x2, y1, y2": "The four numbers stand in the order x1, x2, y1, y2; x1, y1, x2, y2 is due.",
        "last - 1": "The last corner is one pixel short: coordinates are continuous here, so x2 = cx + w/2, "
        "without the - 1.",
        "exchanged": "The corners are exchanged: x1, y1 comes first and is the smaller one.",
    },
)
BORDER = Step(
    "border",
    "left alone",
    {
        "clipped": "Negative coordinates are cut to 0. Clipping is a step of its own, later; here boxes may reach "
        "over the border."
    },
)
DELTA_READING = Step(
    "order",
    "dx, dy, dw, dh",
    {
        "dx, dw, dy, dh": "The deltas are read as dx, dw, dy, dh; they are dx, dy, dw, dh.",
        "dy, dx, dh, dw": "x and y are exchanged: the deltas are dx, dy, dw, dh.",
        "dw, dh, dx, dy": "The deltas are read as dw, dh, dx, dy; they are dx, dy, dw, dh.",
    },
)
DELTA_SPREAD = Step(
    "spread",
    "as they are",
    {
        "weights": "The deltas are divided by the weights 10, 10, 5, 5. The second stage does that; "
        "here they are to be taken as they are."
    },
)
PIXELS = Step(
    "rounding",
    "none",
    {
        "round": "The numbers are rounded to whole pixels: leave them as they are.",
        "cut": "The numbers have lost what lies behind the point: is there an int() or a //?",
    },
)


def decode_recipe(
    deltas: Tensor,
    anchors: Tensor,
    arguments: str,
    layout: str,
    center: str,
    width: str,
    move: str,
    growth: str,
    corners: str,
    border: str,
    order: str,
    spread: str,
    rounding: str,
) -> Tensor:
    """The boxes with every step taken as named: -> (N, 4)."""
    if arguments == "exchanged":
        deltas, anchors = anchors, deltas
    start, side = _center_and_size(anchors, layout, width, center)  # (N, 2) each
    by = torch.empty_like(deltas, dtype=torch.float64)
    by[:, _columns(order)] = deltas.double() / (deltas.new_tensor(WEIGHTS) if spread == "weights" else 1)
    shift, log = by.split(2, dim=1)  # (N, 2) each
    grown = _grown(side, log, growth)  # (N, 2)
    middle = {
        MOVE.right: start + side * shift,
        "pixels": start + shift,
        "the new side": start + grown * shift,
        "the other side": start + side.flip(1) * shift,
        "the width": start + side[:, :1] * shift,
        "backwards": start - side * shift,
        "no start": side * shift,
        "not moved": start,
        "divided": start + shift / side,
    }[move]
    boxes = _decoded_corners(middle, grown, corners)  # (N, 4)
    boxes = boxes.clamp(min=0) if border == "clipped" else boxes
    return {"none": lambda x: x, "round": torch.round, "cut": torch.trunc}[rounding](boxes)


def _grown(side: Tensor, log: Tensor, way: str) -> Tensor:
    return {
        GROWTH.right: lambda: side * log.exp(),
        "times": lambda: side * log,
        "one plus": lambda: side * (1 + log),
        "plus": lambda: side + log,
        "exp alone": lambda: log.exp(),
        "plus exp": lambda: side + log.exp(),
        "base 2": lambda: side * log.exp2(),
        "base 10": lambda: side * 10**log,
        "shrinks": lambda: side * (-log).exp(),
        "expm1": lambda: side * log.expm1(),
        "not grown": lambda: side,
        "exchanged": lambda: side * log.flip(1).exp(),
    }[way]()


def _decoded_corners(c: Tensor, s: Tensor, way: str) -> Tensor:
    first, last = c - s / 2, c + s / 2  # (N, 2) each
    columns = {
        DECODED_CORNERS.right: (first, last),
        "whole sides": (c - s, c + s),
        "from the centre": (c, c + s),
        "cx, cy, w, h": (c, s),
        "x, y, w, h": (first, s),
        "x1, x2, y1, y2": (first, last),
        "last - 1": (first, last - 1),
        "exchanged": (last, first),
    }[way]
    boxes = torch.cat(columns, dim=1)  # (N, 4)
    return boxes[:, [0, 2, 1, 3]] if way == "x1, x2, y1, y2" else boxes


BOUNDLESS = (
    "exp belongs to dw and dh, small numbers, and to nothing else, and no log is due: "
    "`deltas` come first, then `anchors`. Are they exchanged?"
)


def read_decoded(answer: object) -> Tensor:
    """Decoded boxes as numbers; raises Problem, with what is likely, where they grow beyond all bounds."""
    try:
        boxes = as_numbers(answer)
    except Problem as problem:
        if "NaN" not in str(problem):
            raise
        raise Problem(f"It returns NaN or infinity somewhere. {BOUNDLESS}") from None
    if boxes.numel() and boxes.abs().max() > FAR:
        raise Problem(f"Its boxes reach out for {boxes.abs().max():.1g} pixels. {BOUNDLESS}")
    return boxes


DECODE = Exercise(
    name="decode_boxes",
    arguments=("deltas", "anchors"),
    cases=((DELTAS[:3], PLACES[:3]), (DELTAS, PLACES), (DELTAS[3:4], PLACES[3:4])),
    recipe=decode_recipe,
    steps=(
        READING,
        ANCHOR_LAYOUT,
        START,
        ANCHOR_WIDTH,
        MOVE,
        GROWTH,
        DECODED_CORNERS,
        BORDER,
        DELTA_READING,
        DELTA_SPREAD,
        PIXELS,
    ),
    inspect=_name_columns(CORNER_NAMES, TOLERANCE),
    draw=draw_beside,
    explain=explain_pairs,
    case_names=("", "", "a single box"),
    read=read_decoded,
)

EXERCISES = (ENCODE, DECODE)
