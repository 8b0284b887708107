"""Answers to `sample_anchors`, as learners would write them."""

import random

import numpy as np
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from frcnn_edu.matching import BalancedSampler

# sample_anchors: right answers


def sample_by_randperm(labels, batch_size=256, positive_fraction=0.5):
    positive = torch.where(labels == 1)[0]
    negative = torch.where(labels == 0)[0]
    n_positive = min(len(positive), int(batch_size * positive_fraction))
    n_negative = min(len(negative), batch_size - n_positive)
    return (
        positive[torch.randperm(len(positive))[:n_positive]],
        negative[torch.randperm(len(negative))[:n_negative]],
    )


def sample_with_random(labels, batch_size=256, positive_fraction=0.5):
    positive = [i for i, label in enumerate(labels) if label == 1]
    negative = [i for i, label in enumerate(labels) if label == 0]
    random.shuffle(positive)
    positive = positive[: round(batch_size * positive_fraction)]
    return positive, random.sample(negative, min(len(negative), batch_size - len(positive)))


def sample_in_numpy(labels, batch_size=256, positive_fraction=0.5):
    chance = np.random.default_rng()
    positive, negative = np.flatnonzero(labels.numpy() == 1), np.flatnonzero(labels.numpy() == 0)
    count = min(positive.size, int(batch_size * positive_fraction))
    positive = chance.choice(positive, count, replace=False)
    return positive.astype(np.int32), chance.permutation(negative)[: batch_size - count]


def sample_by_multinomial(labels, batch_size=256, positive_fraction=0.5):
    def draw(mask, count):
        count = min(count, int(mask.sum()))
        return torch.multinomial(mask.float(), count) if count else torch.empty(0, dtype=torch.long)

    positive = draw(labels == 1, int(batch_size * positive_fraction))
    return [positive, draw(labels == 0, batch_size - len(positive))]


def sample_by_keys(labels, batch_size=256, positive_fraction=0.5):
    order = torch.rand(len(labels)).argsort()
    positive = order[labels[order] == 1][: int(batch_size * positive_fraction)]
    return positive.sort().values, order[labels[order] == 0][: batch_size - len(positive)].sort().values


def sample_with_torchvision(labels, batch_size=256, positive_fraction=0.5):
    positive, negative = BalancedPositiveNegativeSampler(batch_size, positive_fraction)([labels])
    return positive[0].nonzero().squeeze(1), negative[0].nonzero().squeeze(1)


def sample_of_the_package(labels, batch_size=256, positive_fraction=0.5):
    sample = BalancedSampler(batch_size, positive_fraction)(labels)
    return sample.positive, sample.negative


# sample_anchors: wrong answers


def shuffled(indices):
    return indices[torch.randperm(len(indices))]


def sample(
    positives=lambda y: (y == 1).nonzero().squeeze(1),
    negatives=lambda y: (y == 0).nonzero().squeeze(1),
    counts=lambda p, n, b, f: (min(p, int(b * f)), min(n, b - min(p, int(b * f)))),
    draw=lambda indices, count: shuffled(indices)[:count],
    finish=lambda positive, negative: (positive, negative),
):
    """A learner's function that draws from these, so many, in this way, and returns them so."""

    def written(labels, batch_size=256, positive_fraction=0.5):
        positive, negative = positives(labels), negatives(labels)
        some, others = counts(len(positive), len(negative), batch_size, positive_fraction)
        return finish(draw(positive, some), draw(negative, others))

    return written


def share(p, b, f):
    return min(p, int(b * f))


def draw_with_seed(indices, count):
    torch.manual_seed(0)
    return shuffled(indices)[:count]


def draw_run(indices, count):
    start = random.randint(0, len(indices) - count)
    return indices[start : start + count]


def draw_but_the_last(indices, count):
    return shuffled(indices[:-1])[:count] if count < len(indices) else indices


def draw_with_the_first(indices, count):
    if count == 0:
        return indices[:0]
    return torch.cat([indices[:1], shuffled(indices[1:])[: count - 1]])


def draw_with_replacement(indices, count):
    return indices[torch.randint(len(indices), (count,))] if len(indices) else indices


def draw_ranks(indices, count):
    return torch.randperm(len(indices))[:count]


def draw_favourites(indices, count):
    if count >= len(indices):
        return indices
    weights = torch.linspace(1, 0.02, len(indices)) ** 2
    return indices[torch.multinomial(weights, count)]


def sample_all_together(labels, batch_size=256, positive_fraction=0.5):
    drawn = shuffled((labels >= 0).nonzero().squeeze(1))[:batch_size]
    return drawn[labels[drawn] == 1], drawn[labels[drawn] == 0]


def sample_by_rejection(labels, batch_size=256, positive_fraction=0.5):
    chosen = set()
    while len(chosen) < int(batch_size * positive_fraction):
        i = random.randrange(len(labels))
        if labels[i] == 1:
            chosen.add(i)
    return sorted(chosen), sample_by_randperm(labels, batch_size, positive_fraction)[1]


def sample_strictly(labels, batch_size=256, positive_fraction=0.5):
    positive = (labels == 1).nonzero().squeeze(1).tolist()
    negative = (labels == 0).nonzero().squeeze(1).tolist()
    half = int(batch_size * positive_fraction)
    return random.sample(positive, half), random.sample(negative, batch_size - half)


def sample_squeezing(labels, batch_size=256, positive_fraction=0.5):
    positive = (labels == 1).nonzero().squeeze()
    negative = (labels == 0).nonzero().squeeze()
    count = share(positive.numel(), batch_size, positive_fraction)
    return (
        positive if positive.ndim == 0 else shuffled(positive)[:count],
        negative if negative.ndim == 0 else shuffled(negative)[: batch_size - count],
    )


def sample_marking_in_place(labels, batch_size=256, positive_fraction=0.5):
    answer = sample_by_randperm(labels, batch_size, positive_fraction)
    labels.fill_(-1)
    return answer


def sample_shuffling_labels(labels, batch_size=256, positive_fraction=0.5):
    torch.manual_seed(0)  # by chance it draws ignored anchors alone, which has a sentence of its own
    labels = shuffled(labels)
    return sample_by_randperm(labels, batch_size, positive_fraction)


def sample_labels(labels, batch_size=256, positive_fraction=0.5):
    positive, negative = sample_by_randperm(labels, batch_size, positive_fraction)
    return labels[positive], labels[negative]


def sample_masks(labels, batch_size=256, positive_fraction=0.5):
    positive, negative = sample_by_randperm(labels, batch_size, positive_fraction)
    mask = torch.zeros_like(labels, dtype=torch.bool)
    return mask.index_fill(0, positive, True), mask.index_fill(0, negative, True)


WRONG_SAMPLE = {
    "first k": (sample(draw=lambda i, k: i[:k]), "always draws the first 4 positives"),
    "last k": (sample(draw=lambda i, k: i[len(i) - k :]), "always draws the last 4 positives"),
    "negatives not random": (
        lambda labels, batch_size=256, positive_fraction=0.5: (
            sample_by_randperm(labels, batch_size, positive_fraction)[0],
            sample(draw=lambda i, k: i[:k])(labels, batch_size, positive_fraction)[1],
        ),
        "always draws the first 4 negatives",
    ),
    "shuffled after the cut": (sample(draw=lambda i, k: shuffled(i[:k])), "shuffle all, then cut"),
    "seeded": (sample(draw=draw_with_seed), "or it sets a seed"),
    "runs": (sample(draw=draw_run), "side by side"),
    "all but the last": (sample(draw=draw_but_the_last), "the last of the positives, anchor 45, was never drawn"),
    "always the first": (sample(draw=draw_with_the_first), "In each of 60 draws"),
    "favourites": (sample(draw=draw_favourites), "same chance"),
    "with replacement": (sample(draw=draw_with_replacement), "drawn twice"),
    "ranks": (sample(draw=draw_ranks), "places in the list of positives"),
    "ignored as negatives": (sample(negatives=lambda y: (y != 1).nonzero().squeeze(1)), "Ignored anchors, label -1"),
    "ignored as positives": (sample(positives=lambda y: (y != 0).nonzero().squeeze(1)), "Ignored anchors, label -1"),
    "exchanged": (sample(finish=lambda positive, negative: (negative, positive)), "The two are exchanged"),
    "labels": (sample_labels, "instead of indices into `labels`"),
    "masks": (sample_masks, "mask.nonzero().squeeze(1)"),
    "column": (sample(finish=lambda positive, negative: (positive[:, None], negative[:, None])), "makes a column"),
    "floats": (
        sample(finish=lambda positive, negative: (positive.float(), negative.float())),
        "The indices of the positives are float32, and a float is no index: make it torch.int64, with .long()",
    ),
    "floats in NumPy": (
        sample(finish=lambda positive, negative: (positive, negative.double().numpy())),
        "The indices of the negatives are float64, and a float is no index: make it np.int64, with .astype(np.int64)",
    ),
    "floats in lists": (
        sample(finish=lambda positive, negative: (positive.double().tolist(), negative)),
        "The indices of the positives are floats, and a float is no index: make an int of each",
    ),
    "not whole": (
        sample(finish=lambda positive, negative: (positive + 0.5, negative)),
        "The indices of the positives are not whole numbers",
    ),
    "concatenated": (sample(finish=lambda *both: torch.cat(both)), "It returns one tensor"),
    "three": (sample(finish=lambda positive, negative: (positive, negative, 0)), "3 values"),
    "dict": (sample(finish=lambda positive, negative: {"positive": positive}), "returns a dict"),
    "Sample": (lambda labels, batch_size=256, positive_fraction=0.5: BalancedSampler()(labels), "returns a Sample"),
    "one is None": (sample(finish=lambda positive, negative: (positive, None)), "indices of the negatives are None"),
    "from 1": (sample(finish=lambda positive, negative: (positive + 1, negative + 1)), "among the positives"),
    "not filled up": (sample(counts=lambda p, n, b, f: (share(p, b, f), min(n, b - int(b * f)))), "not filled up"),
    "as many as positives": (
        sample(counts=lambda p, n, b, f: (share(p, b, f), min(n, share(p, b, f)))),
        "as many negatives as positives",
    ),
    "no limit": (sample(counts=lambda p, n, b, f: (min(p, b), min(n, b - min(p, b)))), "may fill the whole batch"),
    "filled with positives": (
        sample(counts=lambda p, n, b, f: (min(p, b - min(n, b - share(p, b, f))), min(n, b - share(p, b, f)))),
        "it draws more positives",
    ),
    "batch of each": (sample(counts=lambda p, n, b, f: (min(p, b), min(n, b))), "batch_size of each kind"),
    "batch of negatives": (sample(counts=lambda p, n, b, f: (share(p, b, f), min(n, b))), "batch_size negatives"),
    "all": (sample(counts=lambda p, n, b, f: (p, n)), "every positive and every negative"),
    "fraction not used": (
        sample(counts=lambda p, n, b, f: (share(p, b, 0.5), min(n, b - share(p, b, 0.5)))),
        "whatever `positive_fraction` is",
    ),
    "batch not used": (
        sample(counts=lambda p, n, b, f: (share(p, 256, f), min(n, 256 - share(p, 256, f)))),
        "256 whatever `batch_size` is",
    ),
    "fraction of positives": (
        sample(counts=lambda p, n, b, f: (int(p * f), min(n, b - int(p * f)))),
        "a share of batch_size",
    ),
    "one short": (
        sample(counts=lambda p, n, b, f: (max(share(p, b, f) - 1, 0), min(n, b - share(p, b, f)))),
        "it draws 3 positives and 4 negatives; it should draw 4 and 4",
    ),
    "all together": (sample_all_together, "it should draw 4 and 4"),
    "strictly": (sample_strictly, "fewer positives than half the batch"),
    "rejection": (
        sample_by_rejection,
        "still running after 1 seconds. Is there a loop that never ends? (It was called with fewer",
    ),
    "squeezed": (sample_squeezing, "a single positive"),
    "labels shuffled": (sample_shuffling_labels, "is among the positives, but its label is"),
    "in place": (sample_marking_in_place, "`labels` in place"),
    "another device": (sample(finish=lambda positive, negative: (positive.to("meta"), negative)), "on meta"),
    "defaults missing": (
        lambda labels, batch_size, positive_fraction: sample_by_randperm(labels, batch_size, positive_fraction),
        "def f(labels, batch_size=256, positive_fraction=0.5)",
    ),
    "nothing": (lambda labels, batch_size=256, positive_fraction=0.5: None, "returns None"),
    "generator": (lambda labels, batch_size=256, positive_fraction=0.5: (i for i in labels), "generator"),
}

RIGHT = {
    "sample_anchors": (
        sample_by_randperm,
        sample_with_random,
        sample_in_numpy,
        sample_by_multinomial,
        sample_by_keys,
        sample_with_torchvision,
        sample_of_the_package,
    )
}
WRONG = {"sample_anchors": WRONG_SAMPLE}
