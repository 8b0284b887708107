"""``python -m benchmarks``: measure every row and print the table as markdown.

``--rows nms`` measures rows with "nms" in their names; ``--json FILE`` also writes the results; ``--device cuda``
measures on a GPU. A row passes if its ratio is at most its goal, with one thread and with two, and if its memory beyond
the inputs is at most twice torchvision's plus 32 MB, a twentieth of what PyTorch itself takes.
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
    """The measurements of a row."""

    row: Row
    timings: dict[str, Timing]
    """By column: "1 thread", "2 threads", or the device."""
    peaks: dict[str, Peak | None]
    """By side: "ours", "theirs"; None where memory cannot be measured."""

    @property
    def needs_too_much_memory(self) -> bool:
        """Whether memory exceeds the goal; False where it cannot be measured."""
        ours, theirs = (self.peaks[side] for side in SIDES)
        return ours is not None and theirs is not None and ours.growth > MEMORY_GOAL * theirs.growth + FREE_MEGABYTES

    @property
    def verdict(self) -> str:
        """ "pass", "no goal", or the columns that fail; without a goal only memory can fail."""
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
        sys.exit(f'no row with "{options.rows}" in its name; there are: ' + "; ".join(row.name for row in ROWS))
    results = measure(rows, device, options.seconds)
    print(as_markdown(results))
    if options.json:
        options.json.write_text(json.dumps(as_figures(results), indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Operators and models against torchvision."
    )
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows with this text in their names")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="per row and column (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--peak", nargs=2, metavar=("ROW", "SIDE"), help=argparse.SUPPRESS)  # for its own processes
    return parser.parse_args()


def measure(rows: list[Row], device: torch.device, seconds: float) -> list[Result]:
    """Time all rows with one thread, then with two, then measure memory; progress goes to stderr."""
    threads = {str(device): torch.get_num_threads()} if device.type == "cuda" else THREADS
    timings: dict[str, dict[str, Timing]] = {row.name: {} for row in rows}
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
    """The table with its explanation."""
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
            "Peak memory: of the call beyond its inputs, of the whole process, PyTorch included.",
            about(),
        ]
    )


def as_figures(results: list[Result]) -> dict[str, object]:
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
    return {"measured_with": about(), "rows": rows}


def about() -> str:
    """Versions, cores and load."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"torch {torch.__version__}, torchvision {torchvision.__version__}, {os.cpu_count()} cores{load}."


if __name__ == "__main__":
    main()
