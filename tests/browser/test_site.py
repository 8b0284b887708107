"""The course as pages, in a browser without a network: every page opened, every explorer taken hold of."""

import re

import pytest
from built_explorers import World
from jupyterlab_driver import HOST
from lesson_driver import numbers_in, pixels, place
from lesson_files import LESSONS
from node_tools import install
from site_driver import ANSWERED, BOXES, START_ALL, TOO_WIDE, Reader, served
from small_course import write_small_site
from test_every_explorer_drawn import CONTRASTS

from frcnn_edu.boxes import box_iou

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GROUND = "() => getComputedStyle(document.body).backgroundColor"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
MOST_BYTES = 3_000_000
WORLD = World()
MOVING = sorted(set(WORLD.makers()) - {"FileDrop", "LiveDetector", "Question"})

EXPECTED = {
    "AnchorLife": lambda life: [life.overlaps[life.anchor]],
    "BiographyExplorer": lambda life: [life.iou],
    "BoxCanvas": lambda canvas: [len(canvas.boxes)],
    "BugZooExplorer": lambda zoo: [zoo.results[zoo.chosen.name].map_50],
    "CoverageExplorer": lambda coverage: [coverage.mean, round(100 * coverage.share_covered)],
    "DeltaExplorer": lambda delta: [delta.iou, *delta.deltas.flatten().tolist()],
    "GradientExplorer": lambda one: [value.max().item() for value in one.gradients.values()],
    "GridExplorer": lambda grid: [len(grid.anchors)],
    "HeadsExplorer": lambda heads: [*heads.probabilities.tolist(), *heads.deltas.flatten().tolist()],
    "IoUExplorer": lambda pair: [pair.iou, round(pair.overlap), round(pair.union)],
    "LabelExplorer": lambda lab: [value for kind, value in lab.counts.items() if kind != "ground truth"],
    "LossExplorer": lambda loss: [loss.loss.total.item(), loss.loss.objectness.item()],
    "NmsExplorer": lambda nms: [nms.step, len(set(nms.moments[: nms.step].tolist()) & set(nms.kept.tolist()))],
    "ObjectnessExplorer": lambda maps: [maps.best[1], int((maps.maps[maps.shape] >= 0.5).sum())],
    "OddShapeExplorer": lambda odd: [odd.best_iou],
    "PoolingExplorer": lambda pooling: [box_iou(pooling.box_tensor, pooling.read[None]).item()],
    "PullExplorer": lambda pull: [pull.mean_iou],
    "RatioExplorer": lambda ratio: [ratio.iou, round(ratio.area)],
    "RecallExplorer": lambda recall: list(recall.recall.values()),
    "SampleExplorer": lambda sample: list(sample.tally),
    "SharedExplorer": lambda shared: [int(shared.shares.sum()), shared.num_without],
    "StepsExplorer": lambda steps: [*steps.counts.values(), *steps.reached.values()],
    "TimeMachine": lambda machine: [machine.num_reached, machine.num_right],
    "UsefulExplorer": lambda useful: [useful.counts["all"], useful.counts["high"]],
}
"""The numbers that each explorer shows, as Python computes them."""


@pytest.fixture(scope="module")
def site(site_folder):
    """The whole site, and where it is served."""
    with served(site_folder) as address:
        yield site_folder, address


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A site of one lesson with every explorer, and where it is served."""
    folder = tmp_path_factory.mktemp("workshop")
    write_small_site(folder, WORLD)
    with served(folder / "site") as address:
        yield folder / "site", address


@pytest.fixture
def reader(chromium):
    """Opens pages; afterwards nothing has gone wrong on any."""
    opened = []

    def open_one(address, **options):
        opened.append(Reader(chromium, **options))
        return opened[-1].open(address)

    yield open_one
    for one in opened:
        one.close()
    assert [one.problems for one in opened if one.problems] == []


# every page


@pytest.mark.parametrize("name", ["index", *(path.stem for path in LESSONS)])
def test_a_page_opens_starts_its_explorers_and_is_for_everybody(name, site, reader):
    _, address = site
    opened = reader(f"{address}/{name}.html", reduced_motion="reduce")
    page = opened.page
    assert page.evaluate(START_ALL) == []
    assert page.evaluate(TOO_WIDE) <= 0
    assert page.locator("h1").count() == 1
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    total = sum(opened.loaded.values())
    print(f"{name}: {len(opened.loaded)} requests, {total / 1e6:.2f} MB")
    assert total <= MOST_BYTES or name == "index"
    if not install():
        pytest.skip("npm could not install axe-core")
    assert opened.faults() == []
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.jpThemeLight") == "false"
    opened.settle()
    assert page.evaluate(CONTRASTS) == []


def test_on_a_phone_no_page_is_wider_than_the_screen(site, reader):
    _, address = site
    opened = reader(f"{address}/index.html", **PHONE)
    assert opened.page.evaluate(TOO_WIDE) <= 0
    for path in LESSONS:
        opened.open(f"{address}/{path.stem}.html")
        assert opened.page.evaluate(START_ALL) == []
        assert opened.page.evaluate(TOO_WIDE) <= 0, path.stem


def test_pages_can_be_read_from_a_folder(site, chromium):
    folder, _ = site
    context = chromium.new_context(offline=True)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page.goto((folder / "01_anchors.html").as_uri())
    assert page.evaluate(START_ALL) == []
    page.keyboard.press("/")
    page.keyboard.type("stride")
    page.locator("#search li").first.wait_for()
    for embed in ("grid-explorer", "heads-explorer"):
        page.goto((folder / "embed" / f"{embed}.html").as_uri())
        page.locator(".box-canvas-stage").wait_for()
    context.close()
    assert problems == []


# what can be done on a page


def test_a_card_keeps_its_answer_until_there_is_a_guess_and_remembers_it(site, reader):
    _, address = site
    opened = reader(f"{address}/01_anchors.html")
    page = opened.page
    asking, telling = opened.start("guess"), opened.start("border-count")
    assert telling.get_by_text("Guess first").is_visible()
    slider = asking.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    asking.get_by_role("button", name="This is my guess").press("Enter")
    assert re.search(r"You said \d+ %, it is \d+ %", telling.inner_text())
    assert "it is" not in asking.inner_text()
    said = re.search(r"You said (\d+ %)", telling.inner_text())[1]
    page.reload()
    assert f"You said {said}" in opened.start("border-count").inner_text()
    table = page.locator(".guesses")
    assert said in table.locator("tr").nth(1).inner_text()


def test_the_search_finds_a_section_and_goes_there(site, reader):
    _, address = site
    opened = reader(f"{address}/00_overview.html")
    page = opened.page
    page.keyboard.press("/")
    page.keyboard.type("smooth l1")
    first = page.locator("#search li a").first
    first.wait_for()
    assert "Smooth L1" in first.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/03_rpn_and_loss.html#**")


def test_the_menu_of_a_phone_leads_to_a_lesson_by_touch(site, reader):
    _, address = site
    opened = reader(f"{address}/01_anchors.html", **PHONE)
    page = opened.page
    assert not page.locator("#menu").is_visible()
    page.locator("#open-menu").tap()
    page.locator("#menu .map").get_by_label("proposals: lesson 05").tap()
    page.wait_for_url("**/05_proposals.html")


def test_the_menu_opens_and_closes_by_keyboard(site, reader):
    _, address = site
    page = reader(f"{address}/01_anchors.html", viewport={"width": 900, "height": 1000}).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the text"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#menu").is_visible()
    assert page.evaluate("document.activeElement.closest('#menu') !== null")
    page.keyboard.press("Escape")
    assert not page.locator("#menu").is_visible()
    assert page.evaluate("document.activeElement.id") == "open-menu"


# explorers


def tell_python(opened, name, widget, before):
    """Set Python's explorer as the hand has set the page's since `before`; returns the page's state now."""
    after = opened.state(name.lower())
    answered = opened.page.evaluate(ANSWERED, name.lower())
    changed = {trait: value for trait, value in after.items() if value != before[trait] and trait not in answered}
    widget.set_state(changed)
    return after


def held(opened, name, widget):
    """Drag the first box, or from the middle of the picture, and move the first slider of the panel."""
    page, explorer = opened.page, opened.start(name.lower())
    size = widget.image.shape[1::-1]
    first = (*(widget.boxes.tolist()), (0, 0, *size))[0]
    middle = (first[0] + first[2]) / 2, (first[1] + first[3]) / 2
    x, y = place(explorer, *middle, size, widget.margin)
    before, untouched = pixels(explorer), opened.state(name.lower())
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 9, y + 14, steps=4)
    page.mouse.up()
    opened.settle()
    dragged = tell_python(opened, name, widget, untouched)
    sliders = explorer.locator("input[type=range]:enabled").all()
    for slider in sliders[:1]:
        slider.focus()
        told = slider.get_attribute("aria-valuetext")
        slider.press("ArrowRight")
        slider.get_attribute("aria-valuetext") != told or slider.press("ArrowLeft")
    if name == "BugZooExplorer":
        explorer.get_by_role("radio").first.check()
        explorer.get_by_role("button", name="Show what was measured").click()
    opened.settle()
    assert tell_python(opened, name, widget, dragged) != untouched, "the hand has changed nothing"
    assert pixels(explorer) != before
    return explorer


@pytest.fixture(scope="module")
def opened(workshop, chromium):
    """The page with every explorer."""
    one = Reader(chromium).open(f"{workshop[1]}/01_anchors.html")
    yield one
    one.close()


@pytest.mark.parametrize("name", MOVING)
def test_an_explorer_says_what_python_says(name, opened):
    """Python's own explorer is set as the page's is, and computes the numbers that the page shows."""
    widget = WORLD.makers()[name]()
    text = held(opened, name, widget).inner_text()
    if len(widget.boxes) and widget.editable.all() and name not in ("UsefulExplorer", "LabelExplorer"):
        assert opened.page.evaluate(BOXES, name.lower()) == pytest.approx(widget.boxes.flatten().tolist(), abs=1e-3)
    assert not re.search(r"\b(undefined|NaN|Infinity|null)\b", text), text
    shown = numbers_in(text)
    for expected in EXPECTED[name](widget):
        nearest = min(shown, key=lambda number: abs(number - expected))
        decimals = max(len(str(nearest).partition(".")[2]), 0 if float(expected).is_integer() else 2)
        assert abs(nearest - expected) <= 0.6 * 10.0**-decimals, f"{expected} is not among {shown}"
    assert opened.problems == []


LOAD_PICTURES = """() => Promise.all([...document.images].map(image => {
    image.loading = "eager";
    return image.complete || new Promise(done => image.addEventListener("load", done));
}))"""
"""Pictures that were loaded as they come into view would move all that is below them."""


def test_a_finger_moves_a_box_and_the_page_stays_where_it_is(workshop, reader):
    _, address = workshop
    opened = reader(f"{address}/01_anchors.html", **PHONE)
    page, explorer = opened.page, opened.start("iouexplorer")
    widget = WORLD.makers()["IoUExplorer"]()
    middle = (widget.boxes[0, :2] + widget.boxes[0, 2:]) / 2
    session = page.context.new_cdp_session(page)
    before, boxes = explorer.inner_text(), page.evaluate(BOXES, "iouexplorer")

    def swipe(x, y, dx, dy):
        for step in range(9):
            point = {"x": x + dx * step, "y": y + dy * step}
            kind = "touchMove" if step else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            opened.settle()
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        opened.settle()

    page.evaluate(LOAD_PICTURES)
    explorer.locator(".box-canvas-stage").evaluate(
        "stage => stage.scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    start = place(explorer, *middle.tolist(), widget.image.shape[1::-1])
    scrolled = page.evaluate("scrollY")
    swipe(*start, 4, 5)
    assert page.evaluate("scrollY") == scrolled
    assert page.evaluate(BOXES, "iouexplorer") != boxes
    assert explorer.inner_text() != before
    swipe(start[0], explorer.locator(".box-canvas-readout").bounding_box()["y"], 0, -20)
    assert page.evaluate("scrollY") > scrolled + 50


def test_a_score_that_only_python_could_filter_by_is_answered_from_the_page(workshop, reader):
    _, address = workshop
    opened = reader(f"{address}/01_anchors.html")
    explorer = opened.start("recallexplorer")
    widget = WORLD.makers()["RecallExplorer"]()
    widget.lowest_score = 0.95
    slider = explorer.locator("label", has_text="Score at least").locator("input")
    slider.focus()
    for _ in range(19):
        slider.press("ArrowRight")
    opened.settle()
    assert opened.state("recallexplorer")["lowest_score"] == pytest.approx(0.95)
    shown = numbers_in(explorer.locator(".proposals-table").inner_text())
    assert any(abs(number - widget.counts[-1]) < 0.06 for number in shown)
    assert any(abs(number - widget.recall["detections"]) < 6e-4 for number in shown)


def test_paper_is_white_whatever_the_theme(site, reader):
    _, address = site
    opened = reader(f"{address}/04_box_regression.html", color_scheme="dark")
    assert opened.page.evaluate(GROUND) == "rgb(22, 24, 27)"
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate(GROUND) == "rgb(253, 252, 250)"
    assert not opened.page.locator(".bar").is_visible()


def test_the_theme_stays_from_page_to_page(site, reader):
    _, address = site
    opened = reader(f"{address}/index.html", color_scheme="light")
    opened.page.locator("#theme").click()
    opened.open(f"{address}/02_iou_labeling.html")
    assert opened.page.evaluate("document.documentElement.dataset.jpThemeLight") == "false"
    assert HOST in opened.page.url
