"""Answers to `smooth_l1` and `rpn_loss`, as learners would write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from frcnn_edu import losses

# smooth_l1: right answers


def smooth_by_where(x, beta=1 / 9):
    size = torch.abs(x)
    return torch.where(size < beta, 0.5 * size**2 / beta, size - 0.5 * beta)


def smooth_by_loops(x, beta=1 / 9):
    def one(value):
        if isinstance(value, list):
            return [one(part) for part in value]
        return value * value / (2 * beta) if abs(value) <= beta else abs(value) - beta / 2

    return one(x.tolist())


def smooth_by_mask(x, beta=1 / 9):
    loss = x.clone().abs()
    small = loss < beta
    loss[~small] -= beta / 2
    loss[small] = loss[small] ** 2 / 2 / beta
    return loss


def smooth_in_numpy(x, beta=1 / 9):
    x = np.abs(x.numpy())
    return np.where(x < beta, x**2 / (2 * beta), x - beta / 2)


def smooth_by_clamp(x, beta=1 / 9):
    n = x.abs()
    q = n.clamp(max=beta)
    return 0.5 * q * q / beta + (n - q)


def smooth_with_pytorch(x, beta=1 / 9):
    return F.smooth_l1_loss(x, torch.zeros_like(x), reduction="none", beta=beta)


# smooth_l1: wrong answers, each with words that the diagnosis must contain


def smooth(
    inside=lambda x, b: x**2 / (2 * b),
    outside=lambda x, b: x.abs() - b / 2,
    small=lambda x, b: x.abs() < b,
    default=1 / 9,
):
    """A learner's function with these pieces, this border and this default."""

    def written(x, beta=default):
        return torch.where(small(x, beta), inside(x, beta), outside(x, beta))

    return written


def smooth_without_default(x, beta):
    return smooth_by_where(x, beta)


def smooth_of_a_scalar(x, beta=1 / 9):
    if abs(x) < beta:
        return x**2 / (2 * beta)
    return abs(x) - beta / 2


def smooth_in_place(x, beta=1 / 9):
    x.abs_()
    return smooth_by_where(x, beta)


def smooth_flattened(x, beta=1 / 9):
    return [v**2 / (2 * beta) if abs(v) < beta else abs(v) - beta / 2 for v in x.flatten()]


def smooth_integers(x, beta=1 / 9):
    return smooth_by_where(x, beta).round().long()


def smooth_off_by_a_bit(x, beta=1 / 9):
    return smooth_by_where(x, beta) * 1.01


def smooth_of_any(x, beta=1 / 9):
    if (x.abs() < beta).any():
        return x**2 / (2 * beta)
    return x.abs() - beta / 2


def smooth_hanging(x, beta=1 / 9):
    while (x.abs() > 0).any():
        x = x * 1.0
    return x


WRONG_SMOOTH = {
    "half forgotten": (smooth(lambda x, b: x**2 / b), "The half is missing"),
    "beta forgotten": (smooth(lambda x, b: 0.5 * x**2), "without β"),
    "half and beta forgotten": (smooth(lambda x, b: x**2), "Near 0 it is x²:"),
    "brackets forgotten": (smooth(lambda x, b: x**2 / 2 * b), "without the brackets"),
    "beta squared": (smooth(lambda x, b: x**2 / (2 * b**2)), "divided by β²"),
    "plain L1": (smooth(lambda x, b: x.abs(), lambda x, b: x.abs()), "no quadratic piece"),
    "L1 minus half": (smooth(lambda x, b: x.abs()), "no quadratic piece"),
    "dead zone": (smooth(lambda x, b: 0 * x), "It is 0 near 0"),
    "abs forgotten": (smooth(outside=lambda x, b: x - b / 2), "For negative x"),
    "abs forgotten in the border": (smooth(small=lambda x, b: x < b), "every negative x counts as small"),
    "abs forgotten in both": (
        smooth(outside=lambda x, b: x - b / 2, small=lambda x, b: x < b),
        "every negative x counts as small",
    ),
    "minus beta": (smooth(outside=lambda x, b: x.abs() - b), "The straight piece is |x| - β:"),
    "minus 0.5": (smooth(outside=lambda x, b: x.abs() - 0.5), "right only for β = 1"),
    "nothing subtracted": (smooth(outside=lambda x, b: x.abs()), "The straight piece is |x|:"),
    "added": (smooth(outside=lambda x, b: x.abs() + b / 2), "added to the straight piece"),
    "squared everywhere": (smooth(outside=lambda x, b: x**2 / (2 * b)), "No straight piece"),
    "squares": (lambda x, beta=1 / 9: x**2, "No straight piece: beyond |x| = β it is x² "),
    "pieces exchanged": (smooth(small=lambda x, b: x.abs() > b), "The pieces are exchanged"),
    "border at 1": (smooth(small=lambda x, b: x.abs() < 1), "border between the pieces is at 1,"),
    "border at 1/beta": (smooth(small=lambda x, b: x.abs() < 1 / b), "border between the pieces is at 1/β"),
    "Fast R-CNN's": (smooth(lambda x, b: 0.5 * x**2, lambda x, b: x.abs() - 0.5, lambda x, b: x.abs() < 1), "argument"),
    "Huber": (lambda x, beta=1 / 9: F.huber_loss(x, 0 * x, reduction="none", delta=beta), "Huber"),
    "default of 1": (smooth(default=1.0), "the default is 1/9"),
    "PyTorch's default": (lambda x, beta=1 / 9: F.smooth_l1_loss(x, 0 * x, reduction="none"), "whatever `beta` is"),
    "beta not used": (lambda x, beta=1 / 9: smooth_by_where(x), "takes 1/9 whatever"),
    "no default": (smooth_without_default, "def f(x, beta=1/9)"),
    "no beta": (lambda x: smooth_by_where(x), "def f(x, beta=1/9)"),
    "sign kept": (lambda x, beta=1 / 9: smooth_by_where(x, beta) * x.sign(), "The loss has the sign of x"),
    "summed": (lambda x, beta=1 / 9: smooth_by_where(x, beta).sum(), "single number"),
    "averaged": (lambda x, beta=1 / 9: F.smooth_l1_loss(x, 0 * x, beta=beta), "single number"),
    "summed over rows": (lambda x, beta=1 / 9: smooth_by_where(x, beta).sum(-1), "single number"),
    "flattened": (smooth_flattened, "in the shape of x"),
    "if on a tensor": (smooth_of_a_scalar, "RuntimeError in the line `if abs(x) < beta:`"),
    "if on any": (smooth_of_any, "No straight piece"),
    "off by a bit": (smooth_off_by_a_bit, "For x = 0.05 and beta = 0.1111 (the default) the loss should be 0.01125"),
    "in place": (smooth_in_place, "`x` in place"),
    "integers": (smooth_integers, "whole numbers"),
    "half precision": (lambda x, beta=1 / 9: smooth_by_where(x, beta).half(), "float16"),
    "nothing": (lambda x, beta=1 / 9: None, "returns None"),
    "comparison": (lambda x, beta=1 / 9: x.abs() < beta, "True and False"),
    "another device": (lambda x, beta=1 / 9: smooth_by_where(x, beta).to("meta"), "on meta"),
    "hanging": (smooth_hanging, "still running"),
}

# rpn_loss: right answers


def rpn_with_masks(logits, deltas, labels, target_deltas):
    sampled, positive = labels >= 0, labels == 1
    count = sampled.sum()
    classification = F.binary_cross_entropy_with_logits(logits[sampled], labels[sampled].float())
    error = deltas[positive] - target_deltas[positive]
    return classification, F.smooth_l1_loss(error, torch.zeros_like(error), beta=1 / 9, reduction="sum") / count


def rpn_by_loops(logits, deltas, labels, target_deltas):
    classification = regression = 0.0
    sampled = 0
    for z, d, label, t in zip(logits, deltas, labels, target_deltas, strict=True):
        if label == -1:
            continue
        sampled += 1
        z = float(z) if label == 1 else -float(z)
        classification += max(-z, 0) + math.log1p(math.exp(-abs(z)))
        if label == 1:
            for one, other in zip(d, t, strict=True):
                error = abs(float(one - other))
                regression += error**2 * 4.5 if error < 1 / 9 else error - 1 / 18
    return classification / sampled, regression / sampled


def rpn_in_numpy(logits, deltas, labels, target_deltas):
    z, d, y, t = (a.numpy().astype(np.float64) for a in (logits, deltas, labels, target_deltas))
    kept = y != -1
    cross_entropy = np.logaddexp(0, np.where(y[kept] == 1, -z[kept], z[kept]))
    error = np.abs(d - t)
    loss = np.where(error < 1 / 9, 4.5 * error**2, error - 1 / 18) * (y == 1)[:, None]
    return np.array([cross_entropy.mean(), loss.sum() / kept.sum()])


def rpn_with_weights(logits, deltas, labels, target_deltas):
    weight = (labels != -1).float()
    targets = labels.clamp(min=0).float()
    classification = F.binary_cross_entropy_with_logits(logits, targets, weight=weight, reduction="sum") / weight.sum()
    size = (deltas - target_deltas).abs()
    each = torch.where(size < 1 / 9, 4.5 * size**2, size - 1 / 18).sum(dim=1)
    return [classification, (each * targets).sum().reshape(1) / weight.sum()]


def rpn_of_the_package(logits, deltas, labels, target_deltas):
    loss = losses.rpn_loss(logits, deltas, labels, target_deltas)
    return loss.objectness, loss.box_reg


# rpn_loss: wrong answers


def bce(logits, labels):
    return F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="sum")


def distance(deltas, targets, beta=1 / 9):
    return F.smooth_l1_loss(deltas, targets, beta=beta, reduction="sum")


def rpn(
    taken=lambda y: y >= 0,
    entropy=bce,
    cls_count=lambda y: (y >= 0).sum(),
    regressed=lambda y: y == 1,
    loss=distance,
    reg_count=lambda y: (y >= 0).sum(),
):
    """A learner's function that takes these anchors, these losses and these divisors."""

    def written(logits, deltas, labels, target_deltas):
        kept, boxes = taken(labels), regressed(labels)
        classification = entropy(logits[kept], labels[kept]) / cls_count(labels)
        return classification, loss(deltas[boxes], target_deltas[boxes]) / reg_count(labels)

    return written


def rpn_total(logits, deltas, labels, target_deltas):
    return sum(rpn_with_masks(logits, deltas, labels, target_deltas))


def rpn_exchanged(logits, deltas, labels, target_deltas):
    return rpn_with_masks(logits, deltas, labels, target_deltas)[::-1]


def rpn_sum_first(logits, deltas, labels, target_deltas):
    classification, regression = rpn_with_masks(logits, deltas, labels, target_deltas)
    return classification + regression, regression


def rpn_three(logits, deltas, labels, target_deltas):
    classification, regression = rpn_with_masks(logits, deltas, labels, target_deltas)
    return classification, regression, classification + regression


def rpn_dict(logits, deltas, labels, target_deltas):
    return dict(zip(("cls", "reg"), rpn_with_masks(logits, deltas, labels, target_deltas), strict=True))


def rpn_unreduced(logits, deltas, labels, target_deltas):
    kept = labels >= 0
    classification = F.binary_cross_entropy_with_logits(logits[kept], labels[kept].float(), reduction="none")
    return classification, rpn_with_masks(logits, deltas, labels, target_deltas)[1]


def rpn_integer_labels(logits, deltas, labels, target_deltas):
    return F.binary_cross_entropy_with_logits(logits, labels), deltas.sum()


def rpn_mean(logits, deltas, labels, target_deltas):
    positive = labels == 1
    return rpn_with_masks(logits, deltas, labels, target_deltas)[0], F.smooth_l1_loss(
        deltas[positive], target_deltas[positive], beta=1 / 9
    )


def rpn_with_defaults(logits, deltas, labels, target_deltas):
    positive = labels == 1
    classification = F.binary_cross_entropy_with_logits(logits, positive.float())
    return classification, F.smooth_l1_loss(deltas[positive], target_deltas[positive])


def rpn_in_place(logits, deltas, labels, target_deltas):
    answer = rpn_with_masks(logits, deltas, labels, target_deltas)
    labels[labels < 0] = 0
    return answer


def rpn_with_log_of_sigmoid(logits, deltas, labels, target_deltas):
    classification, regression = rpn_with_weights(logits, deltas, labels, target_deltas)
    p = logits.sigmoid()
    classification = -torch.where(labels == 1, p, 1 - p).log()[labels >= 0].mean()
    return classification, regression.sum()


def rpn_without_sigmoid(logits, deltas, labels, target_deltas):
    kept = labels >= 0
    y = labels[kept]
    classification = -(y * torch.log(logits[kept]) + (1 - y) * torch.log(1 - logits[kept])).mean()
    return classification, rpn_with_masks(logits, deltas, labels, target_deltas)[1]


def rpn_nothing_for_regression(logits, deltas, labels, target_deltas):
    return rpn_with_masks(logits, deltas, labels, target_deltas)[0], None


def probabilities(entropy):
    return lambda logits, labels: entropy(logits.sigmoid(), labels.float()).sum()


WRONG_RPN = {
    "ignored as background": (
        rpn(taken=lambda y: y >= -1, entropy=lambda z, y: bce(z, y == 1), cls_count=len),
        "Anchors labelled -1 count as background",
    ),
    "ignored as background, over the sampled": (
        rpn(taken=lambda y: y >= -1, entropy=lambda z, y: bce(z, y == 1)),
        "Anchors labelled -1 count as background",
    ),
    "ignored as -1": (rpn(taken=lambda y: y >= -1, cls_count=len), "with the target -1"),
    "positives classified": (
        rpn(taken=lambda y: y == 1, cls_count=lambda y: (y == 1).sum().clamp(min=1)),
        "Only positives are scored",
    ),
    "over all anchors": (rpn(cls_count=len), "objectness half is divided by the number of all anchors"),
    "classification over positives": (
        rpn(cls_count=lambda y: (y == 1).sum().clamp(min=1)),
        "objectness half is divided by the number of positives",
    ),
    "both sums": (rpn(cls_count=lambda y: 1, reg_count=lambda y: 1), "And: The box half is a plain sum"),
    "both over 256": (rpn(cls_count=lambda y: 256, reg_count=lambda y: 256), "divided by 256"),
    "both over all": (rpn(cls_count=len, reg_count=len), "And: The box half is divided by the number of all"),
    "sigmoid twice": (rpn(entropy=lambda z, y: bce(z.sigmoid(), y)), "The sigmoid is taken twice"),
    "labels exchanged": (rpn(entropy=lambda z, y: bce(z, 1 - y)), "Positives count as background"),
    "log(p) only": (rpn(entropy=probabilities(lambda p, y: -y * p.log())), "Only log(p) of positives"),
    "no minus": (
        rpn(entropy=probabilities(lambda p, y: y * p.log() + (1 - y) * (1 - p).log())),
        "The cross-entropy has the wrong sign",
    ),
    "squared error": (rpn(entropy=probabilities(lambda p, y: (p - y) ** 2)), "is a squared error"),
    "log2": (
        rpn(entropy=probabilities(lambda p, y: -y * p.log2() - (1 - y) * (1 - p).log2())),
        "base 2",
    ),
    "log of the sigmoid": (rpn_with_log_of_sigmoid, "of a sigmoid that has rounded to 0 or 1"),
    "sigmoid forgotten": (rpn_without_sigmoid, "Does it take the log of a logit"),
    "negatives regress": (rpn(regressed=lambda y: y >= 0), "Negatives regress, too"),
    "all regress": (rpn(regressed=lambda y: y >= -1), "All anchors regress"),
    "regression over positives": (
        rpn(reg_count=lambda y: (y == 1).sum().clamp(min=1)),
        "box half is divided by the number of positives",
    ),
    "regression over positives, without a care": (
        rpn(reg_count=lambda y: (y == 1).sum()),
        "box half is divided by the number of positives",
    ),
    "mean": (rpn_mean, "a mean over the positives' four numbers"),
    "over four per anchor": (rpn(reg_count=lambda y: 4 * (y >= 0).sum()), "four times the sampled anchors"),
    "regression over all": (rpn(reg_count=len), "box half is divided by the number of all anchors"),
    "regression summed": (rpn(reg_count=lambda y: 1), "The box half is a plain sum"),
    "beta 1": (rpn(loss=lambda d, t: distance(d, t, 1.0)), "a beta of 1, PyTorch's default"),
    "L1": (rpn(loss=lambda d, t: (d - t).abs().sum()), "plain L1"),
    "L2": (rpn(loss=lambda d, t: ((d - t) ** 2).sum()), "sum of squares"),
    "Huber": (rpn(loss=lambda d, t: F.huber_loss(d, t, delta=1 / 9, reduction="sum")), "Huber"),
    "lambda": (rpn(loss=lambda d, t: 10 * distance(d, t)), "multiplied by 10"),
    "targets not used": (rpn(loss=lambda d, t: distance(d, 0 * d)), "The targets are not used"),
    "targets added": (rpn(loss=lambda d, t: distance(d, -t)), "Deltas and targets are added"),
    "exchanged": (rpn_exchanged, "The two are exchanged"),
    "sum first": (rpn_sum_first, "The first of the two is their sum"),
    "total": (rpn_total, "a single number"),
    "three": (rpn_three, "3 values"),
    "dict": (rpn_dict, "returns a dict"),
    "unreduced": (rpn_unreduced, "has shape (7,)"),
    "one is None": (rpn_nothing_for_regression, "The box half that it returns is None"),
    "off by a bit": (
        rpn(loss=lambda d, t: 1.5 * distance(d, t)),
        "The objectness half is right. The box half should be",
    ),
    "three slips": (rpn_with_defaults, "count as background, but they were not sampled"),
    "three slips, the second half": (rpn_with_defaults, "a mean over the positives' four numbers"),
    "three slips, the third": (rpn_with_defaults, "PyTorch's default"),
    "a known and an unknown slip": (
        rpn(cls_count=len, loss=lambda d, t: 1.5 * distance(d, t)),
        "The objectness half is divided by the number of all anchors",
    ),
    "the package's dataclass": (losses.rpn_loss, "returns a RPNLoss"),
    "half precision": (
        lambda *arguments: [loss.half() for loss in rpn_with_masks(*arguments)],
        "computed in float16",
    ),
    "integer labels": (rpn_integer_labels, "It stops with RuntimeError"),
    "in place": (rpn_in_place, "`labels` in place"),
    "nothing": (lambda logits, deltas, labels, target_deltas: None, "returns None"),
    "three arguments": (
        lambda logits, deltas, labels: (logits.sum(), deltas.sum()),
        "def f(logits, deltas, labels, target_deltas)",
    ),
    "text": (lambda logits, deltas, labels, target_deltas: "loss", "returns a str"),
}

RIGHT = {
    "smooth_l1": (
        smooth_by_where,
        smooth_by_loops,
        smooth_by_mask,
        smooth_in_numpy,
        smooth_by_clamp,
        smooth_with_pytorch,
        losses.smooth_l1,
    ),
    "rpn_loss": (rpn_with_masks, rpn_by_loops, rpn_in_numpy, rpn_with_weights, rpn_of_the_package),
}
WRONG = {"smooth_l1": WRONG_SMOOTH, "rpn_loss": WRONG_RPN}
