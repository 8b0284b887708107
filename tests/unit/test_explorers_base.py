"""The box canvas as Python sees it: what it takes, what it refuses, what it sends, and what it shows without a browser.

What the script in the browser does with it is tested in tests/browser.
"""

import base64
import io
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from frcnn_edu.datasets import photos
from frcnn_edu.explorers import BoxCanvas, Grid
from frcnn_edu.explorers.bundle import bundle
from frcnn_edu.viz.palette import STATES, State, state_index

IMAGE = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
BOXES = [[1, 2, 30, 20], [5, 5, 50, 35]]


def browser_says(canvas, **state):
    """Hand the widget a message as the browser would."""
    canvas.set_state(state)


def hand_moves(canvas, *moves, final=True):
    """Hand the widget the message that moves boxes, each an index and its new box."""
    moved = [{"index": index, "box": box} for index, box in moves]
    number = canvas._edit.get("number", 0) + 1
    browser_says(canvas, _edit={"number": number, "moves": moved, "final": final})


def sent_to_browser(monkeypatch, canvas):
    """The list that fills with the name of every trait sent from now on."""
    sent = []
    monkeypatch.setattr(canvas, "send_state", lambda key=None: sent.extend({key} if isinstance(key, str) else key))
    return sent


@pytest.mark.parametrize("module", ["frcnn_edu", "frcnn_edu.explorers", "frcnn_edu.viz.palette"])
def test_import_is_light(module):
    code = f"import sys, {module}; print({{'anywidget', 'ipywidgets', 'matplotlib'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize(
    "image",
    [
        IMAGE,
        torch.from_numpy(IMAGE).permute(2, 0, 1) / 255,
        (torch.from_numpy(IMAGE).permute(2, 0, 1) / 255).double(),
        Image.fromarray(IMAGE),
    ],
    ids=["array", "tensor", "double", "pil"],
)
def test_every_kind_of_image_arrives_to_the_pixel(image):
    canvas = BoxCanvas(image)
    arrived = np.asarray(Image.open(io.BytesIO(canvas.get_state()["_image_bytes"])))
    assert np.array_equal(arrived, IMAGE)
    assert canvas.get_state()["_image_size"] == (60, 40)


def test_a_photograph_is_sent_small_and_nearly_as_it_was():
    photo = photos.load("coffee").image
    sent = BoxCanvas(photo).get_state()["_image_bytes"]
    assert len(sent) < 120_000
    arrived = np.asarray(Image.open(io.BytesIO(sent))).astype(float)
    assert np.abs(arrived - 255 * photo.permute(1, 2, 0).numpy()).mean() < 3


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, TypeError, "NoneType"),
        ("photo.jpg", TypeError, "load_image"),
        (np.zeros((40, 60)), ValueError, r"\(H, W, 3\), got \(40, 60\)"),
        (np.zeros((3, 40, 60), np.uint8), ValueError, r"\(H, W, 3\)"),
        (np.zeros((0, 60, 3), np.uint8), ValueError, r"\(0, 60, 3\)"),
        (np.zeros((40, 60, 3)), TypeError, "astype"),
        (torch.zeros(1, 3, 40, 60), ValueError, r"images\[0\]"),
        (torch.zeros(40, 60, 3), ValueError, r"\(3, H, W\)"),
        (torch.zeros(3, 40, 60, dtype=torch.uint8), TypeError, "255"),
        (torch.full((3, 40, 60), 2.0), ValueError, "0, 1"),
        (torch.full((3, 40, 60), float("nan")), ValueError, "0, 1"),
    ],
)
def test_what_is_no_image_is_refused_by_name(image, error, message):
    with pytest.raises(error, match=message):
        BoxCanvas(image)


@pytest.mark.parametrize("boxes", [BOXES, np.array(BOXES), torch.tensor(BOXES, dtype=torch.float64), tuple(BOXES)])
def test_boxes_travel_as_float32_bytes(boxes):
    canvas = BoxCanvas(IMAGE, boxes)
    arrived = np.frombuffer(canvas.get_state()["boxes"], "<f4").reshape(-1, 4)
    assert np.array_equal(arrived, np.array(BOXES, np.float32))
    assert canvas.boxes.dtype == np.float32
    assert torch.equal(canvas.box_tensor, torch.tensor(BOXES).float())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"boxes": [[1, 2, 3]]}, ValueError, r"\(N, 4\)"),
        ({"boxes": [[5, 2, 3, 4]]}, ValueError, r"boxes\[0\].*x2 < x1"),
        ({"boxes": [[1, 2, float("nan"), 4]]}, ValueError, r"boxes\[0\]"),
        ({"boxes": "cat"}, TypeError, "numbers"),
        ({"boxes": BOXES, "states": [0, len(STATES)]}, ValueError, f"state {len(STATES)}"),
        ({"boxes": BOXES, "states": [0, -1]}, ValueError, "state -1"),
        ({"boxes": BOXES, "states": ["cat", "anchor"]}, KeyError, "no state is called 'cat'"),
        ({"boxes": BOXES, "states": [0.5, 1]}, TypeError, "whole numbers"),
        ({"boxes": BOXES, "states": [0]}, ValueError, "states has 1 entries for 2 boxes"),
        ({"boxes": BOXES, "scores": [0.5]}, ValueError, "scores has 1 entries for 2 boxes"),
        ({"boxes": BOXES, "scores": [0.5, float("inf")]}, ValueError, "finite"),
        ({"boxes": BOXES, "captions": ["a"]}, ValueError, "captions has 1 entries"),
        ({"boxes": BOXES, "editable": [True]}, ValueError, "editable has 1 entries"),
        ({"boxes": BOXES, "editable": [0, 1]}, TypeError, "editable"),
        ({"filters": ("colour",)}, ValueError, "score and size"),
        ({"palette": ("red",)}, TypeError, "State"),
        ({"overlay": np.zeros((3, 3))}, ValueError, "RGBA"),
        ({"points": [[1, 2, 3]]}, ValueError, r"points.*\(N, 2\)"),
        ({"lines": [[0, 0, 1, float("nan")]]}, ValueError, "finite"),
        ({"colour": "red"}, TypeError, "no trait 'colour'"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(given, error, message):
    with pytest.raises(error, match=message):
        BoxCanvas(IMAGE, **given)


def test_a_refused_set_of_boxes_leaves_the_old_one():
    canvas = BoxCanvas(IMAGE, BOXES, "positive")
    with pytest.raises(ValueError, match="x2 < x1"):
        canvas.set_boxes([[9, 9, 1, 1]] * 3)
    with pytest.raises(ValueError, match="use set_boxes"):
        canvas.boxes = [[1, 1, 2, 2]] * 3
    with pytest.raises(ValueError, match="not in the palette"):
        canvas.states = [0, 99]
    assert canvas.boxes.tolist() == BOXES
    assert canvas.states.tolist() == [1, 1]


def test_arrays_cannot_be_changed_behind_the_canvass_back():
    given = np.array(BOXES, np.float32)
    canvas = BoxCanvas(IMAGE, given)
    given[0, 0] = 29
    assert canvas.boxes[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        canvas.boxes[0, 0] = 29


def test_states_by_name_index_or_one_for_all():
    canvas = BoxCanvas(IMAGE, BOXES, ["positive", "ignored"])
    assert canvas.states.tolist() == [1, 3]
    canvas.states = "detection"
    assert canvas.states.tolist() == [5, 5]
    canvas.states = torch.tensor([0, 6])
    assert canvas.states.tolist() == [0, 6]


def test_a_new_set_of_boxes_is_one_message(monkeypatch):
    canvas = BoxCanvas(IMAGE, BOXES, selected=1)
    messages = []
    monkeypatch.setattr(canvas, "send_state", lambda key=None: messages.append(set(key)))
    canvas.set_boxes([[1, 1, 2, 2]] * 3, "positive", scores=[0.1, 0.2, 0.3], captions=["a", "b", "c"], editable=True)
    assert len(messages) == 1
    assert {"boxes", "states", "scores", "captions", "editable"} <= set(messages[0])
    assert canvas.selected is None


def test_the_hand_moves_a_box_and_python_hears_but_does_not_answer(monkeypatch):
    canvas = BoxCanvas(IMAGE, BOXES, editable=True)
    sent = sent_to_browser(monkeypatch, canvas)
    heard = []
    canvas.observe(lambda change: heard.append((change["new"][1].tolist(), canvas.dragging)), "boxes")
    hand_moves(canvas, (1, [10, 10, 20, 20]), final=False)
    assert canvas.dragging
    hand_moves(canvas, (1, [11, 10, 21, 20]))
    assert not canvas.dragging
    assert [box for box, _ in heard] == [[10, 10, 20, 20], [11, 10, 21, 20]]
    assert "boxes" not in sent, "a box that comes back late jumps under the hand"
    assert np.frombuffer(canvas.get_state()["boxes"], "<f4")[4:].tolist() == [11, 10, 21, 20], (
        "a reloaded page is behind"
    )


def test_python_can_put_a_moved_box_back(monkeypatch):
    canvas = BoxCanvas(IMAGE, BOXES, editable=True)
    hand_moves(canvas, (0, [10, 10, 20, 20]))
    sent = sent_to_browser(monkeypatch, canvas)
    canvas.boxes = BOXES
    assert sent == ["boxes"]


def test_an_observer_may_correct_the_hand(monkeypatch):
    canvas = BoxCanvas(IMAGE, BOXES, editable=True)
    canvas.observe(
        lambda change: setattr(canvas, "states", "positive" if change["new"][0, 0] > 5 else "negative"), "boxes"
    )
    sent = sent_to_browser(monkeypatch, canvas)
    hand_moves(canvas, (0, [10, 10, 20, 20]), final=False)
    assert canvas.states.tolist() == [1, 1]
    assert sent == ["states"]


def test_a_late_word_about_boxes_that_are_gone_does_no_harm():
    canvas = BoxCanvas(IMAGE, BOXES)
    canvas.set_boxes([[1, 1, 2, 2]])
    hand_moves(canvas, (1, [10, 10, 20, 20]))
    browser_says(canvas, hovered=1)
    assert canvas.boxes.tolist() == [[1, 1, 2, 2]]
    assert canvas.hovered is None


def test_assigning_equal_values_tells_nobody(monkeypatch):
    canvas = BoxCanvas(IMAGE, BOXES, scores=[0.5, float("nan")])
    sent = sent_to_browser(monkeypatch, canvas)
    heard = []
    canvas.observe(heard.append)
    canvas.boxes, canvas.scores = np.array(BOXES), [0.5, float("nan")]
    assert sent == heard == []


@settings(deadline=None)
@given(data=st.data(), number=st.integers(0, 30))
def test_shown_holds_exactly_what_passes_every_filter(data, number):
    numbers = st.floats(0, 100, width=32)
    pairs = data.draw(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=number, max_size=number))
    boxes = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in pairs]
    states = data.draw(st.lists(st.integers(0, 6), min_size=number, max_size=number))
    scores = data.draw(st.lists(st.just(float("nan")) | st.floats(0, 1), min_size=number, max_size=number))
    canvas = BoxCanvas(IMAGE, boxes, np.array(states, int), scores)
    canvas.min_score, canvas.min_size, canvas.hidden_states = data.draw(st.floats(0, 1)), data.draw(numbers), [1, 4]
    for i, (x1, y1, x2, y2) in enumerate(canvas.boxes):
        high = np.isnan(scores[i]) or np.float32(scores[i]) >= np.float32(canvas.min_score)
        large = x2 - x1 >= canvas.min_size and y2 - y1 >= canvas.min_size
        assert canvas.shown[i] == (high and large and states[i] not in (1, 4)), i


def test_repr_is_the_same_every_time():
    canvas = BoxCanvas(IMAGE, BOXES, ["positive", "anchor"])
    assert repr(canvas) == "BoxCanvas(60 x 40 image; 1 anchor, 1 positive)"
    assert repr(BoxCanvas(IMAGE)) == "BoxCanvas(60 x 40 image; no boxes)"


def static_picture(canvas):
    data, _ = canvas._repr_mimebundle_()
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))).convert("RGB")).astype(int)


def test_static_picture_shows_what_the_canvas_shows():
    grey = np.full((100, 200, 3), 128, np.uint8)
    canvas = BoxCanvas(
        grey,
        [[50, 20, 150, 80]],
        "only",
        palette=(State("only", "#FF0000", width=6),),
        width=200,
    )
    picture = static_picture(canvas)
    assert picture.shape[1] == 200
    red = (picture[:100, :, 0] > 200) & (picture[:100, :, 1] < 80)
    rows, columns = np.nonzero(red)
    assert abs(rows.min() - 20) <= 4
    assert abs(rows.max() - 80) <= 4
    assert abs(columns.min() - 50) <= 4
    assert abs(columns.max() - 150) <= 4
    assert red[20:80, 100].sum() < 15, "the box is filled"
    canvas.hidden_states = [0]
    hidden = static_picture(canvas)[:100]
    assert ((hidden[..., 0] > 200) & (hidden[..., 1] < 80)).sum() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[30, 20]]},
        {"lines": [[0, 0, 60, 40]]},
        {"grid": Grid(8, 0.5)},
        {"texts": [(5.0, 5.0, "note")]},
        {"show_captions": True},
        {"margin": 10},
        {"overlay": np.full((4, 4, 4), 200, np.uint8)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_static_picture_has_every_layer(change):
    plain = BoxCanvas(IMAGE, BOXES, captions=["a", "b"], width=300)
    layered = BoxCanvas(IMAGE, BOXES, captions=["a", "b"], width=300, **change)
    a, b = static_picture(plain), static_picture(layered)
    assert a.shape != b.shape or np.abs(a - b).max() > 40


@pytest.mark.parametrize("x", [0, 250, 310])
def test_a_caption_ends_on_the_static_picture(x):
    image, box = np.zeros((320, 320, 3), np.uint8), [x, 40, x + 8, 60]
    canvas = BoxCanvas(image, [box], captions=["standing bar 1.00"], show_captions=True, width=420)
    figure = canvas.figure()
    (text,) = figure.axes[0].texts
    assert 0 <= text.get_window_extent().x0 < text.get_window_extent().x1 <= figure.bbox.x1


def test_a_subclass_adds_to_the_static_picture():
    class Explorer(BoxCanvas):
        def draw(self, axes):
            axes.plot([0, 60], [0, 40], color="red", linewidth=8)

    picture = static_picture(Explorer(np.zeros((40, 60, 3), np.uint8), width=300))
    assert ((picture[..., 0] > 200) & (picture[..., 1] < 80)).any()


def test_a_page_without_a_kernel_falls_back_to_the_picture():
    from nbconvert import HTMLExporter

    canvas = BoxCanvas(IMAGE, BOXES)
    data, metadata = canvas._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    output = nbformat.v4.new_output("execute_result", data, metadata=metadata, execution_count=1)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("canvas", outputs=[output], execution_count=1)]
    )
    html, _ = HTMLExporter().from_notebook_node(notebook)
    assert f"data:image/jpeg;base64,{data['image/jpeg']}"[:200] in html
    assert canvas.model_id not in html


def test_heat_map_lies_on_its_cells():
    canvas = BoxCanvas(IMAGE)
    canvas.set_heatmap(torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]), stride=16, alpha=0.5)
    assert canvas.overlay.shape == (3, 2, 4)
    assert canvas.overlay_extent == (0, 0, 32, 48)
    assert set(canvas.overlay[..., 3].ravel()) == {128}
    assert canvas.get_state()["_overlay_size"] == (2, 3)
    canvas.set_heatmap([[0.0, 1.0]], stride=16, offset=0)  # round the points where anchors of offset 0 stand
    assert canvas.overlay_extent == (-8, -8, 40, 24), "beyond the last centres the last cells go on"
    assert canvas.overlay.shape == (2, 3, 4)
    with pytest.raises(ValueError, match="rescale"):
        canvas.set_heatmap([[2.0]], 16)
    with pytest.raises(ValueError, match="stride"):
        Grid(0)


def test_states_differ_by_line_as_well_as_by_hue():
    assert [state.key for state in STATES] == [
        "anchor", "positive", "negative", "ignored", "ground truth", "detection", "suppressed",
    ]  # fmt: skip
    assert len({(state.dash, state.width) for state in STATES}) == len(STATES)
    assert len({state.color for state in STATES}) == len(STATES)
    assert [state_index(state.key) for state in STATES] == list(range(len(STATES)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": ""}, "key"),
        ({"color": "red"}, "#rrggbb"),
        ({"width": 0}, "width"),
        ({"dash": (3,)}, "pairs"),
        ({"dash": (3, 0)}, "above 0"),
    ],
)
def test_a_state_that_cannot_be_drawn_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        State(**{"key": "mine", "color": "#123456"} | given)


def test_bundle_joins_scripts_and_keeps_their_names_apart(tmp_path):
    (tmp_path / "base.js").write_text(
        "const own = 1;\nconst base = () => own;\nexport { base };\nexport default { own };\n"
    )
    (tmp_path / "twice.js").write_text('import { base } from "./base.js";\nconst own = 2;\nexport { own };\n')
    script = 'import { base } from "./base.js";\nimport { own } from "./twice.js";\nexport default { base, own };\n'
    (tmp_path / "entry.js").write_text(script)
    text = bundle(tmp_path / "entry.js")
    assert text.count("const own = 1;") == 1
    assert text.count("export default") == 1
    assert "import" not in text
    assert text.index("const own = 1;") < text.index("const own = 2;") < text.index("export default { base, own };")


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("const nothing = 1;\n", ValueError, "export default"),
        ('import { x } from "./nowhere.js";\nexport default x;\n', FileNotFoundError, "nowhere.js"),
        ('import x from "https://elsewhere.example/x.js";\nexport default x;\n', ValueError, "cannot bundle"),
    ],
)
def test_bundle_refuses_what_it_cannot_join(tmp_path, script, error, message):
    (tmp_path / "entry.js").write_text(script)
    with pytest.raises(error, match=message):
        bundle(tmp_path / "entry.js")


def test_no_script_asks_the_network():
    text = BoxCanvas._esm + BoxCanvas._css
    assert "http" not in text
    assert "fetch(" not in text
