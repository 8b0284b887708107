"""The box canvas: an image under thousands of boxes, drawn in the browser.

Every explorer of the course stands on it. Image and boxes are sent once, as bytes; hovering, dragging, resizing,
filtering and hiding happen in `box_canvas.js` without asking Python, which hears of the result: `boxes` follow the
hand with every frame, or as often as the kernel can take it in; `hovered`, `selected` and the filters follow too.

    canvas = BoxCanvas(image, boxes, states="anchor", editable=False)
    canvas.observe(lambda change: ..., "boxes")

An explorer is a subclass with a script of its own, put on the canvas by `bundle` (from `explorers.bundle`):

    class AnchorExplorer(BoxCanvas):
        _esm = bundle(HERE / "anchor_explorer.js")
        stride = traitlets.Float(16).tag(sync=True)

Such a script extends the class in `js/explorer.js`; `js/canvas/box_canvas.js` says what it may call. Where no kernel
runs (a notebook on GitHub, an export), the output carries the plain picture of `figure()`; a subclass draws more into
it by overriding `draw`.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import torch
import traitlets

from frcnn_edu.explorers.bundle import bundle, styles
from frcnn_edu.explorers.page_state import kept_state
from frcnn_edu.explorers.still import Grid, Still
from frcnn_edu.explorers.wire import ArrayTrait, box_array, encode_image, float_array, rgb_array
from frcnn_edu.viz.palette import COLOR_MAP, STATES, State, state_index

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent

FILTERS = ("score", "size")
"""The sliders that the canvas can show."""

FIGURE_QUALITY = {"quality": 85}


def _states(value: object, canvas: "BoxCanvas") -> np.ndarray:
    return state_array(value, len(canvas.boxes), canvas.palette)


def _editable(value: object, canvas: "BoxCanvas") -> np.ndarray:
    return flag_array(value, len(canvas.boxes))


def _scores(value: object, canvas: "BoxCanvas") -> np.ndarray:
    return score_array(value)


class BoxCanvas(anywidget.AnyWidget):
    """An image with boxes to look at, pick, filter and (where editable) drag, all in the browser.

    `image` is a float tensor (3, H, W) in [0, 1], a uint8 array (H, W, 3) or a PIL image; the rest as in `set_boxes`.
    Any trait below may be given by name. Raises TypeError or ValueError for what is no image or no boxes.
    """

    _esm = bundle(HERE / "js/canvas/box_canvas.js")
    _css = styles()

    boxes = ArrayTrait(lambda value, canvas: box_array(value), np.zeros((0, 4), np.float32))
    """(N, 4) float32, read-only; assign to move all. Another N goes through `set_boxes`. Follows the hand."""

    states = ArrayTrait(_states, np.zeros(0, np.uint8))
    """(N,) uint8, each an index into `palette`; names, or one name for all, may be assigned."""

    scores = ArrayTrait(_scores, np.zeros(0, np.float32))
    """(N,) float32 or empty; NaN where a box has none, which no score filter hides."""

    editable = ArrayTrait(_editable, np.zeros(0, bool))
    """(N,) bool: which boxes the hand may move; one bool for all may be assigned."""

    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """(N,) strings or empty: what the readout, and with `show_captions` a tag on the box, says of each box."""

    palette = traitlets.Tuple(STATES).tag(sync=True, to_json=lambda states, _: [state.as_dict() for state in states])
    """The states that boxes can be in."""

    title = traitlets.Unicode("Image with boxes").tag(sync=True)
    """What a screen reader calls the canvas."""

    hovered = traitlets.Int(None, allow_none=True).tag(sync=True)
    """Index of the box under the pointer (the smallest there), or None. Set by the browser."""

    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    """Index of the selected box, or None. Set by either side; an index that no box has becomes None."""

    dragging = traitlets.Bool(False)
    """Whether the hand still holds a box: what is costly can wait until this turns False."""

    filters = traitlets.Tuple().tag(sync=True)
    """Which sliders to show, of "score" and "size"."""

    min_score = traitlets.Float(None, allow_none=True).tag(sync=True)
    """Boxes with a lower score are hidden; None hides none."""

    min_size = traitlets.Float(0.0, min=0).tag(sync=True)
    """Boxes of which a side is shorter than this, in pixels, are hidden."""

    hidden_states = traitlets.List(traitlets.Int()).tag(sync=True)
    """Indices of the states that the legend has switched off."""

    stay_inside = traitlets.Bool(True).tag(sync=True)
    """Whether the hand can move boxes only within the image."""

    show_captions = traitlets.Bool(False).tag(sync=True)
    """Whether captions are written on the boxes (the first hundred shown)."""

    width = traitlets.Int(640, min=100).tag(sync=True)
    """Largest width on the page in CSS pixels; the canvas shrinks with a narrower page."""

    margin = traitlets.Int(0, min=0).tag(sync=True)
    """Image pixels of empty border around the image, to see boxes that reach outside."""

    overlay = ArrayTrait(lambda value, canvas: overlay_array(value), np.zeros((0, 0, 4), np.uint8))
    """(h, w, 4) uint8 RGBA, or empty: a coarse picture laid over the image, cells kept sharp. See `set_heatmap`."""

    overlay_extent = traitlets.Tuple().tag(sync=True)
    """Where the overlay lies, (x1, y1, x2, y2) in pixels; empty for the whole image."""

    points = ArrayTrait(lambda value, canvas: float_array(value, "points", 2), np.zeros((0, 2), np.float32))
    """(P, 2) float32: dots at x, y."""

    lines = ArrayTrait(lambda value, canvas: float_array(value, "lines", 4), np.zeros((0, 4), np.float32))
    """(L, 4) float32: line segments from x1, y1 to x2, y2 (any direction)."""

    texts = traitlets.List(traitlets.Tuple(traitlets.Float(), traitlets.Float(), traitlets.Unicode())).tag(sync=True)
    """(x, y, text) each: notes written on the image, their top left at x, y."""

    grid = traitlets.Instance(Grid, allow_none=True).tag(
        sync=True, to_json=lambda grid, _: grid and [grid.stride, grid.offset]
    )
    """A `Grid` of cells, or None."""

    _image_bytes = traitlets.Bytes().tag(sync=True)
    _image_size = traitlets.Tuple((1, 1)).tag(sync=True)
    _overlay_size = traitlets.Tuple((0, 0)).tag(sync=True)
    _edit = traitlets.Dict().tag(sync=True, echo_update=False)
    """What the hand just did: a running `number`, the `moves`, each with the `index` of a box and the new `box`, and
    whether the hand has let go (`final`)."""

    def __init__(
        self,
        image: object,
        boxes: object = (),
        states: object = 0,
        scores: object = None,
        captions: Sequence[str] | None = None,
        editable: object = False,
        **traits: Any,
    ) -> None:
        _check_names(type(self), traits)
        palette = tuple(traits.pop("palette", STATES))
        parts = box_parts(boxes, states, scores, captions, editable, palette)
        self._moved_by_hand = False
        self._pixels = rgb_array(image)
        super().__init__(palette=palette, **_image_traits(self._pixels), **parts, **traits)

    @property
    def image(self) -> np.ndarray:
        """The image as (H, W, 3) uint8; assign anything that the constructor takes."""
        return self._pixels

    @image.setter
    def image(self, image: object) -> None:
        self._pixels = rgb_array(image)
        with self.hold_sync():
            for name, value in _image_traits(self._pixels).items():
                self.set_trait(name, value)

    @property
    def box_tensor(self) -> torch.Tensor:
        """The boxes as a float tensor of their own: (N, 4)."""
        return torch.tensor(self.boxes)

    @property
    def shown(self) -> np.ndarray:
        """Which boxes pass the filters and are in a state that is not switched off: (N,) bool."""
        return self.still().shown

    def set_boxes(
        self,
        boxes: object,
        states: object = 0,
        scores: object = None,
        captions: Sequence[str] | None = None,
        editable: object = False,
    ) -> None:
        """Replace all boxes and what is known of them, in one message to the browser.

        `boxes` is (N, 4) in pixels; `states` names or indices, (N,) or one for all; `scores` (N,) with NaN for none;
        `captions` (N,) strings; `editable` (N,) bools or one for all.
        Raises TypeError or ValueError where they are no boxes or differ in number.
        """
        parts = box_parts(boxes, states, scores, captions, editable, self.palette)
        with self.hold_sync(), self.hold_trait_notifications():
            self.selected = self.hovered = None
            for name, value in parts.items():
                setattr(self, name, value)

    def set_heatmap(
        self, values: object, stride: float, alpha: float = 0.6, colormap: str = COLOR_MAP, offset: float = 0.5
    ) -> None:
        """Lay a map of numbers in [0, 1] over the image, one cell every `stride` pixels: (h, w).

        `alpha` is its opacity, `colormap` a name that matplotlib knows; at `offset` 0 cell (0, 0) is centred on the
        image's corner, where anchors of offset 0 stand, at 0.5 it begins there.
        Raises ValueError where the map is not two-dimensional or leaves [0, 1].
        """
        with self.hold_sync():
            for name, value in heatmap_parts(values, stride, alpha, colormap, offset).items():
                setattr(self, name, value)

    def still(self) -> Still:
        """The canvas as it stands. Where the browser alone keeps boxes or states, a subclass computes them here."""
        return Still(**{field.name: getattr(self, field.name) for field in fields(Still)})

    def figure(self) -> "Figure":
        """The canvas as it stands, as a matplotlib figure with its legend; no trait changes."""
        from frcnn_edu.explorers.figure import canvas_figure

        return canvas_figure(self.still(), self.draw)

    def draw(self, axes: "Axes") -> None:
        """Add to the static picture what a subclass's script draws in the browser; coordinates are image pixels."""

    def __repr__(self) -> str:
        height, width = self._pixels.shape[:2]
        named = [f"{count} {state.label}" for state, count in self.still().counts]
        return f"{type(self).__name__}({width} x {height} image; {', '.join(named) or 'no boxes'})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        """The live view for a notebook that can show it, the static picture for a page that cannot."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        file = io.BytesIO()
        self.figure().savefig(file, format="jpeg", pil_kwargs=FIGURE_QUALITY)
        picture = {"image/jpeg": base64.b64encode(file.getvalue()).decode("ascii")}
        return data | kept_state(self) | picture, metadata

    def _should_send_property(self, key: str, value: object) -> bool:
        """Whether a change goes to the browser: not the boxes that it moved itself, which would come back late."""
        return not (key == "boxes" and self._moved_by_hand) and super()._should_send_property(key, value)

    @traitlets.observe("_edit")
    def _apply_edit(self, change: dict) -> None:
        moves = change["new"]["moves"]
        if any(move["index"] >= len(self.boxes) for move in moves):  # the hand held a box that has been replaced since
            return
        boxes = self.boxes.copy()
        for move in moves:
            boxes[move["index"]] = move["box"]
        self._moved_by_hand = True
        try:
            self.boxes = boxes
        finally:
            self._moved_by_hand = False
        self.dragging = not change["new"]["final"]

    @traitlets.observe("overlay")
    def _resize_overlay(self, change: dict) -> None:
        self._overlay_size = change["new"].shape[1::-1]

    @traitlets.validate("boxes", "states", "scores", "editable", "captions")
    def _check_number(self, proposal: dict) -> object:
        name, value = proposal["trait"].name, proposal["value"]
        optional = name in ("scores", "captions") and len(value) == 0
        number = len(self.states) if name == "boxes" else len(self.boxes)
        if len(value) != number and not optional:
            raise ValueError(
                f"{name} has {len(value)} entries for {number} boxes; to change their number use set_boxes"
            )
        return value

    @traitlets.validate("filters")
    def _check_filters(self, proposal: dict) -> tuple:
        if unknown := set(proposal["value"]) - set(FILTERS):
            raise ValueError(f"filters can be {' and '.join(FILTERS)}, got {', '.join(map(str, unknown))}")
        return proposal["value"]

    @traitlets.validate("hovered", "selected")
    def _existing(self, proposal: dict) -> int | None:
        """The index, or None if no box has it: the hand may have pointed at a box that Python has just removed."""
        index = proposal["value"]
        return index if index is not None and 0 <= index < len(self.boxes) else None

    @traitlets.validate("palette")
    def _check_palette(self, proposal: dict) -> tuple:
        palette = proposal["value"]
        if not palette or not all(isinstance(state, State) for state in palette):
            raise TypeError("palette must be a tuple of viz.palette.State, at least one")
        state_array(self.states, len(self.states), palette)
        return palette

    @traitlets.validate("overlay_extent")
    def _check_extent(self, proposal: dict) -> tuple:
        if proposal["value"]:
            box_array([proposal["value"]])
        return proposal["value"]


def box_parts(
    boxes: object, states: object, scores: object, captions: Sequence[str] | None, editable: object, palette: tuple
) -> dict:
    """The five traits of a set of boxes, each of the same length, by name; raises what `BoxCanvas.set_boxes` does."""
    boxes = box_array(boxes)
    parts: dict[str, np.ndarray | list[str]] = {
        "boxes": boxes,
        "states": state_array(states, len(boxes), palette),
        "scores": score_array(scores),
        "captions": list(captions or ()),
        "editable": flag_array(editable, len(boxes)),
    }
    for name, values in parts.items():
        optional = name in ("scores", "captions") and len(values) == 0
        if len(values) != len(boxes) and not optional:
            raise ValueError(f"{name} has {len(values)} entries for {len(boxes)} boxes; give one for each")
    return parts


def state_array(states: object, count: int, palette: Sequence[State] = STATES) -> np.ndarray:
    """States as indices into the palette, (N,) uint8, from indices or names; one alone stands for all `count`.

    Raises KeyError for a name and ValueError for an index that the palette has not.
    """
    if isinstance(states, str | int):
        states = [states] * count
    if isinstance(states, Sequence):
        states = [state_index(state, palette) if isinstance(state, str) else state for state in states]
    indices = np.array(states.cpu().numpy() if isinstance(states, torch.Tensor) else states)  # (N,)
    if indices.size and (indices.ndim != 1 or indices.dtype.kind not in "iu"):
        raise TypeError(f"states must be (N,) whole numbers or names, got shape {indices.shape} of {indices.dtype}")
    if indices.size and not (indices.min() >= 0 and indices.max() < len(palette)):
        wrong = indices[(indices < 0) | (indices >= len(palette))][0]
        raise ValueError(f"state {wrong} is not in the palette, whose {len(palette)} states count from 0")
    return indices.astype(np.uint8)


def score_array(scores: object) -> np.ndarray:
    """Scores as (N,) float32, NaN where a box has none; empty for None. Raises ValueError for infinity or a shape."""
    array = np.zeros(0, np.float32) if scores is None else float_array(scores, "scores")
    if array.ndim != 1 or np.isinf(array).any():
        raise ValueError(f"scores must be (N,) finite numbers, or NaN for none; got shape {array.shape}")
    return array


def flag_array(flags: object, count: int) -> np.ndarray:
    """Flags as (N,) bool; one alone stands for all `count`. Raises TypeError where they are no bools."""
    array = np.array(flags.cpu().numpy() if isinstance(flags, torch.Tensor) else flags)
    if array.size and array.dtype != bool:
        raise TypeError(f"editable must be True, False or one of them per box, got {array.dtype}")
    return np.full(count, bool(array)) if array.ndim == 0 else array.astype(bool)


def overlay_array(pixels: object) -> np.ndarray:
    """An overlay as (h, w, 4) uint8; raises ValueError where it is none."""
    array = np.array(pixels)
    if array.ndim != 3 or array.shape[2] != 4 or array.dtype != np.uint8:
        raise ValueError(f"overlay must be (h, w, 4) uint8 RGBA, got {array.shape} {array.dtype}; see set_heatmap")
    return array


def heatmap_parts(values: object, stride: float, alpha: float, colormap: str, offset: float) -> dict:
    """The overlay that `BoxCanvas.set_heatmap` lays over the image, and where: two traits by name."""
    from matplotlib import colormaps

    values = float_array(values, "values")
    if values.ndim != 2 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"a heat map is (h, w) numbers in [0, 1], got shape {values.shape}; rescale it first")
    if offset < 0.5:  # what lies beyond the last centres is nearest to the last cells
        values = np.pad(values, ((0, 1), (0, 1)), mode="edge")
    height, width = values.shape
    corner = (offset - 0.5) * stride
    extent = (corner, corner, corner + width * stride, corner + height * stride)
    pixels = (colormaps[colormap](values, alpha=alpha) * 255).round().astype(np.uint8)  # (h, w, 4)
    return {"overlay_extent": extent, "overlay": pixels}


def _image_traits(pixels: np.ndarray) -> dict:
    height, width = pixels.shape[:2]
    return {"_image_size": (width, height), "_image_bytes": encode_image(pixels)}


def _check_names(widget: type[BoxCanvas], traits: dict) -> None:
    known = set(widget.class_trait_names())
    if unknown := sorted(set(traits) - known):
        public = ", ".join(sorted(name for name in widget.class_own_traits() if not name.startswith("_")))
        raise TypeError(f"{widget.__name__} has no trait {unknown[0]!r}; its own are {public}")
