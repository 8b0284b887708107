"""Shapes: generated scenes, on which a detector can be trained from random weights in minutes.

There are seven classes. Three of them, square, standing bar and lying bar, differ only in aspect ratio, so the network
has to learn extents and not only textures. Scenes have objects from 12 px to half the image, occlusion, objects that
leave the image, clutter that is no object (wires, soft blobs, specks), textures, and sometimes no object at all.
`ShapesConfig` sets each of these: anchors of 1:2 fit bars of 1:6 badly, and a coarse feature map misses sizes below 16.

A box is the full extent of its shape, occluded parts included, cut at the image's border. An object is only drawn where
it leaves at least `min_visible` of itself and of all others visible, and every object that is drawn is labelled.

Scene `index` of a `seed` and `split` is bitwise the same on every machine and in any order of drawing: its random
numbers depend on (seed, split, index) alone, and pixels are computed only with operations that IEEE 754 rounds exactly
(+, -, *, /, sqrt): no sin, no exp, no sum whose order a library chooses.

`draw_scene` draws shapes that somebody has placed, with the same paint on the same kind of background.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from frcnn_edu.boxes import check_boxes
from frcnn_edu.datasets import BACKGROUND

CLASS_NAMES = (BACKGROUND, "disc", "ring", "square", "standing bar", "lying bar", "triangle", "cross")

SPLITS = {"train": 0, "val": 1, "test": 2}
"""Each split has its own stream of random numbers, so scene 5 of "train" and of "test" are unrelated."""

SMALLEST_SIDE = 12.0
SMALLEST_IMAGE = 32
ROUND = ("disc", "ring")

PLACING_TRIES = 12
COLOUR_TRIES = 6
SPECKS = 6
MOST_CLUTTER = 14
HILLS = 5
SMALL_OVERLAP = 0.1
"""The share of another object that an object may occlude at difficulty 0."""

HANGING_SHARE = 0.3
"""The share of objects that may reach over the border."""

OVERHANG = 0.25
"""The largest share of its extent that an object may have outside: a bar of 1:2 does not become a square."""

RING_HOLE = (0.4, 0.65)
"""The hole's share of a ring's radius."""

CROSS_ARM = (0.26, 0.4)
"""The thickness of a cross's arms as a share of its side."""

Array = np.ndarray


def _check_range(name: str, bounds: tuple[float, float], lowest: float, highest: float) -> None:
    if len(bounds) != 2 or not lowest <= bounds[0] <= bounds[1] <= highest:
        raise ValueError(f"{name} must be (from, to) with {lowest} <= from <= to <= {highest}, got {bounds}")


@dataclass(frozen=True)
class ShapesConfig:
    """The settings of a scene; raises ValueError for values outside their range.

    `image_size` is (height, width) or one number for both, in pixels. `sizes` is the range of an object's longer side
    in pixels before tilting, small ones more frequent; None means 12 to half the shorter side of the image.
    `ratios` is the range of a bar's length over its thickness, `objects` that of the number of objects tried per scene;
    `empty` is the share of scenes without any. `lean` is the steepest tilt, in pixels sideways per pixel down (0.2 is
    11 degrees). `difficulty` in [0, 1] raises clutter, texture, noise and overlap and lowers contrast; 0 is flat shapes
    on a flat background. `min_visible` is the share of every object that stays visible. `classes` get the labels
    1, 2, ... in that order.
    """

    image_size: int | tuple[int, int] = 256
    sizes: tuple[float, float] | None = None
    ratios: tuple[float, float] = (2.0, 3.5)
    objects: tuple[int, int] = (1, 8)
    empty: float = 0.05
    lean: float = 0.15
    difficulty: float = 0.5
    min_visible: float = 0.4
    classes: tuple[str, ...] = CLASS_NAMES[1:]

    def __post_init__(self) -> None:
        height, width = self.height_width
        if min(height, width) < SMALLEST_IMAGE:
            raise ValueError(f"image_size must be at least {SMALLEST_IMAGE} px on each side, got {self.image_size}")
        _check_range("sizes", self.size_range, 4, min(height, width))
        _check_range("ratios", self.ratios, 1, float("inf"))
        _check_range("objects", self.objects, 0, 1000)
        for name in ("empty", "difficulty", "min_visible", "lean"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        unknown = [name for name in self.classes if name not in CLASS_NAMES[1:]]
        if unknown or not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must be some of {CLASS_NAMES[1:]}, each once, got {self.classes}")

    @property
    def height_width(self) -> tuple[int, int]:
        """The image size as (height, width) in pixels."""
        size = self.image_size
        return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))

    @property
    def size_range(self) -> tuple[float, float]:
        """The shortest and the longest side of an object in pixels."""
        return self.sizes if self.sizes is not None else (SMALLEST_SIDE, min(self.height_width) / 2)


class ShapesOptions(TypedDict, total=False):
    """The fields of `ShapesConfig` as optional keyword arguments; a test checks that both have the same."""

    image_size: int | tuple[int, int]
    sizes: tuple[float, float] | None
    ratios: tuple[float, float]
    objects: tuple[int, int]
    empty: float
    lean: float
    difficulty: float
    min_visible: float
    classes: tuple[str, ...]


PLAIN = ShapesConfig(difficulty=0.0, sizes=(20.0, 128.0), objects=(1, 6))
"""Flat shapes on a flat background with little overlap, which a lesson's live training learns in two minutes."""

HARD = ShapesConfig(difficulty=1.0, objects=(2, 14))
"""Crowded, low in contrast and full of clutter, to tell good detectors from mediocre ones."""


class Shapes(Dataset):
    """`length` generated scenes: item i is the image (3, H, W), floats in [0, 1], and its target.

    The target is {"boxes": (N, 4) floats, "labels": (N,) int64 from 1}; N may be 0. `class_names[label]` names a label.
    Options are the fields of `ShapesConfig`: `Shapes(1000, sizes=(12, 40), ratios=(6, 6))`.
    Raises ValueError for a negative length or seed, an unknown split, or a setting outside its range.
    """

    def __init__(
        self,
        length: int,
        split: str = "train",
        seed: int = 0,
        config: ShapesConfig | None = None,
        **options: Unpack[ShapesOptions],
    ) -> None:
        if length < 0 or seed < 0:
            raise ValueError(f"length and seed must not be negative, got {length} and {seed}")
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        self.length, self.split, self.seed = length, split, seed
        self.config = replace(config or ShapesConfig(), **options)
        self.class_names = (BACKGROUND, *self.config.classes)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        if not -self.length <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        rng = np.random.Generator(np.random.PCG64([self.seed, SPLITS[self.split], index % self.length]))
        scene = _Scene(self.config, rng)
        boxes = np.array(scene.boxes, np.float32).reshape(-1, 4)  # (N, 4)
        labels = np.array(scene.labels, np.int64)  # (N,)
        target = {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}
        return torch.from_numpy(scene.finished()), target


def draw_scene(
    boxes: Tensor,
    names: Sequence[str],
    paints: Sequence[int],
    background: int = 0,
    **options: Unpack[ShapesOptions],
) -> Tensor:
    """Draw shapes that somebody has placed, later ones on top, painted as those of `Shapes`: (N, 4) -> (3, H, W).

    Each shape fills its box, upright. `names` are their classes; `paints` choose the colours and texture of each,
    `background` what is behind them and the noise. Options are the fields of `ShapesConfig`.
    Raises ValueError for a name that is no class, a box without area, or lists that differ in length.
    """
    check_boxes(boxes, with_area=True)
    if unknown := set(names) - set(CLASS_NAMES[1:]):
        raise ValueError(f"names must be of {', '.join(CLASS_NAMES[1:])}; got {', '.join(sorted(unknown))}")
    scene = _Canvas(ShapesConfig(**options), np.random.default_rng(background))
    for box, name, seed in zip(boxes.double().numpy(), names, paints, strict=True):
        rng = np.random.default_rng(seed)
        corner = np.floor(box[:2])
        half_width, half_height = (box[2:] - box[:2]) / 2
        shape = _drawn(name, (half_width, half_height), 0.0, rng.random(), box[:2] - corner)
        patch, part = _cut(corner - 1, shape.alpha, scene.size)
        scene.blend(patch, scene.paint(shape, rng)[:, *part])
    return torch.from_numpy(scene.finished())


@dataclass
class _Patch:
    """A part of the canvas to paint on: its rows and columns, and the opacity of the paint."""

    rows: slice
    columns: slice
    alpha: Array | None = None  # (h, w), 0 to 1

    def offsets(self, x: float, y: float) -> tuple[Array, Array]:
        """Offsets of the pixel centres from (x, y): (w,) and (h, 1) float32."""
        return _offsets(self.columns, x), _offsets(self.rows, y)[:, None]


@dataclass
class _Shape:
    """A shape drawn separately, not yet placed; `extent` is x1, y1, x2, y2 from the corner of its sheet."""

    extent: Array  # (4,)
    alpha: Array  # (h, w) opacity, 0 to 1
    u: Array  # (h, w) pixels from the middle along the shape's own axes
    v: Array  # (h, w)
    size: float
    solid_pixels: int


class _Canvas:
    """A background to paint shapes on."""

    def __init__(self, config: ShapesConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.size = config.height_width
        self.ground = 40 + 150 * rng.random() + 30 * rng.random(3)  # (3,) a tinted grey
        self.canvas = _background(config, rng, self.ground)  # (3, H, W) float32, 0 to 255

    def finished(self) -> Array:
        """The image with sensor noise, rounded to 8 bits, as floats in [0, 1]: (3, H, W)."""
        grain = self.rng.integers(0, 256, self.size, np.uint8).astype(np.float32)  # (H, W)
        noise = 2 + 10 * self.config.difficulty * self.rng.random()
        grain -= np.float32(127.5)
        grain *= np.float32(noise / 127.5)
        self.canvas += grain
        levels = np.rint(np.clip(self.canvas, 0, 255, out=self.canvas), out=self.canvas)
        return np.divide(levels, np.float32(255), out=levels)

    def blend(self, patch: _Patch, paint: Array) -> None:
        """Paint the patch: (3, h, w), or one colour (3, 1, 1)."""
        region = self.canvas[:, patch.rows, patch.columns]
        step = paint - region
        step *= patch.alpha
        region += step

    def paint(self, shape: _Shape, rng: np.random.Generator) -> Array:
        """The colour of every pixel of a shape's sheet: flat, shaded, striped or chequered: (3, h, w)."""
        difficulty = self.config.difficulty
        colour = _contrasting(self.ground, 110 - 60 * difficulty, rng)  # (3, 1, 1)
        kind, strength = rng.random(), np.float32(15 + 40 * difficulty * rng.random())
        if kind >= 0.9 * difficulty:
            return np.broadcast_to(colour, (3, *shape.alpha.shape))
        if kind < 0.3 * difficulty:
            return colour + strength * shape.u * np.float32(2 / shape.size)
        if kind < 0.6 * difficulty:
            return colour + strength * _stripes(shape.u if rng.random() < 0.5 else shape.v, rng)
        return colour + strength * _stripes(shape.u, rng) * _stripes(shape.v, rng)


class _Scene(_Canvas):
    """One scene while it is drawn: the canvas, and for every pixel the object that is visible there."""

    def __init__(self, config: ShapesConfig, rng: np.random.Generator) -> None:
        super().__init__(config, rng)
        self.owner = np.full(self.size, -1, np.int16)  # (H, W) index into boxes, -1 is background
        self.boxes: list[Array] = []
        self.labels: list[int] = []
        self.whole = np.zeros(0, np.int64)  # (N,) pixels of each object
        self.seen = np.zeros(0, np.int64)  # (N,) visible ones among them
        clutter = int(rng.integers(0, 1 + round(MOST_CLUTTER * config.difficulty)))
        in_front = clutter // 4
        self._clutter(clutter - in_front)
        if rng.random() >= config.empty:
            for _ in range(int(rng.integers(config.objects[0], config.objects[1] + 1))):
                self._object()
        self._clutter(in_front)

    def _object(self) -> None:
        """Draw one object where it leaves enough of itself and of all others visible, if there is such a place."""
        label = int(self.rng.integers(1, len(self.config.classes) + 1))
        shape = _shape(self.config.classes[label - 1], self.config, self.rng)
        paint = self.paint(shape, self.rng)  # (3, h, w)
        for corner in self._corners_to_try(shape.extent):
            patch, part = _cut(corner, shape.alpha, self.size)
            solid = shape.alpha[part] > 0.5
            seen = self._seen_behind(patch, solid)
            if np.count_nonzero(solid) >= self.config.min_visible * shape.solid_pixels and self._enough(seen):
                self.owner[patch.rows, patch.columns][solid] = len(self.boxes)
                self.seen = np.append(seen, np.count_nonzero(solid))
                self.whole = np.append(self.whole, shape.solid_pixels)
                self.boxes.append(self._box(shape.extent, corner))
                self.labels.append(label)
                self.blend(patch, paint[:, *part])
                return

    def _corners_to_try(self, extent: Array) -> Array:
        """Candidates for the corner of the sheet, in whole pixels, with at most `OVERHANG` outside: (T, 2) of x, y."""
        share = OVERHANG if self.rng.random() < HANGING_SHARE else 0.0
        spare = share * (extent[2:] - extent[:2])  # (2,)
        low = -extent[:2] - spare
        room = np.array(self.size[::-1]) - extent[2:] + spare - low
        return np.floor(low + self.rng.random((PLACING_TRIES, 2)) * np.maximum(room, 0)).astype(np.int64)

    def _seen_behind(self, patch: _Patch, solid: Array) -> Array:
        """The visible pixels of each object if `solid` lay on top: (N,)."""
        covered = self.owner[patch.rows, patch.columns][solid]
        return self.seen - np.bincount(covered[covered >= 0], minlength=len(self.boxes))

    def _enough(self, seen: Array) -> bool:
        hidden_at_most = min(1 - self.config.min_visible, SMALL_OVERLAP + self.config.difficulty)
        return bool(np.all((seen >= (1 - hidden_at_most) * self.whole) | (seen == self.seen)))

    def _box(self, extent: Array, corner: Array) -> Array:
        height, width = self.size
        return np.clip(extent + np.concatenate((corner, corner)), 0, (width, height, width, height))  # (4,)

    def _clutter(self, count: int) -> None:
        for kind in self.rng.random(count):
            paint = _contrasting(self.ground, 30, self.rng)  # (3, 1, 1)
            if kind < 0.5:
                self._wire(paint)
            elif kind < 0.75:
                self._blob(paint)
            else:
                self._specks(paint)

    def _wire(self, paint: Array) -> None:
        """A straight line, thinner than any bar of its length."""
        x, x2 = self.rng.random(2) * self.size[1]
        y, y2 = self.rng.random(2) * self.size[0]
        patch = _window(min(x, x2) - 2, min(y, y2) - 2, max(x, x2) + 2, max(y, y2) + 2, self.size)
        dx, dy = patch.offsets(x, y)
        across, down = np.float32(x2 - x), np.float32(y2 - y)
        length2 = across * across + down * down + np.float32(1)
        along = np.clip(dx * (across / length2) + dy * (down / length2), 0, 1)  # (h, w)
        distance = _length(dx - along * across, dy - along * down)
        patch.alpha = np.clip(np.float32(1 + self.rng.random()) - distance, 0, 1)
        self.blend(patch, paint)

    def _blob(self, paint: Array) -> None:
        """A blob with a soft edge."""
        x, y = self.rng.random(2) * self.size[::-1]
        radius = SMALLEST_SIDE + self.rng.random() * min(self.size) / 4
        patch = _window(x - radius, y - radius, x + radius, y + radius, self.size)
        dx, dy = patch.offsets(x, y)
        falloff = np.clip(1 - (dx * dx + dy * dy) / np.float32(radius * radius), 0, 1)  # (h, w)
        patch.alpha = falloff * falloff
        self.blend(patch, paint)

    def _specks(self, paint: Array) -> None:
        """A handful of dots, too small to be discs."""
        for x, y in self.rng.random((SPECKS, 2)) * self.size[::-1]:
            patch = _window(x - 3, y - 3, x + 3, y + 3, self.size)
            patch.alpha = np.clip(2 - _length(*patch.offsets(x, y)), 0, 1)
            self.blend(patch, paint)


def _shape(name: str, config: ShapesConfig, rng: np.random.Generator) -> _Shape:
    share, detail = rng.random(), rng.random()
    size = _between(config.size_range, share * share)
    ratio = _between(config.ratios, rng.random())
    half_width = size / ratio / 2 if name == "standing bar" else size / 2
    half_height = size / ratio / 2 if name == "lying bar" else size / 2
    slope = 0.0 if name in ROUND else config.lean * (2 * rng.random() - 1)
    return _drawn(name, (half_width, half_height), slope, detail, rng.random(2))


def _drawn(name: str, half_sides: tuple[float, float], slope: float, detail: float, place: Array) -> _Shape:
    """A shape on a sheet of its own; `place` is where its extent begins between two pixels, x and y in [0, 1)."""
    half_width, half_height = half_sides
    cos = 1 / np.sqrt(1 + slope * slope)
    sin = slope * cos
    corners = _corners(name, half_width, half_height, detail)  # (K, 2) along the shape's own axes
    turned = corners * cos + corners[:, ::-1] * np.array([-sin, sin])  # (K, 2) x, y from the middle
    low, high = turned.min(axis=0), turned.max(axis=0)
    middle = 1 - low + place  # a margin of one pixel
    columns, rows = np.ceil(middle + high + 1).astype(int)
    dx, dy = _offsets(slice(0, columns), middle[0]), _offsets(slice(0, rows), middle[1])[:, None]
    u = dx * np.float32(cos) + dy * np.float32(sin)  # (h, w)
    v = dy * np.float32(cos) - dx * np.float32(sin)
    alpha = np.clip(0.5 - _distance(name, u, v, half_width, half_height, detail), 0, 1)
    extent, size = np.concatenate((middle + low, middle + high)), 2 * max(half_sides)
    return _Shape(extent, alpha, u, v, size, int(np.count_nonzero(alpha > 0.5)))


def _distance(name: str, u: Array, v: Array, half_width: float, half_height: float, detail: float) -> Array:
    """Signed distance of each pixel from the shape, negative inside: (h, w) pixels."""
    a, b = np.float32(half_width), np.float32(half_height)
    if name == "disc":
        return _length(u, v * (a / b)) - a
    if name == "ring":
        radius = _length(u, v * (a / b))
        return np.maximum(radius - a, a * np.float32(_between(RING_HOLE, detail)) - radius)
    if name == "triangle":
        slant = np.sqrt(a * a + 4 * b * b)
        return np.maximum((2 * b * np.abs(u) - a * (v + b)) / slant, v - b)
    across, down = np.abs(u), np.abs(v)
    if name == "cross":
        arm = min(a, b) * np.float32(_between(CROSS_ARM, detail))
        return np.minimum(np.maximum(across - a, down - arm), np.maximum(across - arm, down - b))
    return np.maximum(across - a, down - b)


def _corners(name: str, half_width: float, half_height: float, detail: float) -> Array:
    """The points that span a shape's extent, along its own axes: (K, 2)."""
    a, b = half_width, half_height
    if name == "triangle":
        return np.array([(0, -b), (-a, b), (a, b)])
    if name == "cross":
        arm = min(a, b) * _between(CROSS_ARM, detail)
        return np.array([(x * p, y * q) for p, q in ((a, arm), (arm, b)) for x in (-1, 1) for y in (-1, 1)])
    return np.array([(-a, -b), (a, -b), (-a, b), (a, b)])


def _background(config: ShapesConfig, rng: np.random.Generator, ground: Array) -> Array:
    """A background of smooth colour gradients, sometimes with stripes: (3, H, W) float32."""
    height, width = config.height_width
    hills = (rng.random((3, HILLS, HILLS)) - 0.5) * (16 + 90 * config.difficulty) + ground[:, None, None]
    columns = _lerp(hills.astype(np.float32), width).swapaxes(1, 2)  # (3, HILLS, W)
    canvas = _lerp(columns, height)  # (3, H, W)
    if rng.random() < 0.4 * config.difficulty:
        across, down = (np.float32(step) for step in 2 * rng.random(2) - 1)
        y, x = _offsets(slice(0, height), 0)[:, None], _offsets(slice(0, width), 0)
        canvas += _stripes(x * across + y * down, rng) * np.float32(4 + 10 * rng.random())
    return canvas


def _lerp(values: Array, length: int) -> Array:
    """The middle axis interpolated linearly to `length`: (3, K, M) -> (3, length, M)."""
    last = values.shape[1] - 1
    position = np.arange(length, dtype=np.float32) * np.float32(last / length)
    whole = np.floor(position)
    index, share = whole.astype(np.int64), (position - whole)[:, None]
    start, step = values[:, index], (values[:, 1:] - values[:, :-1])[:, index]
    step *= share
    return np.add(start, step, out=step)


def _stripes(along: Array, rng: np.random.Generator) -> Array:
    """+1 and -1 in turn, each 2 to 8 pixels wide: same shape as `along`."""
    width, phase = np.float32(2 + 6 * rng.random()), np.float32(rng.random())
    band = np.floor(along / width + phase)
    return 1 - 2 * (band - 2 * np.floor(band / 2))


def _contrasting(ground: Array, contrast: float, rng: np.random.Generator) -> Array:
    """A colour that differs from the background by `contrast` in some channel, or the best of a few: (3, 1, 1)."""
    colours = rng.random((COLOUR_TRIES, 3)) * 255
    differences = np.abs(colours - ground).max(axis=1)  # (T,)
    enough = np.flatnonzero(differences >= contrast)
    chosen = colours[enough[0] if len(enough) else differences.argmax()]
    return chosen.astype(np.float32)[:, None, None]


def _cut(corner: Array, alpha: Array, size: tuple[int, int]) -> tuple[_Patch, tuple[slice, slice]]:
    """The patch of canvas under a sheet with its corner at x, y, and the part of the sheet that lies on the canvas."""
    x, y = (int(place) for place in corner)
    patch = _window(x, y, x + alpha.shape[1], y + alpha.shape[0], size)
    part = (
        slice(patch.rows.start - y, patch.rows.stop - y),
        slice(patch.columns.start - x, patch.columns.stop - x),
    )
    patch.alpha = alpha[part]
    return patch, part


def _window(left: float, top: float, right: float, bottom: float, size: tuple[int, int]) -> _Patch:
    """The pixels that a rectangle touches, clipped to the canvas."""
    height, width = size
    x1, x2 = sorted(min(max(int(np.floor(edge)), 0), width) for edge in (left, np.ceil(right)))
    y1, y2 = sorted(min(max(int(np.floor(edge)), 0), height) for edge in (top, np.ceil(bottom)))
    return _Patch(slice(y1, y2), slice(x1, x2))


def _offsets(pixels: slice, middle: float) -> Array:
    """Offsets of the pixel centres from `middle`: (n,) float32."""
    return np.arange(pixels.start, pixels.stop, dtype=np.float32) + np.float32(0.5 - middle)


def _length(dx: Array, dy: Array) -> Array:
    return np.sqrt(dx * dx + dy * dy)


def _between(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + share * (bounds[1] - bounds[0])
