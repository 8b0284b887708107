"""Cases for the scripts' detector: what Python's own functions answer, for each function of js/detector.

Drawn ones with a fixed seed, and the odd ones: nothing at all, boxes without area, ties, boxes that touch, huge deltas,
regions across the border of the map. The scripts are held to these answers by detector.test.js.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_convert

from frcnn_edu.anchors import base_anchors, grid_anchors
from frcnn_edu.boxes import (
    box_area,
    box_iou,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    nms,
    nms_suppressors,
    remove_small_boxes,
)
from frcnn_edu.explorers.lesson_01_anchors import best_anchors
from frcnn_edu.explorers.lesson_06_roi_pooling.heads import half_weights
from frcnn_edu.explorers.paper import cells
from frcnn_edu.losses import rpn_loss, smooth_l1
from frcnn_edu.matching import BalancedSampler, Matcher
from frcnn_edu.matching import is_best_anchor as best_of_each_object
from frcnn_edu.roi_heads import FastRCNNPredictor, TwoMLPHead
from frcnn_edu.roi_pool import roi_align, roi_pool

Case = dict[str, object]

SIZE = (96, 128)
"""Height and width of the image that boxes are drawn on."""

ODD_BOXES = (
    [[10, 10, 10, 40], [20, 20, 20, 20], [0, 0, 30, 30]],  # without area
    [[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20]],  # which only touch
    [[5, 5, 25, 25], [5, 5, 25, 25], [6, 5, 26, 25]],  # equal, and nearly
    [[-40, -30, -5, -2], [100, 80, 200, 150]],  # beyond the border
    [[0.25, 0.5, 1000.75, 2000.125]],
)


def drawn_boxes(count: int, seed: int) -> Tensor:
    """(N, 4): some reach over the border."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([140.0, 110.0]) - 12
    return torch.cat((corner, corner + 1 + 60 * torch.rand(count, 2, generator=generator)), dim=1)


def box_sets() -> Iterator[Tensor]:
    """Sets of boxes, odd ones first."""
    yield torch.zeros(0, 4)
    for boxes in ODD_BOXES:
        yield torch.tensor(boxes, dtype=torch.float32)
    for seed in range(6):
        yield drawn_boxes(1 + 4 * seed, seed)


def parity_cases() -> dict[str, list[Case]]:
    """For each function, by its script and name, arguments and what it must return."""
    makers: dict[str, Callable[[], Iterator[Case]]] = {
        "boxes.centerSize": _centers,
        "boxes.intersection": _intersections,
        "boxes.boxAreas": _areas,
        "boxes.boxIou": _ious,
        "boxes.clipBoxes": _clipped,
        "boxes.removeSmallBoxes": _large,
        "boxes.encodeBox": _encoded,
        "boxes.decodeBox": _decoded,
        "boxes.nms": _suppressed,
        "anchors.baseAnchors": _base,
        "anchors.gridAnchors": _grid,
        "anchors.cellCenter": _cell_centers,
        "anchors.mapSize": _map_sizes,
        "settings.bestAnchor": _best,
        "matching.match": _matched,
        "matching.bestAnchors": _best_rule,
        "matching.sample": _sampled,
        "random.randomOrder": _orders,
        "losses.crossEntropy": _entropies,
        "losses.smoothL1": _smooth,
        "losses.rpnTerms": _losses,
        "roi_heads.secondStage": _answered,
        "roi_pool.pool": lambda: _pooled("pool"),
        "roi_pool.align": lambda: _pooled("align"),
    }
    return {name: list(make()) for name, make in makers.items()}


def _centers() -> Iterator[Case]:
    for boxes in box_sets():
        expected = box_convert(boxes, "xyxy", "cxcywh").tolist()
        yield {"boxes": boxes.tolist(), "areas": box_area(boxes).tolist(), "expected": expected}


def _intersections() -> Iterator[Case]:
    """The area that each box shares with the next."""
    for boxes in box_sets():
        others = boxes.roll(1, dims=0)
        sides = torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])
        yield {"boxes": boxes.tolist(), "others": others.tolist(), "expected": sides.clamp(min=0).prod(dim=1).tolist()}


def _areas() -> Iterator[Case]:
    for boxes in box_sets():
        yield {"boxes": boxes.tolist(), "expected": box_area(boxes).tolist()}


def _ious() -> Iterator[Case]:
    for boxes in box_sets():
        others = torch.cat((boxes, drawn_boxes(3, 99)))
        yield {"boxes": boxes.tolist(), "others": others.tolist(), "expected": box_iou(boxes, others).tolist()}


def _clipped() -> Iterator[Case]:
    for boxes in box_sets():
        yield {"boxes": boxes.tolist(), "size": SIZE, "expected": clip_boxes(boxes, SIZE).tolist()}


def _large() -> Iterator[Case]:
    for boxes in box_sets():
        for smallest in (0, 10, 20, 32.5):
            expected = remove_small_boxes(boxes, smallest).tolist()
            yield {"boxes": boxes.tolist(), "smallest": smallest, "expected": expected}


def _encoded() -> Iterator[Case]:
    for weights in ((1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)):
        for seed in range(4):
            boxes, anchors = drawn_boxes(5, seed), drawn_boxes(5, seed + 50)
            expected = encode_boxes(boxes, anchors, weights).tolist()
            yield {"boxes": boxes.tolist(), "anchors": anchors.tolist(), "weights": weights, "expected": expected}


def _decoded() -> Iterator[Case]:
    """Deltas up to 6 and -6: without the limit 10 px would become 4034, with it they become 625."""
    generator = torch.Generator().manual_seed(0)
    deltas = [torch.zeros(5, 4), torch.full((5, 4), 6.0), torch.full((5, 4), -6.0)]
    deltas += [scale * torch.randn(5, 4, generator=generator) for scale in (0.1, 0.5, 2.0)]
    for weights in ((1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)):
        for seed, delta in enumerate(deltas):
            anchors = drawn_boxes(5, seed)
            expected = decode_boxes(delta, anchors, weights).tolist()
            yield {"deltas": delta.tolist(), "anchors": anchors.tolist(), "weights": weights, "expected": expected}


def _suppressed() -> Iterator[Case]:
    for seed, boxes in enumerate(box_sets()):
        scores = torch.rand(len(boxes), generator=torch.Generator().manual_seed(seed))
        for tied in (scores, (4 * scores).round() / 4):
            for threshold in (0.0, 0.3, 0.5, 0.7, 1.0):
                for limit in (None, 2):
                    keep = nms(boxes, tied, threshold, limit)
                    by = nms_suppressors(boxes, keep, threshold)
                    by[keep] = keep
                    expected = {"kept": keep.tolist(), "by": by.tolist() if limit is None else None}
                    given = {"boxes": boxes.tolist(), "scores": tied.tolist()}
                    yield given | {"threshold": threshold, "limit": limit, "expected": expected}


def _base() -> Iterator[Case]:
    for sizes in ((128.0, 256.0, 512.0), (8.0,), (10.5, 33.0)):
        for ratios in ((0.5, 1.0, 2.0), (1.0,), (0.125, 8.0)):
            yield {"sizes": sizes, "ratios": ratios, "expected": base_anchors(sizes, ratios).tolist()}


def _grid() -> Iterator[Case]:
    base = base_anchors((32.0, 64.0), (0.5, 2.0))
    for feature_size in ((1, 1), (3, 5), (7, 2)):
        for stride in (8.0, 16.0, 20.0):
            for offset in (0.0, 0.5):
                expected = grid_anchors(base, feature_size, stride, offset).tolist()
                given = {"base": base.tolist(), "size": feature_size, "grid": {"stride": stride, "offset": offset}}
                yield given | {"expected": expected}


def _cell_centers() -> Iterator[Case]:
    """Where an anchor of one cell comes to lie, corner by corner."""
    base = base_anchors((32.0,), (0.5,))
    for stride, offset in ((16.0, 0.0), (16.0, 0.5), (20.0, 0.5)):
        placed = grid_anchors(base, (3, 4), stride, offset)
        for cell in ((0, 0), (2, 3), (1, 0)):
            expected = placed[4 * cell[0] + cell[1]].tolist()
            given = {"anchor": base[0].tolist(), "cell": cell, "grid": {"stride": stride, "offset": offset}}
            yield given | {"expected": expected}


def _map_sizes() -> Iterator[Case]:
    for size in ((96, 128), (97, 127), (1, 1)):
        for stride in (8, 16, 33):
            yield {"size": size, "stride": stride, "expected": cells(size, stride)}


def _best() -> Iterator[Case]:
    base = base_anchors((16.0, 32.0, 64.0), (0.5, 1.0, 2.0))
    for boxes in list(box_sets())[4:]:
        for stride in (8.0, 16.0, 24.0):
            for offset in (0.0, 0.5):
                found = best_anchors(boxes, base, cells(SIZE, stride), stride, offset)
                given = {"boxes": boxes.tolist(), "base": base.tolist(), "size": SIZE}
                yield given | {"grid": {"stride": stride, "offset": offset}, "expected": found.iou.tolist()}


def _overlap_tables() -> Iterator[Tensor]:
    """(A, G): without an object, without any overlap, with ties, at the thresholds, and of boxes."""
    yield torch.zeros(6, 0)
    yield torch.zeros(6, 2)
    yield torch.tensor([[0.7, 0.0], [0.3, 0.3], [0.29, 0.31], [0.7, 0.1], [0.1, 0.31], [0.0, 0.0]])
    for seed in range(5):
        yield box_iou(drawn_boxes(30, seed), drawn_boxes(1 + seed, seed + 20))


def _matched() -> Iterator[Case]:
    for iou in _overlap_tables():
        for high, low in ((0.7, 0.3), (0.5, 0.5), (0.4, 0.1)):
            for rule in (True, False):
                found = Matcher(high, low, rule)(iou)
                expected = {"labels": found.labels, "gtIndex": found.gt_index, "iou": found.iou}
                yield {
                    "columns": iou.T.tolist(),
                    "count": len(iou),
                    "rules": {"high": high, "low": low, "bestRule": rule},
                    "expected": {name: values.tolist() for name, values in expected.items()},
                }


def _best_rule() -> Iterator[Case]:
    for iou in _overlap_tables():
        best = best_of_each_object(iou).nonzero().squeeze(1) if iou.shape[1] else torch.zeros(0)
        yield {"columns": iou.T.tolist(), "expected": best.tolist()}


def _sampled() -> Iterator[Case]:
    """Steps that draw from both kinds, from one, and that take all there is."""
    generator = torch.Generator().manual_seed(0)
    for spread in ((0.02, 0.9), (0.3, 0.6), (0.0, 1.0), (0.0, 0.0)):
        one = torch.rand(900, generator=generator)
        labels = torch.where(one < spread[0], 1, torch.where(one < sum(spread), 0, -1))
        for batch_size, fraction in ((256, 0.5), (16, 0.25), (8, 1.0), (512, 0.35)):
            for seed in (0, 7, 50):
                found = BalancedSampler(batch_size, fraction)(labels, torch.Generator().manual_seed(seed))
                expected = {"positive": found.positive.tolist(), "negative": found.negative.tolist()}
                given = {"labels": labels.tolist(), "batchSize": batch_size, "fraction": fraction, "seed": seed}
                yield given | {"expected": expected}


def _orders() -> Iterator[Case]:
    """Two orders in a row, the second of more than one turn of the generator's state."""
    for seed in (0, 1, 2, 50, 12345, 2**31):
        generator = torch.Generator().manual_seed(seed)
        expected = [torch.randperm(count, generator=generator).tolist() for count in (40, 2000)]
        yield {"seed": seed, "counts": [40, 2000], "expected": expected}


def _entropies() -> Iterator[Case]:
    for logit in (-300.0, -5.0, -0.1, 0.0, 1e-3, 2.0, 40.0, 300.0):
        for label in (0.0, 1.0):
            given = torch.tensor(logit), torch.tensor(label)
            entropy = F.binary_cross_entropy_with_logits(*given).item()
            yield {"logit": logit, "label": label, "expected": [entropy, given[0].sigmoid().item()]}


def _smooth() -> Iterator[Case]:
    for beta in (0.0, 1 / 9, 1.0):
        for error in (-30.0, -1.0, -0.05, 0.0, 1e-4, 0.11, 0.5, 4.0):
            x = torch.tensor(error, requires_grad=True)
            loss = smooth_l1(x, beta)
            (slope,) = torch.autograd.grad(loss, x)
            if error or beta:  # L1 has no slope at 0
                yield {"error": error, "beta": beta, "expected": [loss.item(), slope.item()]}


def _losses() -> Iterator[Case]:
    """What every anchor adds to equation 1, and the gradient of its five answers."""
    generator = torch.Generator().manual_seed(0)
    for spread in (0.1, 3.0, 60.0):  # logits so far out that a sigmoid is 0 or 1
        for options in ({}, {"n_reg": 2400.0, "balance": 10.0}, {"beta": 1.0}):
            answers = (spread * torch.randn(9, 5, generator=generator)).requires_grad_()
            targets = torch.randn(9, 4, generator=generator)
            labels = torch.tensor([1, 0, -1] * 3)
            loss = rpn_loss(answers[:, 0], answers[:, 1:], labels, targets, **options)
            (gradient,) = torch.autograd.grad(loss.total, answers)
            added = torch.cat((loss.objectness_terms[:, None], loss.box_reg_terms), dim=1)
            yield {
                "answers": answers.tolist(),
                "labels": labels.tolist(),
                "targets": targets.tolist(),
                "options": {
                    "nCls": 6,
                    "nReg": options.get("n_reg", 6),
                    "balance": options.get("balance", 1),
                    "beta": options.get("beta", 1 / 9),
                },
                "expected": {"added": added.tolist(), "gradient": gradient.tolist()},
            }


def _answered() -> Iterator[Case]:
    """Heads whose weights are of every size that half precision has, those below its normal numbers included."""
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-7, 1e-3, 0.1, 1.0, 4.0, 50.0):
        head, predictor = TwoMLPHead(18, 7), FastRCNNPredictor(7, 3)
        for weight in (*head.parameters(), *predictor.parameters()):
            weight.data = (scale * torch.randn(weight.shape, generator=generator)).half().float()
        pooled = torch.rand(1, 2, 3, 3, generator=generator)
        logits, deltas = predictor(head(pooled))
        weights = half_weights(head, predictor)
        expected = {"logits": logits[0], "deltas": deltas[0], "probabilities": logits[0].softmax(dim=0)}
        given = {"weights": weights.view("<u2").tolist(), "sizes": [18, 7, 3], "pooled": pooled.flatten().tolist()}
        yield given | {"expected": {name: values.tolist() for name, values in expected.items()}}


def _pooled(operator: str) -> Iterator[Case]:
    """Values and gradients of one channel, for regions inside, across and beyond the border, or less than a cell."""
    features = torch.rand(1, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    features[0, 0, 2, 2:5] = features[0, 0, 2, 2]  # a tie within a bin
    regions = [[8, 8, 72, 56], [0, 0, 128, 96], [40, 24, 40, 24], [-30, -20, 20, 30], [100, 80, 190, 150]]
    regions += [[3.3, 7.9, 61.2, 88.8], [56, 24, 57, 90], [127, 95, 128, 96]]
    for region in regions + drawn_boxes(6, 7).tolist():
        for bins in (1, 2, 7):
            for samples, aligned in ((1, False), (2, False), (2, True), (3, True)):
                if operator == "pool" and (samples, aligned) != (2, False):
                    continue
                maps = features.clone().requires_grad_()
                box = [torch.tensor([region], dtype=torch.float32)]
                if operator == "pool":
                    values = roi_pool(maps, box, bins, 1 / 16)[0, 0]
                else:
                    values = roi_align(maps, box, bins, 1 / 16, samples, aligned)[0, 0]
                (gradient,) = torch.autograd.grad(values.sum(), maps)
                yield {
                    "map": features.flatten().tolist(),
                    "rows": 6,
                    "columns": 8,
                    "region": box[0][0].tolist(),
                    "axis": {"stride": 16, "bins": bins, "samples": samples, "aligned": aligned},
                    "expected": {"values": values.tolist(), "gradient": gradient.flatten().tolist()},
                }
