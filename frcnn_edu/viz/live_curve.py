"""Curves that grow while a model trains: losses, and mAP if it is measured; the `on_step` of `training.loop.train`.

    train(model, dataset, recipe, on_step=LiveCurve(recipe.steps))

In a notebook the picture is replaced in place, at most once a second, because drawing takes time from the training.
With a `path` it is written to that file instead.
"""

import io
import time
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.training.checkpoints import History
from frcnn_edu.viz.palette import CURVE_LINES, GREEN, GREY

SECONDS = 1.0
SMOOTHING = 20
"""The heavy lines are means over this many steps: single losses jump, because every step has other images."""

NAMES = {
    "loss_objectness": "RPN: object or not",
    "loss_rpn_box_reg": "RPN: boxes",
    "loss_classifier": "second stage: class",
    "loss_box_reg": "second stage: boxes",
}
SIZE = (7.2, 4.0)
MEASURED_HEIGHT = 2.4
"""Inches that the panel of the mAP adds."""
DPI = 80


class LiveCurve:
    """Draws the four losses of every step so far, the mAP where it was measured, and the progress of the training.

    `steps` is how many steps there will be, `seconds` the shortest time between two pictures, `path` the file to write,
    if it is not to be shown in a notebook. Raises ValueError for less than one step.
    """

    def __init__(self, steps: int, seconds: float = SECONDS, path: Path | None = None) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.steps, self.seconds, self.path = steps, seconds, path
        self.pictures = 0
        self._first: int | None = None
        self._started = self._drawn = time.perf_counter()
        self._handle = None

    def __call__(self, done: int, model: FasterRCNN, history: History) -> None:
        """After step `done`: draw, if the last picture is old enough, the mAP is new, or the training is over."""
        if self._first is None:
            self._first = done - 1  # a resumed training begins later
        new = done == self.steps or done in history.measured
        if not new and time.perf_counter() - self._drawn < self.seconds:
            return
        self._show(self.figure(done, history))
        self._drawn = time.perf_counter()

    def figure(self, done: int, history: History) -> Figure:
        """The bar of progress and the curves, after `done` steps."""
        width, height = SIZE
        rows = (1, 16, 10) if history.measured else (1, 16)
        height += MEASURED_HEIGHT * bool(history.measured)
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        bar, axes, *below = figure.subplots(len(rows), 1, height_ratios=rows)
        self._draw_bar(bar, done)
        for (name, label), (color, dashes, _) in zip(NAMES.items(), CURVE_LINES, strict=False):
            losses = np.array(history.losses[name])  # (steps,)
            x = np.arange(1, len(losses) + 1)
            axes.plot(x, losses, color=color, linewidth=0.6, alpha=0.35)
            axes.plot(x, running_mean(losses), color=color, linestyle=dashes, linewidth=2, label=label)
        axes.set(ylim=(0, None), ylabel="loss")
        axes.legend(frameon=False, ncols=2, handlelength=4)
        for panel in below:
            _draw_measured(panel, history)
        for panel in (axes, *below):
            panel.set_xlim(0, self.steps)
            panel.grid(alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlabel("step")
        return figure

    def _draw_bar(self, axes: Axes, done: int) -> None:
        axes.barh(0, self.steps, color=GREY, alpha=0.4)
        axes.barh(0, done, color=GREEN)
        axes.set(xlim=(0, self.steps))
        axes.set_axis_off()
        axes.set_title(self._progress(done), fontsize=10, loc="left")

    def _progress(self, done: int) -> str:
        passed = time.perf_counter() - self._started
        if done == self.steps:
            return f"{done} steps in {passed:.0f} s"
        left = passed * (self.steps - done) / (done - (self._first or 0))
        return f"step {done} of {self.steps}, {passed:.0f} s so far, about {left:.0f} s to go"

    def _show(self, figure: Figure) -> None:
        file = io.BytesIO()
        figure.savefig(file, format="png")
        if self.path is not None:
            self.path.write_bytes(file.getvalue())
            return
        from IPython.display import Image, display

        picture = Image(file.getvalue())
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)
        self.pictures += 1


def _draw_measured(axes: Axes, history: History) -> None:
    """The mAP over the steps, and a star at the best."""
    color, dashes, marker = CURVE_LINES[4]
    axes.plot(list(history.measured), list(history.measured.values()), color=color, linestyle=dashes, marker=marker)
    if history.best is not None:
        best = history.measured[history.best]
        label = f"best: {best:.3f} after step {history.best}"
        axes.plot(history.best, best, linestyle="", marker="*", markersize=14, color=color, label=label)
        axes.legend(frameon=False, loc="lower right")
    axes.set(ylim=(0, 1), ylabel="mAP")


def running_mean(values: np.ndarray, width: int = SMOOTHING) -> np.ndarray:
    """The mean of each value and those before it, `width` of them or as many as there are: (N,) -> (N,)."""
    sums = np.concatenate(([0.0], np.cumsum(values)))  # (N + 1,)
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - width, 0)
    return (sums[end] - sums[start]) / (end - start)
