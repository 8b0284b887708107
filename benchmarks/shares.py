"""``python -m benchmarks.shares``: the share of the time that is not spent in convolutions and matrix products.

A profile of one thread adds up the rest: in a training step and in an inference, of ours and of torchvision's, with the
same weights, images and options. Norms, activations and poolings of the network are in that rest and cost both sides
the same, so what is beside the whole network is added up, too.
"""

import argparse
from functools import partial

import torch

from benchmarks.measure import SIDES, Call
from benchmarks.models import IMAGES, PAIRS, inference_calls, training_calls

PRODUCTS = {"addmm", "bmm", "mm", "mkldnn_convolution", "convolution_backward", "_slow_conv2d_forward", "thnn_conv2d"}
"""PyTorch's operators that do them on a CPU."""
LAYERS = {
    *(f"{layer}{backward}" for layer in ("native_batch_norm", "native_group_norm") for backward in ("", "_backward")),
    *(
        f"{layer}{backward}"
        for layer in ("max_pool2d_with_indices", "upsample_nearest2d")
        for backward in ("", "_backward")
    ),
    *("clamp_min_", "threshold_backward", "clamp", "hardtanh_backward"),  # nearly every clamp is a ReLU6
}
"""Operators of the network's other layers: norms, poolings, activations."""


def profiled(call: Call, repeats: int) -> tuple[float, float, float]:
    """Milliseconds of a call: all, beside convolutions and matrix products, and beside the network."""
    call()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(repeats):
            call()
    times = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profile.key_averages()}
    whole, products, layers = (
        sum(taken for name, taken in times.items() if name in names) / repeats / 1000
        for names in (times, PRODUCTS, LAYERS)
    )
    return whole, whole - products, whole - products - layers


def main() -> None:
    """Print a row for each model, for a training step and for an inference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shares", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="profiled calls (default: %(default)s)")
    repeats, device = parser.parse_args().repeats, torch.device("cpu")
    torch.set_num_threads(1)
    print("| ours / torchvision | beside convolutions and products | their share | beside the network, ms |")
    print("|---|---:|---:|---:|")
    for name, (size, images) in IMAGES.items():
        trained, detected = partial(training_calls, images=images), inference_calls
        for what, calls in ((f"training step of {images}", trained), ("inference", detected)):
            sides = dict(zip(SIDES, calls(PAIRS[name](), size=size, device=device), strict=True))
            found = [profiled(call, repeats) for call in sides.values()]
            rests = " / ".join(f"{rest:.1f} ms" for _, rest, _ in found)
            shares = " / ".join(f"{rest / whole:.0%}" for whole, rest, _ in found)
            besides = " / ".join(f"{beside:.1f}" for _, _, beside in found)
            print(f"| {name}, {what} | {rests} | {shares} | {besides} |", flush=True)


if __name__ == "__main__":
    main()
