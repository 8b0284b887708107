"""``python -m benchmarks.shares``: the share of the time that is not spent in convolutions and matrix products.

Those are what the network itself costs, and both sides do the same ones. A profile of one thread adds up the rest: in
a step and in an inference, of ours and of torchvision's, with the same weights, images and options.
"""

import argparse
from functools import partial

import torch

from benchmarks.measure import SIDES, Call
from benchmarks.models import IMAGES, PAIRS, inference_calls, training_calls

PRODUCTS = {"addmm", "bmm", "mm", "mkldnn_convolution", "convolution_backward", "_slow_conv2d_forward", "thnn_conv2d"}
"""PyTorch's operators that do them on a CPU."""


def rest_and_whole(call: Call, repeats: int) -> tuple[float, float]:
    """Milliseconds of a call beside convolutions and matrix products, and of all of it."""
    call()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(repeats):
            call()
    times = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profile.key_averages()}
    whole = sum(times.values())
    rest = whole - sum(taken for name, taken in times.items() if name in PRODUCTS)
    return rest / repeats / 1000, whole / repeats / 1000


def main() -> None:
    """Print a row for each model, for a training step and for an inference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shares", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="profiled calls (default: %(default)s)")
    repeats, device = parser.parse_args().repeats, torch.device("cpu")
    torch.set_num_threads(1)
    print("| beside convolutions and matrix products | ours | torchvision | share, ours | share, torchvision |")
    print("|---|---:|---:|---:|---:|")
    for name, (size, images) in IMAGES.items():
        trained, detected = partial(training_calls, images=images), inference_calls
        for what, calls in ((f"training step of {images}", trained), ("inference", detected)):
            sides = dict(zip(SIDES, calls(PAIRS[name](), size=size, device=device), strict=True))
            found = [rest_and_whole(call, repeats) for call in sides.values()]
            milliseconds = [f"{rest:.1f} ms" for rest, _ in found]
            shares = [f"{rest / whole:.0%}" for rest, whole in found]
            print(f"| {' | '.join([f'{name}, {what}', *milliseconds, *shares])} |", flush=True)


if __name__ == "__main__":
    main()
