"""The diagram of Faster R-CNN, from image to detections, with the stages of a lesson highlighted.

Every lesson begins with it. A highlighted stage has a heavy black frame, bold text and a coloured background, so it is
visible without colour too; the small number on a stage is its lesson. Solid arrows are the path of every image, dashed
ones are for training only (the paper's figure 2 has the solid ones).

Coordinates are the diagram's own, equal on both axes, y upwards, see `MAP_SIZE`. A sketch is a function from a `Frame`
to the artists that fill it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text

from frcnn_edu.viz.box_plots import SEAM, line_style
from frcnn_edu.viz.palette import (
    COLOR_MAP,
    GREEN,
    GROUND,
    INK,
    LEAF,
    LIT_GROUND,
    NIGHT,
    ORANGE,
    QUIET_INK,
    SKY,
    SKY_BLUE,
    STATES,
    VERMILION,
    YELLOW,
    state_index,
)
from frcnn_edu.viz.style import ink

IMAGE = "image"
BACKBONE = "backbone"
ANCHORS = "anchors"
LABELING = "labeling"
RPN = "rpn"
LOSS = "loss"
BOX_REGRESSION = "box_regression"
PROPOSALS = "proposals"
ROI_POOLING = "roi_pooling"
HEADS = "heads"
DETECTIONS = "detections"
STAGES = (IMAGE, BACKBONE, ANCHORS, LABELING, RPN, LOSS, BOX_REGRESSION, PROPOSALS, ROI_POOLING, HEADS, DETECTIONS)

MAP_SIZE = (119.5, 58.0)
FIGURE_WIDTH = 9.8  # inches; text stays legible where a page shrinks the diagram to 840 px
FONT_SIZE = 9.5  # points
LINE_HEIGHT = 2.3
PADDING = 1.2  # between a frame and its sketch
BADGE_RADIUS = 1.7
TIMES = "\N{MULTIPLICATION SIGN}"

QUIET_ALPHA = 0.4
FRAME_WIDTH = 1.0  # points
LIT_FRAME_WIDTH = 3.5


@dataclass(frozen=True)
class Frame:
    """A rectangle: its lower left corner, width and height."""

    x: float
    y: float
    width: float
    height: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The point at these fractions of the width and the height."""
        return self.x + x * self.width, self.y + y * self.height

    def part(self, x: float, y: float, width: float, height: float) -> "Frame":
        """The part of it with this lower left corner and this size, as fractions of the width and the height."""
        return Frame(*self.at(x, y), width * self.width, height * self.height)

    def rectangle(self, **style: Any) -> Rectangle:
        """The rectangle as a patch."""
        return Rectangle((self.x, self.y), self.width, self.height, **style)


@dataclass(frozen=True)
class Block:
    """One block of the diagram: its stage, its title, the lesson about it, its frame and its sketch."""

    stage: str
    title: str
    lesson: str
    frame: Frame
    sketch: Callable[[Frame], list[Artist]]


def draw_architecture(lit: str | Iterable[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the diagram with the stage or stages `lit` highlighted; without any, all look the same.

    Raises ValueError for a stage that is not one of `STAGES`.
    """
    stages = _checked(lit)
    if ax is None:
        width, height = MAP_SIZE
        _, ax = plt.subplots(figsize=(FIGURE_WIDTH, FIGURE_WIDTH * height / width), layout="constrained")
    ax.set(xlim=(0, MAP_SIZE[0]), ylim=(0, MAP_SIZE[1]), aspect="equal")
    ax.set_axis_off()
    for arrow in _arrows():
        ax.add_patch(arrow)
    for block in BLOCKS:
        _draw_block(ax, block, lit=block.stage in stages, quiet=bool(stages) and block.stage not in stages)
    ax.add_artist(_text(66, 49.7, "one feature map serves both stages", color=ink()))
    _draw_legend(ax, with_frame=bool(stages))
    return ax


def _checked(lit: str | Iterable[str] | None) -> set[str]:
    stages = {lit} if isinstance(lit, str) else set(lit or ())
    unknown = sorted(stages - set(STAGES))
    if unknown:
        raise ValueError(f"unknown stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    return stages


def _draw_block(ax: Axes, block: Block, lit: bool, quiet: bool) -> None:
    frame, color = block.frame, QUIET_INK if quiet else INK
    weight = "bold" if lit else "normal"
    ground = FancyBboxPatch((frame.x, frame.y), frame.width, frame.height, boxstyle="round,pad=0,rounding_size=1.2")
    ground.set(facecolor=LIT_GROUND if lit else GROUND, edgecolor="black" if lit else QUIET_INK)
    ground.set(linewidth=LIT_FRAME_WIDTH if lit else FRAME_WIDTH, zorder=2, gid=block.stage)
    ax.add_patch(ground)
    foot = LINE_HEIGHT + PADDING
    inside = Frame(frame.x + PADDING, frame.y + foot, frame.width - 2 * PADDING, frame.height - foot - PADDING)
    for artist in block.sketch(inside):
        artist.set(zorder=3)
        if isinstance(artist, Text):  # text changes its colour only, to stay legible
            artist.set_color(color)
        elif quiet:
            artist.set_alpha(QUIET_ALPHA)
        ax.add_artist(artist)
    ax.add_artist(_text(frame.at(0.5, 0)[0], frame.y + foot / 2, block.title, color=color, weight=weight, zorder=4))
    for artist in _badge(frame.at(0.97, 0.97), block.lesson, "black" if lit else "white", "white" if lit else color):
        ax.add_artist(artist)


def _badge(place: tuple[float, float], number: str, ground: str, color: str) -> list[Artist]:
    """The number of a lesson on a disc."""
    disc = Circle(place, BADGE_RADIUS, facecolor=ground, edgecolor=color if ground == "white" else ground, zorder=5)
    return [disc, _text(*place, number, color=color, fontsize=FONT_SIZE - 1, zorder=6)]


def _draw_legend(ax: Axes, with_frame: bool) -> None:
    """The meaning of arrows, numbers and frames."""
    left, right, top, bottom = 64.0, 91.0, 12.5, 9.0
    for y, text, dashed in ((top, "every image", False), (bottom, "training only", True)):
        ax.add_patch(_arrow((left, y), (left + 7, y), dashed=dashed))
        ax.add_artist(_text(left + 8.5, y, text, ha="left", color=ink()))
    for artist in _badge((right + 1.5, top), "01", "white", INK):
        ax.add_artist(artist)
    ax.add_artist(_text(right + 4.5, top, "lesson", ha="left", color=ink()))
    if with_frame:
        frame = Frame(right, bottom - 1, 3, 2)
        ax.add_patch(frame.rectangle(facecolor=LIT_GROUND, edgecolor="black", linewidth=LIT_FRAME_WIDTH - 1))
        ax.add_artist(_text(right + 4.5, bottom, "you are here", ha="left", color=ink()))


ALWAYS: Sequence[Sequence[tuple[float, float]]] = (
    ((14, 48), (19, 48)),  # image -> backbone
    ((32, 48), (37, 48)),  # backbone -> feature map
    ((50, 48), (82, 48)),  # feature map -> RoI pooling
    ((95, 48), (100, 48)),  # RoI pooling -> heads
    ((41, 40), (41, 37.5), (24.5, 37.5), (24.5, 35)),  # feature map -> anchors
    ((46, 40), (46, 35)),  # feature map -> RPN
    ((31, 27), (36, 27)),  # anchors -> RPN
    ((60, 27), (63.5, 27)),  # RPN -> box regression
    ((78.5, 27), (82, 27)),  # box regression -> proposals
    ((88.5, 35), (88.5, 40)),  # proposals -> RoI pooling
    ((107, 40), (107, 35)),  # heads -> detections
)
TRAINING: Sequence[Sequence[tuple[float, float]]] = (
    ((24.5, 20), (24.5, 16)),  # anchors -> labeling
    ((14, 8), (18, 8)),  # ground truth -> labeling
    ((31, 8), (42, 8)),  # labeling -> loss
    ((48.5, 20), (48.5, 16)),  # RPN -> loss
    ((115.5, 40), (115.5, 4), (55, 4)),  # heads -> loss
)
"""The arrows from block to block, of every image and of training only, each with the points where it bends."""


def _arrows() -> list[FancyArrowPatch]:
    return [_arrow(*points) for points in ALWAYS] + [_arrow(*points, dashed=True) for points in TRAINING]


def _arrow(*points: tuple[float, float], dashed: bool = False) -> FancyArrowPatch:
    style = {"linestyle": (0, (3, 2)), "color": QUIET_INK} if dashed else {"color": ink()}
    return FancyArrowPatch(
        path=Path(points), arrowstyle="-|>", mutation_scale=11, linewidth=1.4, zorder=1, capstyle="butt", **style
    )


def _text(x: float, y: float, text: str, **style: Any) -> Text:
    """A text, centred on (x, y) by default."""
    return Text(x, y, text, **{"fontsize": FONT_SIZE, "ha": "center", "va": "center", "color": INK, **style})


def _boxes(state: str, *frames: Frame) -> list[Artist]:
    """Boxes in the palette's style of a state; a solid line has a dark outline."""
    style = line_style(STATES[state_index(state)])
    style["edgecolor"] = style.pop("color")
    dark = {"edgecolor": INK, "linewidth": style["linewidth"] + SEAM / 2}
    styles = [dark, style] if style["linestyle"] == "solid" else [style]
    return [frame.rectangle(fill=False, **one) for frame in frames for one in styles]


def _image(frame: Frame) -> list[Artist]:
    """A landscape with a house, which is the object."""
    house = _house(frame)
    roof = [house.at(0, 0.6), house.at(0.5, 1), house.at(1, 0.6)]
    hill = [frame.at(0, 0), frame.at(0, 0.25), frame.at(0.45, 0.5), frame.at(1, 0.2), frame.at(1, 0)]
    return [
        frame.rectangle(facecolor=SKY, edgecolor=INK, linewidth=0.8),
        Polygon(hill, facecolor=LEAF, edgecolor="none"),
        Circle(frame.at(0.2, 0.8), frame.height * 0.1, facecolor=YELLOW, edgecolor=INK, linewidth=0.6),
        house.part(0.12, 0, 0.76, 0.6).rectangle(facecolor="white", edgecolor=INK, linewidth=0.8),
        Polygon(roof, facecolor=VERMILION, edgecolor=INK, linewidth=0.8),
    ]


def _house(frame: Frame) -> Frame:
    return frame.part(0.42, 0.14, 0.42, 0.6)


def _slabs(frame: Frame) -> list[Artist]:
    """Feature maps of the backbone: each is smaller, with more channels, than the one before."""
    sizes = ((0.0, 0.1, 1.0), (0.18, 0.13, 0.74), (0.4, 0.18, 0.52), (0.68, 0.32, 0.34))  # left, thickness, height
    return [
        frame.part(left, 0.5 - height / 2, thickness, height).rectangle(
            facecolor=SKY_BLUE, edgecolor=INK, linewidth=0.8
        )
        for left, thickness, height in sizes
    ]


def _feature_map(frame: Frame) -> list[Artist]:
    """Cells that are brightest at the house of `_image`."""
    cells, colors = 7, mpl.colormaps[COLOR_MAP]
    (house_x, house_y), size = _house(Frame(0, 0, 1, 1)).at(0.5, 0.5), 1 / cells
    artists: list[Artist] = []
    for x in (column * size for column in range(cells)):
        for y in (row * size for row in range(cells)):
            near = exp(-12 * ((x + size / 2 - house_x) ** 2 + (y + size / 2 - house_y) ** 2))
            cell = frame.part(x, y, size, size)
            artists.append(cell.rectangle(facecolor=colors(near), edgecolor="white", linewidth=0.5))
    return artists


def _anchors(frame: Frame) -> list[Artist]:
    """The centres of the cells and, on one of them, boxes of three ratios and one area."""
    dots = [
        Circle(frame.at(x / 6, y / 6), 0.25, facecolor=QUIET_INK, edgecolor="none") for x in range(7) for y in range(7)
    ]
    sides = [(0.54 / stretch, 0.54 * stretch) for stretch in (0.71, 1, 1.41)]
    return [*dots, *_boxes("anchor", *(frame.part(0.5 - w / 2, 0.5 - h / 2, w, h) for w, h in sides))]


def _layers(frame: Frame, shared: str, upper: str, lower: str, split: float) -> list[Artist]:
    """Shared layers, then two sibling layers, which begin at the fraction `split` of the width."""
    parts = {
        shared: frame.part(0, 0.2, split - 0.16, 0.6),
        upper: frame.part(split, 0.54, 1 - split, 0.46),
        lower: frame.part(split, 0, 1 - split, 0.46),
    }
    rectangles = [part.rectangle(facecolor="white", edgecolor=INK, linewidth=0.8) for part in parts.values()]
    names = [_text(*part.at(0.5, 0.5), name) for name, part in parts.items()]
    arrows = [_arrow(parts[shared].at(1, 0.5), parts[sibling].at(0, 0.5)) for sibling in (upper, lower)]
    return [*rectangles, *names, *arrows]


def _rpn_layers(frame: Frame) -> list[Artist]:
    return _layers(frame, f"3{TIMES}3\nconv", f"1{TIMES}1 object?", f"1{TIMES}1 deltas", 0.42)


def _head_layers(frame: Frame) -> list[Artist]:
    return _layers(frame, "fc\nfc", "classifier", "regressor", 0.4)


def _regression(frame: Frame) -> list[Artist]:
    """An anchor moved to the house."""
    house, anchor = _house(frame), frame.part(0.04, 0.3, 0.5, 0.55)
    arrow = _arrow(frame.at(0.2, 0.72), house.at(0.02, 0.6))
    return [*_image(frame), *_boxes("anchor", anchor), *_boxes("positive", house), arrow]


def _proposals(frame: Frame) -> list[Artist]:
    """Two boxes kept, and two that NMS suppressed."""
    house = _house(frame)
    suppressed = house.part(-0.2, -0.12, 1.1, 1.1), house.part(0.15, 0.1, 1.1, 1.05)
    kept = house, frame.part(0.05, 0.62, 0.3, 0.34)
    return [*_image(frame), *_boxes("suppressed", *suppressed), *_boxes("positive", *kept)]


def _pooling(frame: Frame) -> list[Artist]:
    """A region of the feature map, cut into bins."""
    region = _house(frame).part(-0.1, -0.1, 1.2, 1.2)
    bins = [region.part(x / 3, y / 3, 1 / 3, 1 / 3) for x in range(3) for y in range(3)]
    lines = [one.rectangle(fill=False, edgecolor="white", linewidth=1.6) for one in bins]
    return [*_feature_map(frame), *lines, region.rectangle(fill=False, edgecolor=ORANGE, linewidth=2.2)]


def _detections(frame: Frame) -> list[Artist]:
    """The house detected, with its score."""
    house = _house(frame)
    score = _text(*house.at(0.5, 1.04), "0.98", va="bottom", weight="bold")
    return [*_image(frame), *_boxes("detection", house), score]


def _ground_truth(frame: Frame) -> list[Artist]:
    return [*_image(frame), *_boxes("ground truth", _house(frame))]


def _labeling(frame: Frame) -> list[Artist]:
    """The ground truth with a positive, an ignored and a negative anchor."""
    truth = frame.part(0.3, 0.2, 0.42, 0.6)
    return [
        frame.rectangle(facecolor=NIGHT, edgecolor=INK, linewidth=0.8),
        *_boxes("ground truth", truth),
        *_boxes("positive", truth.part(0.08, 0.08, 1, 1)),
        *_boxes("ignored", truth.part(-0.42, -0.28, 1, 1)),
        *_boxes("negative", frame.part(0.02, 0.62, 0.28, 0.38)),
    ]


def _loss(frame: Frame) -> list[Artist]:
    """A falling curve."""
    steps = [step / 30 for step in range(31)]
    curve = Path([frame.at(0.06 + 0.92 * step, 0.08 + 0.85 * exp(-3.5 * step)) for step in steps])
    axes = Path([frame.at(0, 1), frame.at(0, 0), frame.at(1, 0)])
    return [
        PathPatch(axes, fill=False, edgecolor=INK, linewidth=1),
        PathPatch(curve, fill=False, edgecolor=GREEN, linewidth=2.2),
    ]


BLOCKS: Sequence[Block] = (
    Block(IMAGE, "image", "08", Frame(0.5, 40, 13.5, 16), _image),
    Block(BACKBONE, "backbone", "08", Frame(19, 40, 13, 16), _slabs),
    Block(BACKBONE, "feature map", "08", Frame(37, 40, 13, 16), _feature_map),
    Block(ROI_POOLING, "RoI pooling", "06", Frame(82, 40, 13, 16), _pooling),
    Block(HEADS, "second stage", "07", Frame(100, 40, 17.5, 16), _head_layers),
    Block(ANCHORS, "anchors", "01", Frame(18, 20, 13, 15), _anchors),
    Block(RPN, "region proposal network", "03", Frame(36, 20, 24, 15), _rpn_layers),
    Block(BOX_REGRESSION, "box regression", "04", Frame(63.5, 20, 15, 15), _regression),
    Block(PROPOSALS, "proposals", "05", Frame(82, 20, 13, 15), _proposals),
    Block(DETECTIONS, "detections", "07", Frame(100.5, 20, 13, 15), _detections),
    Block(LABELING, "ground truth", "02", Frame(0.5, 1, 13.5, 15), _ground_truth),
    Block(LABELING, "IoU labeling", "02", Frame(18, 1, 13, 15), _labeling),
    Block(LOSS, "loss", "03", Frame(42, 1, 13, 15), _loss),
)
"""Every block, in its place."""
