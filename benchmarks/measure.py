"""Measuring a row: both sides' times alternately in this process, their peak memory each in a new process."""

import ctypes
import os
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
except ImportError:  # Windows has no such module, so there the memory column is empty
    resource = None

Call = Callable[[], object]
SIDES = ("ours", "theirs")
SHORTEST_SAMPLE = 2e-3
"""Seconds: a faster call is repeated until a sample takes this long."""
FEWEST_ROUNDS, MOST_ROUNDS = 3, 60
LONG = 1.0
"""Seconds: of a call that takes longer, the first tells about how long."""
MEGABYTE = 2**20
C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
RETURNED = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
"""Makes glibc give freed memory back at once; otherwise what it keeps is counted, too."""
LINUX_STATUS, LINUX_FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    build: Callable[[torch.device], tuple[Call, Call]]
    """Makes the inputs and returns ours and theirs; what only one side needs is made in its first call."""
    goal: float | None = None
    """The largest ratio that passes."""


@dataclass(frozen=True)
class Timing:
    """Seconds per call, medians over the rounds."""

    ours: float
    theirs: float
    rounds: int

    @property
    def ratio(self) -> float:
        """Below 1 where ours is faster."""
        return self.ours / self.theirs


@dataclass(frozen=True)
class Peak:
    """Megabytes at the peak of the process or the GPU: in total, and beyond the inputs."""

    total: float
    growth: float


def time_row(row: Row, device: torch.device, threads: int, seconds: float) -> Timing:
    """Call both sides alternately, in random order, for about `seconds`.

    One thread is measured in processor time, several threads and GPUs in wall time.
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

    first = {side: sample(side, 1) for side in SIDES}  # this warms up; slow calls are not repeated for their length
    first = {side: sample(side, 1) if taken < LONG else taken for side, taken in first.items()}
    number = {side: max(1, round(SHORTEST_SAMPLE / first[side])) for side in SIDES}
    a_round = sum(first[side] * number[side] for side in SIDES)
    rounds = min(max(round(seconds / a_round), FEWEST_ROUNDS), MOST_ROUNDS)
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in random.sample(SIDES, len(SIDES)):
            times[side].append(sample(side, number[side]))
    return Timing(statistics.median(times["ours"]), statistics.median(times["theirs"]), rounds)


def peak_of_new_process(row: Row, side: str, device: torch.device) -> Peak | None:
    """The peak of one side of a row, measured in a new process; None where the system does not report it."""
    if resource is None and device.type != "cuda":
        return None
    command = [sys.executable, "-m", "benchmarks", "--peak", row.name, side, "--device", str(device)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | RETURNED)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return Peak(*map(float, done.stdout.split()))


def peak(row: Row, side: str, device: torch.device) -> Peak:
    """Run one side and measure the peak of a second run: the first also loads the code that it needs."""
    torch.set_num_threads(1)
    call = row.build(device)[SIDES.index(side)]
    call()
    before = _reset_peak_memory(device)
    call()
    after = peak_memory(device)
    return Peak(after, after - before)


def peak_memory(device: torch.device) -> float:
    """Peak memory of the process or the GPU so far, in megabytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MEGABYTE
    if LINUX_STATUS.exists():
        [line] = [line for line in LINUX_STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / MEGABYTE
    unit = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes, others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


def _reset_peak_memory(device: torch.device) -> float:
    """Reset the peak (importing PyTorch is one) where the system can; returns the current memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif LINUX_FORGET.exists():
        if hasattr(C_LIBRARY, "malloc_trim"):  # of glibc, which keeps what was freed
            C_LIBRARY.malloc_trim(0)
        LINUX_FORGET.write_text("5")
    return peak_memory(device)
