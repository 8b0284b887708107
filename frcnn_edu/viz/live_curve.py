"""A loss curve that grows while a model learns: the `on_step` of `frcnn_edu.training.loop.train`.

    train(model, dataset, recipe, on_step=LiveCurve(recipe.steps))

The picture is replaced where it stands, about once a second at most, for drawing takes time that training could use.
The last one stays: it is what a reader sees who does not run the lesson.
"""

import io
import time

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frcnn_edu.faster_rcnn import FasterRCNN
from frcnn_edu.training.checkpoints import History
from frcnn_edu.viz.palette import CURVE_LINES, GREEN, GREY

SECONDS = 1.0
SMOOTHING = 20
"""The heavy lines are means over this many steps: single steps jump about, as every step has other images."""

NAMES = {
    "loss_objectness": "RPN: object or not",
    "loss_rpn_box_reg": "RPN: boxes",
    "loss_classifier": "second stage: class",
    "loss_box_reg": "second stage: boxes",
}
SIZE = (7.2, 4.0)
DPI = 80


class LiveCurve:
    """Draws the four losses of every step so far, and how far the training is; `steps` is how many there will be.

    `seconds` is the shortest time between two pictures. Raises ValueError for less than one step.
    """

    def __init__(self, steps: int, seconds: float = SECONDS) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.steps, self.seconds = steps, seconds
        self.pictures = 0
        self._started = self._drawn = time.perf_counter()
        self._handle = None

    def __call__(self, done: int, model: FasterRCNN, history: History) -> None:
        """After step `done`: draw, if the last picture is old enough or the training is over."""
        if done < self.steps and time.perf_counter() - self._drawn < self.seconds:
            return
        self._show(self.figure(done, history))
        self._drawn = time.perf_counter()

    def figure(self, done: int, history: History) -> Figure:
        """The curves and a bar of progress, after `done` steps."""
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        bar, axes = figure.subplots(2, 1, height_ratios=(1, 16))
        self._draw_bar(bar, done)
        for (name, label), (color, dashes, _) in zip(NAMES.items(), CURVE_LINES, strict=False):
            losses = np.array(history.losses[name])  # (steps,)
            x = np.arange(1, len(losses) + 1)
            axes.plot(x, losses, color=color, linewidth=0.6, alpha=0.35)
            axes.plot(x, running_mean(losses), color=color, linestyle=dashes, linewidth=2, label=label)
        axes.set(xlim=(0, self.steps), ylim=(0, None), xlabel="step", ylabel="loss")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, ncols=2, handlelength=4)
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
        return (
            f"step {done} of {self.steps}, {passed:.0f} s so far, about {passed * (self.steps / done - 1):.0f} s to go"
        )

    def _show(self, figure: Figure) -> None:
        from IPython.display import Image, display

        file = io.BytesIO()
        figure.savefig(file, format="png")
        picture = Image(file.getvalue())
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)
        self.pictures += 1


def running_mean(values: np.ndarray, width: int = SMOOTHING) -> np.ndarray:
    """The mean of each value and those before it, `width` of them or as many as there are: (N,) -> (N,)."""
    sums = np.concatenate(([0.0], np.cumsum(values)))  # (N + 1,)
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - width, 0)
    return (sums[end] - sums[start]) / (end - start)
