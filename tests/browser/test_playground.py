"""The playground as a reader has it: a folder behind a plain web server, and nothing else in reach.

What the page computes is held to PyTorch's trace of the same pixels, stage by stage.
"""

import base64
import statistics

import numpy as np
import pytest
import torch
from jupyterlab_driver import PATIENCE
from lesson_driver import PAD, quiet
from site_driver import AXE, RUN_AXE, TOO_WIDE, served

from frcnn_edu.course.blood_cell_detector import load_blood_cell_detector
from frcnn_edu.course.shipped_detector import load_trained
from frcnn_edu.datasets import data_path
from frcnn_edu.training.export import stages

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
HAND_MS = 60
"""From the hand to the drawn picture, for the shipped detector on a quiet machine."""
DRAGS = 50

SETTLED = """() => {
    const { runner, board } = playground;
    const answered = board.pass && runner.current.key === playground.wanted && board.detector === runner.current;
    return answered && !runner.busy && !runner.next && !board.frameRequest;
}"""

BYTES = """const bytes = numbers => {
    const all = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    let text = "";
    for (let at = 0; at < all.length; at += 32768) text += String.fromCharCode(...all.subarray(at, at + 32768));
    return [numbers.constructor.name, btoa(text)];
};"""

OUTPUTS = f"""() => {{
    {BYTES}
    const all = Object.entries(playground.board.pass.outputs);
    return Object.fromEntries(all.map(([name, {{ data, dims }}]) => [name, [...bytes(data), dims]]));
}}"""

IMAGE = f"""() => {{
    {BYTES}
    const {{ pixels, width, height }} = playground.easel.image;
    return [...bytes(pixels), [3, height, width]];
}}"""

DROP = """([name, type, content]) => {
    const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, { type }));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""

KINDS = {"Float32Array": np.float32, "Int32Array": np.int32, "Uint8Array": np.uint8}


def tensor(kind, content, shape):
    return torch.from_numpy(np.frombuffer(base64.b64decode(content), KINDS[kind]).reshape(shape).copy())


class Playground:
    """The page, with the network cut but for its own server."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.address, self.asked, self.problems = address, [], []
        self.page.set_default_timeout(1000 * PATIENCE)
        self.context.route("**/*", self.only_own)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("console", self.note)
        self.page.goto(address)
        self.page.wait_for_selector("#playground[data-ready]")

    def only_own(self, route):
        url = route.request.url
        if url.startswith(self.address):
            self.asked.append(url.removeprefix(self.address))
            route.continue_()
        else:
            self.problems.append(f"asked for {url}")
            route.abort()

    def note(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")

    def run(self):
        self.page.locator("#run").click()
        self.settle()
        return self

    def settle(self):
        """Wait until the last image has been answered and drawn."""
        self.page.wait_for_function(SETTLED)

    def outputs(self):
        return {name: tensor(*parts) for name, parts in self.page.evaluate(OUTPUTS).items()}

    def image(self):
        return tensor(*self.page.evaluate(IMAGE))

    def place(self, x, y):
        """Where a place in the picture lies on the page."""
        stage = self.page.locator("#easel .box-canvas-stage").bounding_box()
        scale = (stage["width"] - 2 * PAD) / self.page.evaluate("playground.easel.image.width")
        return stage["x"] + PAD + x * scale, stage["y"] + PAD + y * scale

    def shapes(self):
        """The middles and the kinds of the shapes."""
        return self.page.evaluate("playground.easel.scene.shapes.map(({ kind, x, y }) => [kind, x, y])")

    def drag(self, start, end, steps=6):
        mouse = self.page.mouse
        mouse.move(*self.place(*start))
        mouse.down()
        mouse.move(*self.place(*end), steps=steps)
        mouse.up()
        self.settle()

    def set_slider(self, name, value):
        self.page.locator(f"#{name} input").fill(str(value))
        self.settle()

    def pictures(self):
        """What every plate shows, by its name, however far the page is scrolled."""
        self.page.evaluate("for (const plate of playground.board.plates) plate.paint()")
        find = """() => Object.fromEntries(
            Object.entries(playground.plates).map(([name, { canvas }]) => [name, canvas.toDataURL()]))"""
        return self.page.evaluate(find)

    def life(self):
        return self.page.locator("#life").inner_text()

    def close(self):
        self.context.close()
        assert self.problems == []


@pytest.fixture(scope="module")
def address(playground_folder):
    with served(playground_folder) as address:
        yield f"{address}/"


@pytest.fixture(scope="module")
def trained():
    return load_trained()


@pytest.fixture
def open_playground(chromium, address):
    opened = []

    def open_one(**options):
        opened.append(Playground(chromium, address, **(options or DESKTOP)))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def shared(chromium, address):
    one = Playground(chromium, address, **DESKTOP).run()
    yield one
    one.close()


@pytest.fixture
def playground(shared):
    """A page that runs, with the first scene on it."""
    shared.page.evaluate("playground.easel.newScene(playground.facts.seed)")
    shared.page.evaluate("playground.board.pinned = null; scrollTo(0, 0)")
    shared.page.mouse.move(0, 0)
    shared.settle()
    return shared


@torch.no_grad()
def assert_equals(found, model, image):
    """Every stage that the page has is what the model answers in PyTorch."""
    expected = stages(model.eval().trace([image]))
    for name in [name for name in found if name.startswith(("features", "rpn.anchors", "rpn.logits"))]:
        torch.testing.assert_close(found[name].float(), expected[name].float(), atol=5e-4, rtol=1e-4, msg=name)
    ours, theirs = by_anchor(found), by_anchor(expected)
    assert ours["suppressor"].keys() == theirs["suppressor"].keys()
    for part in ("box", "class"):
        for anchor, values in theirs[part].items():
            torch.testing.assert_close(ours[part][anchor], values, atol=1e-2, rtol=1e-3, msg=f"{part} of {anchor}")
    for part in ("suppressor", "valid"):
        assert ours[part] == theirs[part], part
    for name, close in (("boxes", 1e-2), ("scores", 1e-4), ("labels", 0), ("anchor_index", 0)):
        torch.testing.assert_close(found[name].double(), expected[name].double(), atol=close, rtol=0, msg=name)
    return len(expected["scores"])


def by_anchor(outputs):
    """What the stages say of each anchor: an order of candidates that score alike may differ."""
    part = {name.rpartition(".")[2]: value for name, value in outputs.items() if name.startswith("rpn.proposals.")}
    anchors = part["anchor_index"].tolist()
    proposals = [anchors[candidate] for candidate in part["kept"].tolist()]
    suppressors = [anchors[by] if by >= 0 else None for by in part["suppressed_by"].tolist()]
    return {
        "box": dict(zip(anchors, part["clipped"], strict=True)),
        "valid": dict(zip(anchors, part["valid"].bool().tolist(), strict=True)),
        "suppressor": dict(zip(anchors, suppressors, strict=True)),
        "class": dict(zip(proposals, outputs["roi.class_logits"].softmax(dim=1), strict=True)),
    }


# --------------------------------------------------------------------------------------------- what is fetched


def test_nothing_of_the_detector_is_fetched_before_it_runs(open_playground):
    playground = open_playground()
    assert set(playground.asked) == {"", "playground.css", "playground.js"}
    playground.run()
    later = set(playground.asked) - {"", "playground.css", "playground.js"}
    assert later == {
        "detector-004000.onnx",
        "worker.js",
        "runtime/ort.wasm.bundle.min.mjs",
        "runtime/ort-wasm-simd-threaded.wasm",
    }


def test_a_hand_that_moves_something_starts_it(open_playground, trained):
    playground = open_playground()
    _, x, y = playground.shapes()[-1]
    playground.drag((x, y), (x + 10, y + 5))
    assert assert_equals(playground.outputs(), trained, playground.image())


def test_from_a_file_the_page_says_how_to_serve_it(chromium, playground_folder):
    page = chromium.new_page()
    page.goto((playground_folder / "index.html").as_uri())
    assert "python -m http.server" in page.locator("#needs-http").inner_text()
    page.close()


# --------------------------------------------------------------------------------------------- what is computed


def test_every_stage_is_pytorchs(playground, trained):
    assert assert_equals(playground.outputs(), trained, playground.image()) > 1


def test_dragging_a_shape_moves_what_is_detected(playground, trained):
    before = playground.shapes()
    index = max(range(len(before)), key=lambda at: before[at][1] < 128)
    _, x, y = before[index]
    playground.drag((x, y), (x + 30, y + 20))
    _, now_x, now_y = playground.shapes()[index]
    assert (now_x - x, now_y - y) == pytest.approx((30, 20), abs=1)
    assert assert_equals(playground.outputs(), trained, playground.image())


def test_a_shape_is_drawn_stretched_repainted_and_removed(playground, trained):
    page = playground.page
    page.get_by_role("button", name="Add a square").click()
    playground.settle()
    page.get_by_role("button", name="Remove").click()
    playground.settle()
    count = len(playground.shapes())
    free = page.evaluate("""() => {
        const { hand } = playground.easel.canvas;
        for (let y = 20; y < 200; y += 6)
            for (let x = 20; x < 200; x += 6)
                if (hand.boxAt(x, y, true) === null && hand.boxAt(x + 3, y + 3, true) === null) return [x, y];
    }""")
    playground.drag(free, (free[0] + 44, free[1] + 40))
    shapes = page.evaluate("playground.easel.canvas.boxes.length / 4 && playground.easel.scene.shapes")
    assert len(shapes) == count + 1
    drawn = shapes[-1]
    assert drawn["kind"] == "square"
    assert (drawn["x"], drawn["y"]) == pytest.approx((free[0] + 22, free[1] + 20), abs=2)
    assert (2 * drawn["a"], 2 * drawn["b"]) == pytest.approx((44, 40), abs=6)
    assert assert_equals(playground.outputs(), trained, playground.image())
    page.get_by_role("button", name="Repaint").click()
    playground.settle()
    assert page.evaluate("playground.easel.scene.shapes.at(-1).paint.colour") != drawn["paint"]["colour"]
    page.locator("#easel .box-canvas-stage").focus()
    page.keyboard.press("Delete")
    playground.settle()
    assert len(playground.shapes()) == count


def test_a_photograph_that_is_dropped_is_looked_at(playground, trained):
    photo = (data_path("blood_cells") / "BloodImage_00018.jpg").read_bytes()
    playground.page.evaluate(DROP, ["cells.jpg", "image/jpeg", base64.b64encode(photo).decode()])
    playground.page.wait_for_function("playground.easel.scene === null")
    playground.settle()
    image = playground.image()
    assert image.shape == (3, 480, 640)
    assert_equals(playground.outputs(), trained, image)


def test_a_detector_of_ones_own_finds_on_a_photograph_what_it_finds_in_python(
    playground, trained, exported_blood_cells
):
    """A pyramid of four levels, with its own size of images and its own classes; afterwards the course's again."""
    playground.page.locator("#detector").set_input_files(exported_blood_cells)
    playground.page.get_by_text(f"{exported_blood_cells.name}, 3 classes").wait_for()
    photo = (data_path("blood_cells") / "BloodImage_00018.jpg").read_bytes()
    playground.page.evaluate(DROP, ["cells.jpg", "image/jpeg", base64.b64encode(photo).decode()])
    playground.page.wait_for_function("playground.easel.scene === null")
    playground.settle()
    model, card = load_blood_cell_detector()
    image, found = playground.image(), playground.outputs()
    assert found["batch.sizes"].tolist() == list(model.eval().trace([image]).batch.sizes[0])
    (expected,) = model([image])
    assert len(expected["labels"]) > 10
    for name, close in (("boxes", 1e-2), ("scores", 1e-4), ("labels", 0)):
        torch.testing.assert_close(found[name].double(), expected[name].double(), atol=close, rtol=0, msg=name)
    assert card.class_names[found["labels"][0]] in playground.life()
    playground.page.get_by_role("button", name="Back to the course's").click()
    playground.settle()
    assert_equals(playground.outputs(), trained, playground.image())


def test_what_cannot_be_used_is_refused_and_the_detector_goes_on(playground, trained):
    playground.page.locator("#camera").click()
    playground.page.locator("#status", has_text="The camera cannot be used").wait_for()
    for name, content in (("notes.onnx", b"not a network"), ("weights.pt", b"PK")):
        playground.page.evaluate(DROP, [name, "", base64.b64encode(content).decode()])
        playground.page.locator("#status", has_text=name).wait_for()
    playground.page.evaluate("playground.easel.newScene(playground.facts.seed + 1)")
    playground.settle()
    assert_equals(playground.outputs(), trained, playground.image())


def test_the_slider_goes_back_through_the_training(playground):
    steps = playground.page.evaluate("playground.facts.snapshots.map(({ step }) => step)")
    name = "detector-000400.onnx"
    assert name not in playground.asked
    playground.set_slider("training", steps.index(400))
    assert_equals(playground.outputs(), load_trained(400), playground.image())
    assert playground.asked.count(name) == 1
    playground.set_slider("training", len(steps) - 1)
    playground.set_slider("training", steps.index(400))
    assert playground.asked.count(name) == 1, "a detector that was fetched is kept"
    playground.set_slider("training", len(steps) - 1)


# --------------------------------------------------------------------------------------------- what is shown


def test_what_is_pointed_at_lights_up_everywhere(playground):
    before, told = playground.pictures(), playground.life()
    plate = playground.page.locator('[data-plate="objectness"] canvas')
    plate.scroll_into_view_if_needed()
    box = plate.bounding_box()
    playground.page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.2 * box["height"])
    anchor = playground.page.evaluate("playground.board.hovered")
    life = playground.page.evaluate(
        "(({ row, column, shape }) => [row, column, shape])(playground.board.pass.life(playground.board.hovered))"
    )
    assert anchor == (life[0] * 16 + life[1]) * 9 + life[2]
    playground.settle()
    assert f"row {life[0]}, column {life[1]}" in playground.life() != told
    after = playground.pictures()
    changed = {name for name in before if before[name] != after[name]}
    assert changed >= {"features", "objectness", "anchors", "top-k", "nms"}
    playground.page.mouse.move(0, 0)
    playground.settle()
    assert playground.life() == told


@pytest.mark.parametrize("name", ["features", "objectness", "anchors", "top-k", "nms", "region", "pooled", "classes"])
def test_every_picture_is_walked_through_by_keys(playground, name):
    plate = playground.page.locator(f'[data-plate="{name}"] canvas')
    assert plate.get_attribute("aria-label")
    plate.focus()
    focus = playground.page.evaluate("playground.board.focus")
    playground.page.keyboard.press("ArrowRight")
    moved = playground.page.evaluate("playground.board.focus")
    assert moved != focus
    playground.page.locator("#said", has_text="Objectness").wait_for(state="attached")
    playground.page.keyboard.press("ArrowLeft")
    assert playground.page.evaluate("playground.board.focus") == focus
    playground.page.keyboard.press("Escape")
    assert playground.page.evaluate("playground.board.pinned") is None


def test_detections_are_listed_as_they_are_scored(playground):
    playground.set_slider("threshold", 0.5)
    scores = playground.outputs()["scores"]
    rows = playground.page.locator("#detections button:visible")
    assert rows.count() == int((scores >= 0.5).sum()) > 0
    shown = [
        float(row) for row in playground.page.locator("#detections button:visible .detection-score").all_inner_texts()
    ]
    assert shown == pytest.approx(scores[: len(shown)].tolist(), abs=0.0051)
    playground.set_slider("threshold", 0.05)
    assert playground.page.locator("#detections button:visible").count() == len(scores)
    playground.set_slider("threshold", 0.5)


def test_a_phone_is_played_on_by_touch(open_playground, trained):
    playground = open_playground(**PHONE)
    page = playground.page
    assert page.evaluate(TOO_WIDE) <= 0
    page.locator("#run").tap()
    playground.settle()
    _, x, y = playground.shapes()[-1]
    touch = page.context.new_cdp_session(page)
    for kind, place in (
        ("touchStart", (x, y)),
        *(("touchMove", (x + k, y + k)) for k in range(3, 22, 3)),
        ("touchEnd", None),
    ):
        points = [dict(zip("xy", playground.place(*place), strict=True))] if place else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    playground.settle()
    _, now_x, now_y = playground.shapes()[-1]
    assert (now_x - x, now_y - y) == pytest.approx((21, 21), abs=1.5)
    assert page.evaluate("scrollY") == 0
    assert_equals(playground.outputs(), trained, playground.image())
    plate = page.locator('[data-plate="objectness"] canvas')
    plate.scroll_into_view_if_needed()
    plate.tap(position={"x": 60, "y": 60})
    assert page.evaluate("playground.board.pinned") is not None
    assert page.evaluate(TOO_WIDE) <= 0


@pytest.mark.parametrize(
    "options", [DESKTOP, DESKTOP | {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"]
)
def test_axe_finds_nothing_serious(open_playground, options):
    """Before the detector runs, and while it does."""
    playground = open_playground(**options)
    for act in (lambda: None, playground.run):
        act()
        playground.page.evaluate("globalThis.axe !== undefined") or playground.page.add_script_tag(path=str(AXE))
        found = playground.page.evaluate(RUN_AXE, [])
        print({fault["id"]: fault["impact"] for fault in found})
        assert [fault for fault in found if fault["impact"] in ("serious", "critical")] == []


@pytest.mark.timing
def test_the_picture_follows_the_hand(playground):
    """From a pointer's move to the drawn stages, one move after the other."""
    _, x, y = playground.shapes()[-1]
    mouse = playground.page.mouse
    mouse.move(*playground.place(x, y))
    mouse.down()
    mouse.move(*playground.place(x + 4, y))
    playground.settle()
    playground.page.evaluate("globalThis.playgroundTimings = []")
    for k in range(DRAGS):
        mouse.move(*playground.place(x + 4 + k % 10, y + k % 7))
        playground.settle()
    mouse.up()
    spent = sorted(playground.page.evaluate("playgroundTimings"))
    median, p95 = statistics.median(spent), spent[int(0.95 * len(spent))]
    print(f"hand to picture, {len(spent)} moves: median {median:.0f} ms, p95 {p95:.0f} ms")
    print(playground.page.locator("#times").inner_text())
    assert median <= HAND_MS or not quiet(), spent
