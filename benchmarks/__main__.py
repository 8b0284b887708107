"""``python -m benchmarks``: measure every row, print the table as markdown.

``--rows nms`` measures those whose names contain "nms"; ``--json FILE`` also writes the figures; ``--device cuda``
measures on a GPU. A row passes where its ratio reaches the goal with one thread and with two, and where it needs at
most twice the memory on top of its inputs, and 32 MB, a twentieth of what PyTorch itself takes.
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
MEMORY_GOAL, FREE_MEGABYTES = 2.0, 32


@dataclass(frozen=True)
class Result:
    """What was measured of a row."""

    row: Row
    timings: dict[str, Timing]
    """By column: "1 thread", "2 threads", or the GPU."""
    peaks: dict[str, Peak | None]
    """Of ours and theirs."""

    @property
    def needs_too_much_memory(self) -> bool:
        """More than the goal allows; False where memory could not be measured."""
        ours, theirs = (self.peaks[side] for side in SIDES)
        return bool(ours and theirs) and ours.growth > MEMORY_GOAL * theirs.growth + FREE_MEGABYTES

    @property
    def verdict(self) -> str:
        """ "pass", or the columns that fail; without a goal only memory can fail."""
        goal = self.row.goal
        failed = [column for column, timing in self.timings.items() if goal is not None and timing.ratio > goal]
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
        sys.exit(f'no row has "{options.rows}" in its name; there are: ' + "; ".join(row.name for row in ROWS))
    results = measure(rows, device, options.seconds)
    print(as_markdown(results))
    if options.json:
        options.json.write_text(json.dumps(as_figures(results), indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Operators and models against torchvision."
    )
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows with this text in their name")
    parser.add_argument("--device", default="cpu", help="cpu, the default, or cuda")
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long a row is timed per column")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--peak", nargs=2, metavar=("ROW", "SIDE"), help=argparse.SUPPRESS)  # for its own processes
    return parser.parse_args()


def measure(rows: list[Row], device: torch.device, seconds: float) -> list[Result]:
    """All rows with one thread, then all with two, then memory; progress goes to stderr."""
    threads = {str(device): torch.get_num_threads()} if device.type == "cuda" else THREADS
    timings = {row.name: {} for row in rows}
    for column, count in threads.items():
        for row in rows:
            print(f"{column}: {row.name}", file=sys.stderr)
            timings[row.name][column] = time_row(row, device, count, seconds)
    results = []
    for row in rows:
        print(f"memory: {row.name}", file=sys.stderr)
        peaks = {side: peak_of_new_process(row, side, device) for side in SIDES}
        results.append(Result(row, timings[row.name], peaks))
    return results


def as_markdown(results: list[Result]) -> str:
    """The table and how to read it."""
    columns = list(results[0].timings)
    head = [
        "ours / torchvision",
        *columns,
        "goal",
        "torchvision, ms",
        "peak MB, ours",
        "peak MB, torchvision",
        "verdict",
    ]
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 2)}|---|"]
    for result in results:
        ratios = [f"{timing.ratio:.2f}" for timing in result.timings.values()]
        milliseconds = " / ".join(f"{timing.theirs * 1e3:.3g}" for timing in result.timings.values())
        peaks = [f"{one.growth:.0f} of {one.total:.0f}" if one else "?" for one in result.peaks.values()]
        goal = "" if result.row.goal is None else f"{result.row.goal:.1f}"
        lines.append(f"| {' | '.join([result.row.name, *ratios, goal, milliseconds, *peaks, result.verdict])} |")
    return "\n".join(
        [
            *lines,
            "",
            "Ratios of medians, below 1 where ours is faster: processor time with one thread, wall time otherwise.",
            "Memory at its peak: what the call added to its inputs, of what the whole process held, PyTorch included.",
            about(),
        ]
    )


def as_figures(results: list[Result]) -> dict[str, object]:
    """Everything as plain numbers."""
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
    return {"measured_with": about(), "rows": rows}


def about() -> str:
    """Versions and machine."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"torch {torch.__version__}, torchvision {torchvision.__version__}, {os.cpu_count()} cores{load}."


if __name__ == "__main__":
    main()
