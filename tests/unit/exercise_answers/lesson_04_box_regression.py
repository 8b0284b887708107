"""Answers to `encode_boxes` and `decode_boxes`, as learners would write them."""

import math

import numpy as np
import torch
from torchvision.models.detection._utils import BoxCoder

from frcnn_edu import boxes

LIMIT = math.log(1000 / 16)

# encode_boxes: right answers


def encode_by_columns(gt_boxes, anchors):
    gx1, gy1, gx2, gy2 = gt_boxes.unbind(dim=1)
    ax1, ay1, ax2, ay2 = anchors.unbind(dim=1)
    aw, ah, gw, gh = ax2 - ax1, ay2 - ay1, gx2 - gx1, gy2 - gy1
    dx = ((gx1 + gx2) / 2 - (ax1 + ax2) / 2) / aw
    dy = ((gy1 + gy2) / 2 - (ay1 + ay2) / 2) / ah
    return torch.stack([dx, dy, torch.log(gw / aw), torch.log(gh / ah)], dim=1)


def encode_by_loops(gt_boxes, anchors):
    deltas = []
    for g, a in zip(gt_boxes.tolist(), anchors.tolist(), strict=True):
        aw, ah = a[2] - a[0], a[3] - a[1]
        gw, gh = g[2] - g[0], g[3] - g[1]
        dx = (g[0] + gw / 2 - a[0] - aw / 2) / aw
        dy = (g[1] + gh / 2 - a[1] - ah / 2) / ah
        deltas.append([dx, dy, math.log(gw / aw), math.log(gh / ah)])
    return deltas


def encode_in_numpy(gt_boxes, anchors):
    g, a = np.asarray(gt_boxes), np.asarray(anchors)
    size_g, size_a = g[:, 2:] - g[:, :2], a[:, 2:] - a[:, :2]
    shift = (g[:, :2] + size_g / 2 - a[:, :2] - size_a / 2) / size_a
    return np.hstack([shift, np.log(size_g) - np.log(size_a)])


def encode_into_zeros(gt_boxes, anchors):
    deltas = torch.zeros(len(anchors), 4, dtype=torch.float64)
    for i in range(len(anchors)):
        low, high = anchors[i, :2], anchors[i, 2:]
        deltas[i, :2] = (gt_boxes[i].reshape(2, 2).mean(dim=0) - (low + high) / 2) / (high - low)
        deltas[i, 2:] = ((gt_boxes[i, 2:] - gt_boxes[i, :2]) / (high - low)).log()
    return deltas


def encode_with_torchvision(gt_boxes, anchors):
    return BoxCoder((1.0, 1.0, 1.0, 1.0)).encode_single(gt_boxes, anchors)


# encode_boxes: wrong answers, each with words that the diagnosis must contain


def sides(box):
    return box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]


def middle(box):
    return (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2


def encode(
    center=middle,
    size=sides,
    shift=lambda g, a, gs, s: (g - a) / s,
    scale=lambda gs, s: torch.log(gs / s),
    order=(0, 1, 2, 3),
):
    """A learner's function with this centre, these sides, these formulas and this order of columns."""

    def written(gt_boxes, anchors):
        (gx, gy), (ax, ay) = center(gt_boxes), center(anchors)
        (gw, gh), (aw, ah) = size(gt_boxes), size(anchors)
        columns = [shift(gx, ax, gw, aw), shift(gy, ay, gh, ah), scale(gw, aw), scale(gh, ah)]
        return torch.stack([columns[i] for i in order], dim=1)

    return written


def encode_with_sides_exchanged(gt_boxes, anchors):
    deltas = encode_by_columns(gt_boxes, anchors)
    aw, ah = sides(anchors)
    deltas[:, 0] *= aw / ah
    deltas[:, 1] *= ah / aw
    return deltas


def encode_every_pair(gt_boxes, anchors):
    return torch.stack([encode_by_columns(gt_boxes, a.expand_as(gt_boxes)) for a in anchors])


def encode_every_pair_in_one_list(gt_boxes, anchors):
    return encode_every_pair(gt_boxes, anchors).reshape(-1, 4)


def encode_in_place(gt_boxes, anchors):
    deltas = encode_by_columns(gt_boxes, anchors)
    gt_boxes[:, 2:] -= gt_boxes[:, :2]
    return deltas


def encode_first_only(gt_boxes, anchors):
    for g, a in zip(gt_boxes, anchors, strict=True):
        return encode_by_columns(g[None], a[None])[0]
    return None


def encode_three_boxes(gt_boxes, anchors):
    deltas = torch.zeros(3, 4)
    for i in range(3):
        deltas[i] = encode_by_columns(gt_boxes[i : i + 1], anchors[i : i + 1])[0]
    return deltas


def encode_last_row_forgotten(gt_boxes, anchors):
    deltas = torch.zeros(len(anchors), 4)
    deltas[:-1] = encode_by_columns(gt_boxes, anchors)[:-1]
    return deltas


def encode_width_for_height(gt_boxes, anchors):
    deltas = encode_by_columns(gt_boxes, anchors).clone()
    deltas[:, 3] = deltas[:, 2]
    return deltas


def encode_hanging(gt_boxes, anchors):
    i, deltas = 0, []
    while i < len(gt_boxes):
        deltas.append(encode_by_columns(gt_boxes[i : i + 1], anchors[i : i + 1]))
    return torch.cat(deltas)


WRONG_ENCODE = {
    "log forgotten": (encode(scale=lambda g, a: g / a), "The log is missing"),
    "log upside down": (encode(scale=lambda g, a: torch.log(a / g)), "upside down"),
    "log forgotten, upside down": (encode(scale=lambda g, a: a / g), "and the ratio is upside down"),
    "difference of sides": (encode(scale=lambda g, a: g - a), "differences of sides in pixels"),
    "relative difference": (encode(scale=lambda g, a: (g - a) / a), "(gw - aw) / aw"),
    "log2": (encode(scale=lambda g, a: torch.log2(g / a)), "base 2"),
    "log10": (encode(scale=lambda g, a: torch.log10(g / a)), "base 10"),
    "log1p": (encode(scale=lambda g, a: torch.log1p(g / a)), "log1p"),
    "log of the ground truth": (encode(scale=lambda g, a: torch.log(g)), "logs of the ground truth's sides alone"),
    "exp": (encode(scale=lambda g, a: torch.exp(g / a)), "exp instead of log"),
    "log of the difference": (encode(scale=lambda g, a: torch.log(g - a)), "log of a negative"),
    "pixels": (encode(shift=lambda g, a, gs, s: g - a), "The shift is in pixels"),
    "by the ground truth": (encode(shift=lambda g, a, gs, s: (g - a) / gs), "divided by the sides of the ground truth"),
    "sides exchanged": (encode_with_sides_exchanged, "divided by the height and dy by the width"),
    "backwards": (encode(shift=lambda g, a, gs, s: (a - g) / s), "wrong sign"),
    "multiplied": (encode(shift=lambda g, a, gs, s: (g - a) * s), "multiplied by the anchor's sides"),
    "corners": (encode(center=lambda b: (b[:, 0], b[:, 1])), "corner x1, y1 is taken for the centre"),
    "last corners": (encode(center=lambda b: (b[:, 2], b[:, 3])), "corner x2, y2 is taken for the centre"),
    "half the side": (encode(center=lambda b: [s / 2 for s in sides(b)]), "taken for half the side"),
    "centre not halved": (encode(center=lambda b: (b[:, 0] + b[:, 2], b[:, 1] + b[:, 3])), "take half of that"),
    "plus 1": (encode(size=lambda b: [s + 1 for s in sides(b)]), "without the + 1"),
    "plus 1 in the centre too": (
        encode(
            size=lambda b: [s + 1 for s in sides(b)],
            center=lambda b: [c + (s + 1) / 2 for c, s in zip((b[:, 0], b[:, 1]), sides(b), strict=True)],
        ),
        "without the + 1",
    ),
    "read as x, y, w, h": (
        encode(size=lambda b: (b[:, 2], b[:, 3]), center=lambda b: (b[:, 0] + b[:, 2] / 2, b[:, 1] + b[:, 3] / 2)),
        "read as x, y, width, height",
    ),
    "read as centres": (
        encode(size=lambda b: (b[:, 2], b[:, 3]), center=lambda b: (b[:, 0], b[:, 1])),
        "read as centre, width, height",
    ),
    "arguments exchanged": (lambda gt_boxes, anchors: encode_by_columns(anchors, gt_boxes), "are exchanged"),
    "dx, dw, dy, dh": (encode(order=(0, 2, 1, 3)), "The columns are dx, dw, dy, dh"),
    "y first": (encode(order=(1, 0, 3, 2)), "x and y are exchanged"),
    "sizes first": (encode(order=(2, 3, 0, 1)), "sizes come first"),
    "weights": (
        lambda gt_boxes, anchors: boxes.encode_boxes(gt_boxes, anchors, (10, 10, 5, 5)),
        "weights 10, 10, 5, 5",
    ),
    "two slips": (
        encode(shift=lambda g, a, gs, s: g - a, scale=lambda g, a: g / a),
        "pixels",
    ),
    "width for height": (encode_width_for_height, "dh is made of the widths"),
    "one column off": (
        lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchors) * torch.tensor([1, 1, 1, 1.5]),
        "Right columns: dx, dy, dw; wrong: dh",
    ),
    "rows in reverse": (lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchors).flip(0), "in another order"),
    "the ground truth": (lambda gt_boxes, anchors: gt_boxes, "Row 0 should be"),
    "ones": (lambda gt_boxes, anchors: torch.ones(len(anchors), 4), "It returns 1 everywhere"),
    "every pair": (encode_every_pair, "every row with every row"),
    "every pair in one list": (encode_every_pair_in_one_list, "every row with every row"),
    "transposed": (lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchors).T, "exchanged"),
    "centres only": (lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchors)[:, :2], "two numbers per box"),
    "one row": (encode_first_only, "single row"),
    "always three rows": (encode_three_boxes, "3 rows instead of 5"),
    "last row forgotten": (encode_last_row_forgotten, "Row 2 should be"),
    "squeezed": (lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchors).squeeze(), "squeeze()"),
    "integers": (lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchors).int(), "whole numbers"),
    "half precision": (
        lambda gt_boxes, anchors: encode_by_columns(gt_boxes.bfloat16(), anchors.bfloat16()),
        "bfloat16",
    ),
    "another device": (lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchors).to("meta"), "on meta"),
    "in place": (encode_in_place, "`gt_boxes` in place"),
    "a tuple of columns": (
        lambda gt_boxes, anchors: tuple(encode_by_columns(gt_boxes, anchors).unbind(1)),
        "Rows and columns are exchanged",
    ),
    "nothing": (lambda gt_boxes, anchors: None, "returns None"),
    "misspelt": (lambda gt_boxes, anchors: encode_by_columns(gt_boxes, anchor), "NameError"),  # noqa: F821
    "math.log of a tensor": (encode(scale=lambda g, a: math.log(g / a)), "only one element"),
    "hanging": (encode_hanging, "still running"),
}

# decode_boxes: right answers


def decode_by_columns(deltas, anchors):
    aw, ah = sides(anchors)
    ax, ay = middle(anchors)
    dx, dy, dw, dh = deltas.T
    cx, cy = ax + aw * dx, ay + ah * dy
    w, h = aw * dw.clamp(max=LIMIT).exp(), ah * dh.clamp(max=LIMIT).exp()
    return torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dim=-1)


def decode_by_loops(deltas, anchors):
    found = []
    for (dx, dy, dw, dh), (x1, y1, x2, y2) in zip(deltas.tolist(), anchors.tolist(), strict=True):
        w, h = (x2 - x1) * math.exp(min(dw, LIMIT)), (y2 - y1) * math.exp(min(dh, LIMIT))
        x = (x1 + x2) / 2 + dx * (x2 - x1) - w / 2
        y = (y1 + y2) / 2 + dy * (y2 - y1) - h / 2
        found.append((x, y, x + w, y + h))
    return found


def decode_in_numpy(deltas, anchors):
    d, a = deltas.numpy().astype(np.float64), anchors.numpy().astype(np.float64)
    side = a[:, 2:] - a[:, :2]
    center = a[:, :2] + (0.5 + d[:, :2]) * side
    half = np.exp(np.minimum(d[:, 2:], LIMIT)) * side / 2
    return np.concatenate([center - half, center + half], axis=1)


def decode_row_by_row(deltas, anchors):
    found = torch.empty_like(anchors)
    for i, (d, a) in enumerate(zip(deltas, anchors, strict=True)):
        size = (a[2:] - a[:2]) * torch.exp(torch.clamp(d[2:], max=LIMIT))
        found[i, :2] = (a[:2] + a[2:]) / 2 + d[:2] * (a[2:] - a[:2]) - size / 2
        found[i, 2:] = found[i, :2] + size
    return found


def decode_with_torchvision(deltas, anchors):
    return BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(deltas, anchors)


# decode_boxes: wrong answers


def decode(
    center=middle,
    size=sides,
    move=lambda a, s, d, new: a + s * d,
    grow=lambda s, d: s * torch.exp(d),
    row=lambda cx, cy, w, h: (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2),
    read=(0, 1, 2, 3),
    clamp=lambda d: d.clamp(max=LIMIT),
):
    """A learner's function with this centre, these sides, these formulas and these rows."""

    def written(deltas, anchors):
        dx, dy, dw, dh = (deltas[:, i] for i in read)
        (ax, ay), (aw, ah) = center(anchors), size(anchors)
        w, h = grow(aw, clamp(dw)), grow(ah, clamp(dh))
        return torch.stack(row(move(ax, aw, dx, w), move(ay, ah, dy, h), w, h), dim=1)

    return written


def decode_every_pair(deltas, anchors):
    return torch.cat([decode_by_columns(d.expand_as(deltas), anchors) for d in deltas])


def decode_in_place(deltas, anchors):
    aw, ah = sides(anchors)
    deltas[:, 0] *= aw
    deltas[:, 1] *= ah
    return anchors + deltas


def decode_deltas_added(deltas, anchors):
    return anchors + deltas


WRONG_DECODE = {
    "clamp forgotten": (decode(clamp=lambda d: d), "dw and dh are not clamped"),
    "clamped below": (decode(clamp=lambda d: d.clamp(-LIMIT, LIMIT)), "there is only an upper limit"),
    "exp forgotten": (decode(grow=lambda s, d: s * d), "The exp is missing"),
    "1 + dw": (decode(grow=lambda s, d: s * (1 + d)), "aw·(1 + dw)"),
    "added to the side": (decode(grow=lambda s, d: s + d), "as if they were pixels"),
    "exp alone": (decode(grow=lambda s, d: torch.exp(d)), "The anchor's sides are missing"),
    "exp added": (decode(grow=lambda s, d: s + torch.exp(d)), "it is a factor"),
    "power of 2": (decode(grow=lambda s, d: s * 2**d), "powers of 2"),
    "exp of minus": (decode(grow=lambda s, d: s * torch.exp(-d)), "shrink instead of growing"),
    "expm1": (decode(grow=lambda s, d: s * torch.expm1(d)), "only what the side grows by"),
    "sizes not used": (decode(grow=lambda s, d: s), "dw and dh are not used"),
    "log": (decode(grow=lambda s, d: s * torch.log(d)), "there is no log"),
    "pixels": (decode(move=lambda a, s, d, new: a + d), "The shift is taken as pixels"),
    "in new sides": (decode(move=lambda a, s, d, new: a + new * d), "in sides of the new box"),
    "subtracted": (decode(move=lambda a, s, d, new: a - s * d), "subtracted"),
    "start forgotten": (decode(move=lambda a, s, d, new: s * d), "centre is not added"),
    "not moved": (decode(move=lambda a, s, d, new: a), "dx and dy are not used"),
    "divided": (decode(move=lambda a, s, d, new: a + d / s), "divided by the anchor's sides"),
    "from the corner": (decode(center=lambda b: (b[:, 0], b[:, 1])), "corner x1, y1 is taken for the centre"),
    "half the side": (decode(center=lambda b: [s / 2 for s in sides(b)]), "taken for half the side"),
    "plus 1": (decode(size=lambda b: [s + 1 for s in sides(b)]), "without the + 1"),
    "read as x, y, w, h": (
        decode(size=lambda b: (b[:, 2], b[:, 3]), center=lambda b: (b[:, 0] + b[:, 2] / 2, b[:, 1] + b[:, 3] / 2)),
        "read as x, y, width, height",
    ),
    "read as centres": (
        decode(size=lambda b: (b[:, 2], b[:, 3]), center=lambda b: (b[:, 0], b[:, 1])),
        "read as centre, width, height",
    ),
    "centres and sides": (decode(row=lambda *row: row), "It returns cx, cy, w, h"),
    "corner and sides": (decode(row=lambda cx, cy, w, h: (cx - w / 2, cy - h / 2, w, h)), "It returns x1, y1, w, h"),
    "whole sides": (decode(row=lambda cx, cy, w, h: (cx - w, cy - h, cx + w, cy + h)), "twice as wide"),
    "from the centre": (decode(row=lambda cx, cy, w, h: (cx, cy, cx + w, cy + h)), "taken for the corner"),
    "x before y": (
        decode(row=lambda cx, cy, w, h: (cx - w / 2, cx + w / 2, cy - h / 2, cy + h / 2)),
        "x1, x2, y1, y2",
    ),
    "last corner minus 1": (
        decode(row=lambda cx, cy, w, h: (cx - w / 2, cy - h / 2, cx + w / 2 - 1, cy + h / 2 - 1)),
        "one pixel short",
    ),
    "arguments exchanged": (
        lambda deltas, anchors: decode_by_columns(anchors, deltas),
        "deltas and anchors are exchanged",
    ),
    "read as dx, dw, dy, dh": (decode(read=(0, 2, 1, 3)), "read as dx, dw, dy, dh"),
    "y first": (decode(read=(1, 0, 3, 2)), "x and y are exchanged"),
    "weights": (lambda deltas, anchors: boxes.decode_boxes(deltas, anchors, (10, 10, 5, 5)), "weights 10, 10, 5, 5"),
    "clipped": (lambda deltas, anchors: decode_by_columns(deltas, anchors).clamp(min=0), "Negative coordinates"),
    "rounded": (lambda deltas, anchors: decode_by_columns(deltas, anchors).round(), "rounded"),
    "integers": (lambda deltas, anchors: decode_by_columns(deltas, anchors).long(), "whole numbers"),
    "half precision": (lambda deltas, anchors: decode_by_columns(deltas.half(), anchors.half()), "float16"),
    "two slips": (
        decode(grow=lambda s, d: s * d, row=lambda cx, cy, w, h: (cx, cy, cx + w, cy + h)),
        "And: The centre is taken for the corner",
    ),
    "deltas added": (decode_deltas_added, "Row 0 should be"),
    "every pair": (decode_every_pair, "every row with every row"),
    "one column off": (
        lambda deltas, anchors: decode_by_columns(deltas, anchors) + torch.tensor([0, 0, 2, 0]),
        "Right columns: x1, y1, y2; wrong: x2",
    ),
    "transposed": (lambda deltas, anchors: decode_by_columns(deltas, anchors).T, "exchanged"),
    "squeezed": (lambda deltas, anchors: decode_by_columns(deltas, anchors).squeeze(), "squeeze()"),
    "in place": (decode_in_place, "`deltas` in place"),
    "nothing": (lambda deltas, anchors: None, "returns None"),
    "not implemented": (lambda deltas, anchors: (_ for _ in ()).throw(NotImplementedError), "not written yet"),
}

RIGHT = {
    "encode_boxes": (
        encode_by_columns,
        encode_by_loops,
        encode_in_numpy,
        encode_into_zeros,
        encode_with_torchvision,
        boxes.encode_boxes,
    ),
    "decode_boxes": (
        decode_by_columns,
        decode_by_loops,
        decode_in_numpy,
        decode_row_by_row,
        decode_with_torchvision,
        boxes.decode_boxes,
    ),
}
WRONG = {"encode_boxes": WRONG_ENCODE, "decode_boxes": WRONG_DECODE}
