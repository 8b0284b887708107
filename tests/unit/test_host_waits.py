"""The host waits for the device no more often than with torchvision's detector of the same configuration."""

import pytest
import torch
from host_waits import counted_waits, waits
from pretended_device import pretend

from benchmarks.models import PAIRS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("training", [True, False], ids=["training step", "inference"])
@pytest.mark.parametrize("name", PAIRS)
def test_the_host_waits_no_more_often_than_with_torchvision(name, training):
    ours, theirs = waits(name, training)
    assert 0 < ours.total() <= theirs.total(), (ours, theirs)
    assert theirs["nms"] > 0, "the model finds nothing, so nothing is compared"


WAITS = {
    "a number": lambda x: x.sum().item(),
    "a truth": lambda x: bool((x > 0).all()),
    "a list": lambda x: x.tolist(),
    "a copy": lambda x: x.cpu(),
    "a copy into a tensor": lambda x: torch.zeros(3).copy_(x),
    "positions": lambda x: x.nonzero(),
    "rows of a mask": lambda x: x[x > 0],
    "different values": lambda x: x.unique(),
    "an assignment to a mask": lambda x: x.index_put_((x > 1,), pretend(torch.ones(2))),
    "a repetition": lambda x: x.repeat_interleave(x.long()),
    "a comparison": lambda x: torch.equal(x, x + 1),
}
NO_WAITS = {
    "arithmetic": lambda x: (x * 2).cumsum(0).sort().values,
    "rows of indices": lambda x: x[x.long().clamp(max=2)],
    "a number where a mask is": lambda x: x.masked_fill(x > 1, 0.0),
    "an assignment of a number to a mask": lambda x: x.__setitem__(x > 1, 0.0),
    "a repetition of known length": lambda x: x.repeat_interleave(x.long(), output_size=6),
    "a copy to the device": lambda x: x + torch.ones(3).to("cuda"),
    "a number of the host": lambda x: torch.ones(3).sum().item(),
}


@pytest.mark.parametrize("name", [*WAITS, *NO_WAITS])
def test_each_way_to_wait_is_counted_once_and_nothing_else(name):
    with counted_waits() as counts:
        (WAITS | NO_WAITS)[name](pretend(torch.tensor([1.0, 2.0, 3.0])))
    assert counts.total() == (name in WAITS), counts
