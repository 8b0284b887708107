"""Drawings: every box at its place, no label cut off, no trace in pyplot."""

import subprocess
import sys
from itertools import combinations, pairwise

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Text

from frcnn_edu import viz
from frcnn_edu.datasets import photos
from frcnn_edu.viz.architecture import BLOCKS, MAP_SIZE, STAGES
from frcnn_edu.viz.box_plots import MOST_SEAMS
from frcnn_edu.viz.labels import BoxLabel, overlap
from frcnn_edu.viz.palette import STATES

HEIGHT, WIDTH = 120, 200
IMAGE = torch.linspace(0, 1, 3 * HEIGHT * WIDTH).reshape(3, HEIGHT, WIDTH)
BOXES = torch.tensor([[10.0, 20.0, 60.0, 90.0], [0.0, 0.0, 200.0, 120.0], [150.5, 80.25, 199.0, 119.0]])
HALF_PIXEL = 0.5


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def drawn_boxes(ax):
    """Every box on the axes with the name of its state, [(name, (4,))]; asserts that each is a rectangle."""
    collections = [one for one in ax.collections if isinstance(one, PolyCollection)]
    found = []
    for one in collections:
        corners = [path.vertices[:4] for path in one.get_paths()]
        for four in corners:
            (x1, y1), (x2, y2) = four.min(axis=0), four.max(axis=0)
            assert four.tolist() == [[x1, y1], [x2, y1], [x2, y2], [x1, y2]], "not a rectangle"
            found.append((one.get_label(), np.array([x1, y1, x2, y2])))
    return found


def texts(ax):
    """Every visible text in the figure."""
    return [one for one in ax.figure.findobj(Text) if one.get_text() and one.get_visible()]


def assert_inside(extent, frame, what):
    low, high = extent.min - frame.min, frame.max - extent.max
    assert min(*low, *high) >= -HALF_PIXEL, f"{what} sticks out by {-min(*low, *high):.1f} px"


def assert_nothing_is_cut_off(ax):
    ax.figure.canvas.draw()
    inches = ax.figure.get_tightbbox(ax.figure.canvas.get_renderer())
    assert_inside(inches.transformed(ax.figure.dpi_scale_trans), ax.figure.bbox, "the drawing")


# Images


@pytest.mark.parametrize("shape", [(3, 4, 6), (1, 4, 6), (4, 6)])
def test_an_image_extends_from_0_to_its_width_and_height(shape):
    shown = viz.show_image(torch.rand(shape)).images[0]
    assert shown.get_extent() == [0, 6, 4, 0]
    assert shown.get_array().shape == (4, 6, 3)


def test_an_image_keeps_its_colours_and_its_orientation():
    image = torch.zeros(3, 4, 6)
    image[0, 0, 1] = 1  # red, row 0, column 1
    array = viz.show_image(image).images[0].get_array()
    assert np.argwhere(array.sum(axis=2) > 0).tolist() == [[0, 1]]
    assert array[0, 1].tolist() == [1, 0, 0]


BAD_IMAGES = {
    "numpy": (np.zeros((3, 4, 6)), TypeError, "ndarray.*load_image"),
    "channels last": (torch.zeros(4, 6, 3), ValueError, r"\(4, 6, 3\).*permute"),
    "batch": (torch.zeros(1, 3, 4, 6), ValueError, r"\(1, 3, 4, 6\)"),
    "bytes": (torch.zeros(3, 4, 6, dtype=torch.uint8), TypeError, "divide by 255"),
    "0 to 255": (torch.full((3, 4, 6), 255.0), ValueError, "255"),
    "normalised": (torch.full((3, 4, 6), -1.5), ValueError, "-1.5.*normalisation"),
    "NaN": (torch.full((3, 4, 6), torch.nan), ValueError, "nan"),
    "no pixels": (torch.zeros(3, 0, 6), ValueError, r"\(3, 0, 6\)"),
}


@pytest.mark.parametrize(
    "draw", [viz.show_image, lambda i: viz.draw_boxes(i, BOXES), lambda i: viz.draw_anchors(i, BOXES)]
)
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_an_invalid_image_raises_before_a_figure_is_made(draw, case):
    image, error, message = BAD_IMAGES[case]
    with pytest.raises(error, match=message):
        draw(image)
    assert plt.get_fignums() == []


# Boxes


@st.composite
def boxes_with_states(draw):
    count = draw(st.integers(0, 12))
    numbers = st.floats(0, HEIGHT, width=32)
    corners = torch.tensor(draw(st.lists(st.tuples(*[numbers] * 4), min_size=count, max_size=count))).reshape(-1, 4)
    low, high = torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])
    states = draw(st.lists(st.integers(0, len(STATES) - 1), min_size=count, max_size=count))
    return torch.cat((low, high), dim=1).float(), torch.tensor(states, dtype=torch.int64)


@given(boxes_with_states())
@settings(max_examples=25, deadline=None)
def test_every_box_is_drawn_once_where_it_is_in_its_state(case):
    boxes, states = case
    found = drawn_boxes(viz.draw_boxes(IMAGE, boxes, states=states))
    plt.close("all")
    expected = [(STATES[state].label, *box) for state, box in zip(states.tolist(), boxes.tolist(), strict=True)]
    assert sorted((name, *box) for name, box in found) == sorted(expected)


def test_states_differ_in_hue_and_in_line():
    ax = viz.draw_boxes(IMAGE, BOXES[:1].repeat(len(STATES), 1), states=[state.key for state in STATES])
    looks = [
        (tuple(one.get_edgecolor()[0]), (one.get_linewidth()[0], str(one.get_linestyle()[0]))) for one in ax.collections
    ]
    assert len(looks) == len(STATES)
    for first, second in combinations(looks, 2):
        assert first[0] != second[0]
        assert first[1] != second[1], "alike for those who see no hue"


@pytest.mark.parametrize(("scores", "state"), [(None, "ground truth"), (torch.tensor([0.9, 0.5, 0.1]), "detection")])
def test_boxes_with_scores_are_detections_and_others_ground_truth(scores, state):
    assert {name for name, _ in drawn_boxes(viz.draw_boxes(IMAGE, BOXES, scores=scores))} == {state}


def labels(ax):
    return [one for one in ax.get_children() if isinstance(one, BoxLabel)]


def test_labels_are_class_and_score():
    scores = torch.tensor([0.987, 0.5, 0.0])
    ax = viz.draw_boxes(IMAGE, BOXES, torch.tensor([1, 2, 1]), scores, class_names=("background", "cat", "dog"))
    assert [one.get_text() for one in labels(ax)] == ["cat 0.99", "dog 0.50", "cat 0.00"]
    assert [one.get_text() for one in labels(viz.draw_boxes(IMAGE, BOXES, ["a", "b", "c"]))] == ["a", "b", "c"]
    assert [one.get_text() for one in labels(viz.draw_boxes(IMAGE, BOXES, scores=scores))] == ["0.99", "0.50", "0.00"]
    assert labels(viz.draw_boxes(IMAGE, BOXES)) == []


@pytest.mark.parametrize("name", photos.names())
@pytest.mark.parametrize("dpi", [72, 100, 180])
def test_labels_stay_inside_the_image_and_do_not_overlap(name, dpi):
    photo = photos.load(name)
    ax = viz.draw_boxes(photo.image, photo.boxes, photo.labels, class_names=photo.class_names, title=name)
    ax.figure.set_dpi(dpi)
    assert_nothing_is_cut_off(ax)
    for label in labels(ax):
        assert_inside(label.get_window_extent(), ax.bbox, label.get_text())
        assert_inside(label.place, ax.bbox, f"the patch of {label.get_text()}")
    assert not any(overlap(first.place, second.place) for first, second in combinations(labels(ax), 2))


def test_a_label_in_each_corner_is_moved_inside():
    corners = torch.tensor([[0, 0, 8, 8], [192, 0, 200, 8], [0, 112, 8, 120], [192, 112, 200, 120]]).float()
    ax = viz.draw_boxes(IMAGE, corners, ["a rather long label"] * 4)
    ax.figure.canvas.draw()
    for label in labels(ax):
        assert_inside(label.place, ax.bbox, "the label")


def test_labels_move_when_the_figure_is_resized():
    ax = viz.draw_boxes(IMAGE, BOXES, ["one", "two", "three"])
    ax.figure.canvas.draw()
    before = [label.place.x0 for label in labels(ax)]
    ax.figure.set_size_inches(14, 10)
    ax.figure.canvas.draw()
    assert before != [label.place.x0 for label in labels(ax)]
    assert all(ax.bbox.x0 - 1 <= label.place.x0 <= label.place.x1 <= ax.bbox.x1 + 1 for label in labels(ax))


@pytest.mark.parametrize("state", [state.key for state in STATES])
def test_labels_can_be_read_on_their_ground(state):
    """Contrast as the web's accessibility guidelines define it, at least 3 : 1, their bound for bold or large type."""

    def luminance(color):
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))

    (label,) = labels(viz.draw_boxes(IMAGE, BOXES[:1], ["name"], states=state))
    pair = sorted(luminance(color) for color in (label.get_color(), label.get_bbox_patch().get_facecolor()[:3]))
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3


def test_several_states_get_a_legend_with_counts_and_one_does_not():
    ax = viz.draw_boxes(IMAGE, BOXES, states=["positive", "negative", "positive"])
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["positive (2)", "negative (1)"]
    assert viz.draw_boxes(IMAGE, BOXES).get_legend() is None


def test_the_longest_legend_is_not_cut_off():
    assert_nothing_is_cut_off(viz.draw_boxes(IMAGE, BOXES[:1].repeat(7, 1), states=torch.arange(7), title="all"))


def test_many_boxes_are_drawn_without_dark_outlines():
    few, many = (viz.draw_boxes(IMAGE, BOXES[:1].repeat(n, 1)) for n in (MOST_SEAMS, MOST_SEAMS + 1))
    assert few.collections[0].get_path_effects()
    assert not many.collections[0].get_path_effects()
    assert len(drawn_boxes(many)) == MOST_SEAMS + 1


def test_without_boxes_only_the_image_is_drawn():
    ax = viz.draw_boxes(IMAGE, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    assert drawn_boxes(ax) == labels(ax) == []
    assert len(ax.images) == 1


def test_boxes_with_gradients_are_drawn_and_not_changed():
    boxes = BOXES.clone().requires_grad_()
    viz.draw_boxes(IMAGE, boxes * 1, scores=boxes[:, 0] / 200)
    viz.draw_anchors(IMAGE, boxes * 1, gt_boxes=boxes * 1)
    assert torch.equal(boxes, BOXES)


BAD_CALLS = {
    "ints": (lambda: viz.draw_boxes(IMAGE, BOXES.int()), TypeError, "must be floats"),
    "xywh": (lambda: viz.draw_boxes(IMAGE, BOXES[:, [2, 3, 0, 1]]), ValueError, "box_convert"),
    "NaN": (lambda: viz.draw_boxes(IMAGE, BOXES * torch.nan), ValueError, "finite"),
    "labels short": (lambda: viz.draw_boxes(IMAGE, BOXES, ["cat"]), ValueError, "3 boxes, 1 labels"),
    "scores long": (lambda: viz.draw_boxes(IMAGE, BOXES, scores=torch.ones(4)), ValueError, "3 boxes, 4 scores"),
    "states short": (lambda: viz.draw_boxes(IMAGE, BOXES, states=["anchor"]), ValueError, "3 boxes, 1 states"),
    "unknown state": (lambda: viz.draw_boxes(IMAGE, BOXES, states="lost"), KeyError, "'lost'.*positive"),
    "state index": (lambda: viz.draw_boxes(IMAGE, BOXES, states=torch.tensor([0, 1, 99])), ValueError, "99"),
    "negative state": (lambda: viz.draw_boxes(IMAGE, BOXES, states=torch.tensor([0, 1, -1])), ValueError, "-1"),
    "unnamed class": (
        lambda: viz.draw_boxes(IMAGE, BOXES, torch.tensor([0, 1, 2]), class_names=("background", "cat")),
        ValueError,
        "label 2 has no name",
    ),
    "gt_boxes": (lambda: viz.draw_anchors(IMAGE, BOXES, gt_boxes=BOXES.int()), TypeError, "gt_boxes must be floats"),
    "anchors": (lambda: viz.draw_anchors(IMAGE, BOXES[0]), ValueError, r"anchors must have shape \(N, 4\)"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_invalid_arguments_raise_before_a_figure_is_made(case):
    call, error, message = BAD_CALLS[case]
    with pytest.raises(error, match=message):
        call()
    assert plt.get_fignums() == []


# Anchors


def test_the_view_is_extended_to_anchors_across_the_border():
    anchors = torch.tensor([[-40.0, 10.0, 20.0, 50.0], [150.0, 60.0, 190.0, 300.0]])
    ax = viz.draw_anchors(IMAGE, anchors)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert left < -40
    assert (top, right) == (0, WIDTH), "no margin where no anchor crosses the border"
    assert bottom > 300
    assert viz.draw_anchors(IMAGE, BOXES).get_xlim() == (0, WIDTH)


def test_anchors_have_dots_at_their_centres_and_ground_truth_over_them():
    ax = viz.draw_anchors(IMAGE, BOXES[:2], gt_boxes=BOXES[2:])
    (dots,) = (one for one in ax.collections if isinstance(one, PathCollection))
    assert dots.get_offsets().tolist() == ((BOXES[:2, :2] + BOXES[:2, 2:]) / 2).tolist()
    assert [name for name, _ in drawn_boxes(ax)] == ["anchor", "anchor", "ground truth"]


def test_without_anchors_image_and_ground_truth_are_drawn():
    ax = viz.draw_anchors(IMAGE, torch.zeros(0, 4), gt_boxes=BOXES)
    assert [name for name, _ in drawn_boxes(ax)] == ["ground truth"] * 3


# Heat maps


def test_offset_0_centres_the_first_cell_on_the_corner():
    ax = viz.draw_heat_map(IMAGE, torch.rand(8, 13), stride=16, offset=0)
    assert list(ax.images[1].get_extent()) == [-8, 14 * 16 - 8, 9 * 16 - 8, -8]
    array = ax.images[1].get_array()
    assert (array[-1] == array[-2]).all(), "beyond the last centres the last cells go on"


def test_a_heat_map_covers_its_image_cell_by_cell():
    heat = torch.arange(6.0).reshape(2, 3)
    ax = viz.draw_heat_map(IMAGE, heat, label="score")
    overlay = ax.images[1]
    assert overlay.get_extent() == [0, WIDTH, HEIGHT, 0]
    assert overlay.get_array().tolist() == heat.tolist()
    assert overlay.get_clim() == (0, 5)
    assert overlay.get_interpolation() == "nearest"
    assert "score" in {one.get_text() for one in texts(ax)}
    assert_nothing_is_cut_off(ax)


def test_with_a_stride_cells_have_that_size_and_the_view_is_the_image():
    ax = viz.draw_heat_map(IMAGE, torch.rand(8, 13), stride=16)
    assert ax.images[1].get_extent() == [0, 13 * 16, 8 * 16, 0]
    assert ax.get_xlim() == (0, WIDTH)
    assert ax.get_ylim() == (HEIGHT, 0)


def test_nan_is_transparent():
    heat = torch.tensor([[0.0, torch.nan], [1.0, 2.0]])
    array = viz.draw_heat_map(IMAGE, heat).images[1].get_array()
    assert np.ma.getmaskarray(array).tolist() == [[False, True], [False, False]]


BAD_HEAT = {
    "list": (([[1.0]],), {}, TypeError, "list"),
    "channels": ((torch.rand(9, 4, 5),), {}, ValueError, r"\(9, 4, 5\).*channel"),
    "infinite": ((torch.full((2, 2), torch.inf),), {}, ValueError, "infinity"),
    "only NaN": ((torch.full((2, 2), torch.nan),), {}, ValueError, "NaN"),
    "limits": ((torch.rand(2, 2),), {"limits": (1.0, 1.0)}, ValueError, "low < high"),
    "alpha": ((torch.rand(2, 2),), {"alpha": 2.0}, ValueError, r"\[0, 1\]"),
    "stride": ((torch.rand(2, 2),), {"stride": 0}, ValueError, "stride"),
}


@pytest.mark.parametrize("case", BAD_HEAT)
def test_an_invalid_heat_map_raises_before_a_figure_is_made(case):
    arguments, options, error, message = BAD_HEAT[case]
    with pytest.raises(error, match=message):
        viz.draw_heat_map(IMAGE, *arguments, **options)
    assert plt.get_fignums() == []


# Curves


def test_curves_are_plotted_over_their_positions():
    ax = viz.plot_curves({"loss": [3, 2, 1], "other": torch.tensor([1.0, torch.nan, 0.0])}, x=[10, 20, 30])
    loss, other = ax.get_lines()
    assert loss.get_xydata().tolist() == [[10, 3], [20, 2], [30, 1]]
    assert np.isnan(other.get_ydata()).tolist() == [False, True, False]
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["loss", "other"]


def test_curves_of_different_lengths_start_at_0():
    short, long = viz.plot_curves({"short": [1, 2], "long": [1, 2, 3]}).get_lines()
    assert short.get_xdata().tolist() == [0, 1]
    assert long.get_xdata().tolist() == [0, 1, 2]


def test_seven_curves_differ_in_hue_in_dashes_and_in_marker():
    ax = viz.plot_curves({str(n): [n, n + 1] for n in range(7)}, x_label="step", y_label="loss", title="seven")
    for first, second in combinations(ax.get_lines(), 2):
        assert first.get_color() != second.get_color()
        assert first.get_marker() != second.get_marker()
        assert first._dash_pattern != second._dash_pattern
    assert_nothing_is_cut_off(ax)


@pytest.mark.parametrize(
    ("curves", "x", "message"),
    [
        ({}, None, "got 0"),
        ({str(n): [1] for n in range(8)}, None, "got 8"),
        ({"loss": [1, 2]}, [1, 2, 3], "x has 3 positions, but curve 'loss' 2"),
        ({"loss": []}, None, r"'loss' must have shape \(N,\).*\(0,\)"),
        ({"loss": torch.rand(2, 2)}, None, r"'loss' must have shape.*\(2, 2\)"),
    ],
)
def test_invalid_curves_raise_before_a_figure_is_made(curves, x, message):
    with pytest.raises(ValueError, match=message):
        viz.plot_curves(curves, x)
    assert plt.get_fignums() == []


# The diagram of the architecture


def frames(ax):
    """The frames of the diagram, {stage: [patch]}."""
    found = {}
    for patch in ax.patches:
        if isinstance(patch, FancyBboxPatch):
            found.setdefault(patch.get_gid(), []).append(patch)
    return found


def test_every_stage_is_in_the_diagram():
    assert set(frames(viz.draw_architecture())) == set(STAGES)
    assert {block.stage for block in BLOCKS} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_highlighted_stage_has_a_heavy_frame_and_bold_text(stage):
    ax = viz.draw_architecture(stage)
    for name, patches in frames(ax).items():
        for patch in patches:
            assert (patch.get_linewidth() > 3) == (name == stage)
    bold = {one.get_text() for one in texts(ax) if one.get_weight() == "bold"}
    titles = {block.title for block in BLOCKS if block.stage == stage}
    others = {block.title for block in BLOCKS} - titles
    assert titles <= bold
    assert not bold & others


def test_a_highlighted_stage_is_visible_without_colour():
    """In grey, its frame is darker than all others."""
    ax = viz.draw_architecture("rpn")
    grey = {name: sum(patches[0].get_edgecolor()[:3]) / 3 for name, patches in frames(ax).items()}
    assert grey.pop("rpn") == 0
    assert min(grey.values()) > 0.3


def test_without_a_stage_nothing_is_highlighted():
    widths = {patch.get_linewidth() for patches in frames(viz.draw_architecture()).values() for patch in patches}
    assert len(widths) == 1


def test_several_stages_can_be_highlighted():
    ax = viz.draw_architecture(["rpn", "loss"])
    assert {name for name, patches in frames(ax).items() if patches[0].get_linewidth() > 3} == {"rpn", "loss"}


@pytest.mark.parametrize("lit", [None, STAGES], ids=["none", "all"])
def test_titles_stay_in_their_frames_and_all_text_in_the_diagram(lit):
    """All highlighted is the hard case: bold text is wider."""
    ax = viz.draw_architecture(lit)
    assert_nothing_is_cut_off(ax)
    places = {text.get_text(): text.get_window_extent() for text in texts(ax)}
    for patch, block in zip((p for p in ax.patches if isinstance(p, FancyBboxPatch)), BLOCKS, strict=True):
        assert_inside(places[block.title], patch.get_window_extent(), block.title)


def test_text_is_legible_where_a_page_shrinks_the_diagram():
    """JupyterLab at 1280 px leaves about 840 px for an image; text is then still 9 px high."""
    ax = viz.draw_architecture()
    ax.figure.canvas.draw()
    shrunk = 840 / ax.figure.bbox.width
    assert min(one.get_fontsize() for one in texts(ax)) * ax.figure.dpi / 72 * shrunk >= 9


def test_blocks_do_not_overlap_and_lie_inside_the_diagram():
    for first, second in combinations([block.frame for block in BLOCKS], 2):
        apart_x = first.x + first.width < second.x or second.x + second.width < first.x
        apart_y = first.y + first.height < second.y or second.y + second.height < first.y
        assert apart_x or apart_y
    for block in BLOCKS:
        assert 0 <= block.frame.x <= block.frame.at(1, 1)[0] <= MAP_SIZE[0]
        assert 0 <= block.frame.y <= block.frame.at(1, 1)[1] <= MAP_SIZE[1]


def on_border(point, frame):
    x, y = (point[0] - frame.x) / frame.width, (point[1] - frame.y) / frame.height
    inside = -1e-6 <= x <= 1 + 1e-6 and -1e-6 <= y <= 1 + 1e-6
    return inside and min(abs(x), abs(1 - x), abs(y), abs(1 - y)) < 1e-6


def test_every_arrow_leads_from_block_to_block_and_crosses_none():
    arrows = [p._path_original.vertices for p in viz.draw_architecture().patches if isinstance(p, FancyArrowPatch)]
    arrows = [arrow for arrow in arrows if any(on_border(arrow[0], block.frame) for block in BLOCKS)]
    assert len(arrows) == 16
    for arrow in arrows:
        assert any(on_border(arrow[-1], block.frame) for block in BLOCKS), arrow
        for start, end in pairwise(arrow):
            for step in np.linspace(0.02, 0.98, 49):
                x, y = start + step * (end - start)
                within = [
                    s.title
                    for s in BLOCKS
                    if s.frame.x < x < s.frame.at(1, 1)[0] and s.frame.y < y < s.frame.at(1, 1)[1]
                ]
                assert not within, f"the arrow {arrow.tolist()} crosses {within}"


def test_an_unknown_stage_raises_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'neck'.*backbone, anchors"):
        viz.draw_architecture(["rpn", "neck"])
    assert plt.get_fignums() == []


# On given axes, in new figures, in files

DRAWINGS = {
    "image": lambda ax: viz.show_image(IMAGE, ax=ax),
    "boxes": lambda ax: viz.draw_boxes(IMAGE, BOXES, ["a", "b", "c"], ax=ax),
    "anchors": lambda ax: viz.draw_anchors(IMAGE, BOXES, ax=ax),
    "heat map": lambda ax: viz.draw_heat_map(IMAGE, torch.rand(3, 4), ax=ax),
    "curves": lambda ax: viz.plot_curves({"loss": [1, 2]}, ax=ax),
    "map": lambda ax: viz.draw_architecture("rpn", ax=ax),
}


@pytest.mark.parametrize("case", DRAWINGS)
def test_a_drawing_on_given_axes_does_not_change_the_state_of_pyplot(case):
    fig, (left, right) = plt.subplots(1, 2)
    plt.sca(right)
    settings_before = dict(mpl.rcParams)
    assert DRAWINGS[case](left) is left
    assert plt.get_fignums() == [fig.number]
    assert plt.gcf() is fig
    assert dict(mpl.rcParams) == settings_before
    assert not right.has_data()


@pytest.mark.parametrize("case", DRAWINGS)
def test_a_drawing_without_axes_makes_one_figure_in_pyplot(case):
    ax = DRAWINGS[case](None)
    assert plt.get_fignums() == [ax.figure.number]


@pytest.mark.parametrize("case", DRAWINGS)
def test_a_drawing_can_be_saved_as_a_notebook_saves_it(case, tmp_path):
    DRAWINGS[case](None).figure.savefig(tmp_path / "a.png", bbox_inches="tight")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_matplotlib_is_imported_with_the_first_drawing():
    code = (
        "import sys, frcnn_edu.viz, frcnn_edu.viz.palette; assert 'matplotlib' not in sys.modules; "
        "assert 'draw_boxes' in dir(frcnn_edu.viz); frcnn_edu.viz.draw_boxes; assert 'matplotlib' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_of_viz_exists():
    assert all(callable(getattr(viz, name)) for name in viz.__all__)
    with pytest.raises(AttributeError, match="draw_boxes"):
        viz.draw_everything  # noqa: B018
