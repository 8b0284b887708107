"""``python -m benchmarks``: measure every row, print each at once, and the whole table at the end as markdown.

``--rows nms`` measures rows with "nms" in their names; ``--memory`` also measures memory; ``--json FILE`` also writes
the results; ``--device cuda`` measures on a GPU. A row passes if its ratio, to two decimals, is at most its goal, with
one thread and with two, and if its memory beyond the inputs is at most twice torchvision's.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torchvision

from benchmarks import models, operators
from benchmarks.measure import SIDES, Peak, Row, Timing, peak, peak_of_new_process, time_row

ROWS = (*operators.ROWS, *models.ROWS)
THREADS = {"1 thread": 1, "2 threads": 2}
MEMORY_GOAL = 2.0


@dataclass(frozen=True)
class Result:
    """The measurements of a row."""

    row: Row
    timings: dict[str, Timing]
    """By column: "1 thread", "2 threads", or the device."""
    peaks: dict[str, Peak | None]
    """By side: "ours", "theirs"; None where memory cannot be measured. Empty without ``--memory``."""

    @property
    def needs_too_much_memory(self) -> bool:
        """Whether memory exceeds the goal; False where it was not measured."""
        ours, theirs = (self.peaks.get(side) for side in SIDES)
        return ours is not None and theirs is not None and ours.growth > MEMORY_GOAL * theirs.growth

    @property
    def verdict(self) -> str:
        """ "pass", "no goal", or the columns that fail; without a goal only memory can fail."""
        goal = self.row.goal
        failed = [
            column for column, timing in self.timings.items() if goal is not None and round(timing.ratio, 2) > goal
        ]
        if self.needs_too_much_memory:
            failed.append("memory")
        if failed:
            return "**fails**: " + ", ".join(failed)
        return "no goal" if goal is None else "pass"


def main() -> None:
    """Parse, measure, print."""
    options = parse()
    device = torch.device(options.device)
    if options.peak:
        name, side = options.peak
        [row] = [row for row in ROWS if row.name == name]
        found = peak(row, side, device)
        print(found.total, found.growth)
        return
    rows = [row for row in ROWS if options.rows in row.name]
    if not rows:
        sys.exit(f'no row with "{options.rows}" in its name; there are: ' + "; ".join(row.name for row in ROWS))
    results = []
    print(head(device, options.memory), flush=True)
    for row in rows:
        results.append(measure(row, device, options.seconds, options.memory))
        print(as_line(results[-1]), flush=True)
    print("\n" + as_markdown(results, device, options.memory), flush=True)
    if options.json:
        options.json.write_text(json.dumps(as_figures(results, device), indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Operators and models against torchvision."
    )
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows with this text in their names")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="per row and column (default: %(default)s)")
    parser.add_argument("--memory", action="store_true", help="also measure memory, in two new processes for each row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--peak", nargs=2, metavar=("ROW", "SIDE"), help=argparse.SUPPRESS)  # for its own processes
    return parser.parse_args()


def measure(row: Row, device: torch.device, seconds: float, memory: bool) -> Result:
    """Time a row with one thread and with two, or on a GPU; with `memory` also measure that."""
    timings = {column: time_row(row, device, count, seconds) for column, count in columns(device).items()}
    return Result(row, timings, {side: peak_of_new_process(row, side, device) for side in SIDES} if memory else {})


def columns(device: torch.device) -> dict[str, int]:
    """The number of threads of each column of ratios."""
    return {str(device): torch.get_num_threads()} if device.type == "cuda" else THREADS


def head(device: torch.device, memory: bool) -> str:
    """The first two lines of the table."""
    peaks = [f"peak MB, {name}" for name in ("ours", "torchvision")] if memory else []
    names = ["ours / torchvision", *columns(device), "goal", "torchvision, ms", *peaks, "verdict"]
    return f"| {' | '.join(names)} |\n|---{'|---:' * (len(names) - 2)}|---|"


def as_line(result: Result) -> str:
    """A row of the table."""
    ratios = [f"{timing.ratio:.2f}" for timing in result.timings.values()]
    milliseconds = " / ".join(f"{timing.theirs * 1e3:.3g}" for timing in result.timings.values())
    peaks = [f"{one.growth:.0f} of {one.total:.0f}" if one else "?" for one in result.peaks.values()]
    goal = "" if result.row.goal is None else f"{result.row.goal:.1f}"
    return f"| {' | '.join([result.row.name, *ratios, goal, milliseconds, *peaks, result.verdict])} |"


def as_markdown(results: list[Result], device: torch.device, memory: bool) -> str:
    """The table with its explanation."""
    lines = [head(device, memory), *map(as_line, results), ""]
    lines.append(
        "Ratios of medians, below 1 where ours is faster: processor time with one thread, wall time otherwise."
    )
    if memory:
        lines.append("Peak memory: of the call beyond its inputs, of the whole process, PyTorch included.")
    return "\n".join([*lines, about(device)])


def as_figures(results: list[Result], device: torch.device) -> dict[str, object]:
    """All results as plain data."""
    rows = [
        {
            "name": result.row.name,
            "goal": result.row.goal,
            "timings": {column: asdict(timing) | {"ratio": timing.ratio} for column, timing in result.timings.items()},
            "peak_mb": {side: asdict(one) if one else None for side, one in result.peaks.items()},
            "verdict": result.verdict,
        }
        for result in results
    ]
    return {"measured_with": about(device), "rows": rows}


def about(device: torch.device) -> str:
    """The GPU, if it was one, versions, cores and load."""
    card = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{card}torch {torch.__version__}, torchvision {torchvision.__version__}, {os.cpu_count()} cores{load}."


if __name__ == "__main__":
    main()
