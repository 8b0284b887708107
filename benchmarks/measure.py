"""How a row is measured: times in turns in this process, peak memory in a process of its own for each side."""

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

try:
    import resource
except ImportError:  # Windows has no such module, and so no memory column
    resource = None

Call = Callable[[], object]
SIDES = ("ours", "theirs")
SHORTEST_SAMPLE = 2e-3
"""Seconds: a quicker call is repeated until a sample takes this long."""
FEWEST_ROUNDS, MOST_ROUNDS = 5, 60
MEGABYTE = 2**20
LINUX_STATUS, LINUX_FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    build: Callable[[torch.device], tuple[Call, Call]]
    """Makes the inputs and returns ours and theirs; what only one side needs is made at its first call."""
    goal: float | None = None
    """The ratio to reach, if there is one."""


@dataclass(frozen=True)
class Timing:
    """Seconds a call takes, medians over the rounds."""

    ours: float
    theirs: float
    rounds: int

    @property
    def ratio(self) -> float:
        """Below 1 where ours is faster."""
        return self.ours / self.theirs


@dataclass(frozen=True)
class Peak:
    """Megabytes: what the process (or the GPU) held at most, and how much of it came on top of the inputs."""

    total: float
    growth: float


def time_row(row: Row, device: torch.device, threads: int, seconds: float) -> Timing:
    """Call both sides in turns, in random order, for about `seconds`.

    One thread is measured in the processor time of this process, more threads and GPUs by the clock on the wall.
    """
    clock = time.process_time if threads == 1 and device.type == "cpu" else time.perf_counter
    torch.set_num_threads(threads)
    calls = dict(zip(SIDES, row.build(device), strict=True))

    def sample(side: str, number: int) -> float:
        start = clock()
        for _ in range(number):
            calls[side]()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (clock() - start) / number

    first = {side: (sample(side, 1), sample(side, 1))[1] for side in SIDES}  # the first call warms up
    number = {side: max(1, round(SHORTEST_SAMPLE / first[side])) for side in SIDES}
    a_round = sum(first[side] * number[side] for side in SIDES)
    rounds = min(max(round(seconds / a_round), FEWEST_ROUNDS), MOST_ROUNDS)
    times = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in random.sample(SIDES, len(SIDES)):
            times[side].append(sample(side, number[side]))
    return Timing(*(statistics.median(times[side]) for side in SIDES), rounds)


def peak_of_new_process(row: Row, side: str, device: torch.device) -> Peak | None:
    """What one side of a row needs, told by a fresh process; None where the system does not say."""
    if resource is None and device.type != "cuda":
        return None
    command = [sys.executable, "-m", "benchmarks", "--peak", row.name, side, "--device", str(device)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return Peak(*map(float, done.stdout.split()))


def peak(row: Row, side: str, device: torch.device) -> Peak:
    """Run one side twice and look at the most memory that was held."""
    torch.set_num_threads(1)
    call = row.build(device)[SIDES.index(side)]
    before = _most_memory_from_now_on(device)
    for _ in range(2):
        call()
    after = _most_memory(device)
    return Peak(after, after - before)


def _most_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MEGABYTE
    if LINUX_STATUS.exists():
        [line] = [line for line in LINUX_STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / MEGABYTE
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


def _most_memory_from_now_on(device: torch.device) -> float:
    """Forget the peak so far (importing PyTorch is one) where the system can, and return the memory held."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif LINUX_FORGET.exists():
        LINUX_FORGET.write_text("5")
    return _most_memory(device)
