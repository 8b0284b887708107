"""The page to drop photographs on, served by Voila as `make page` serves it."""

import base64
import io
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from jupyterlab_driver import HOST, PAGE_TIMEOUT, PATIENCE, START_TIMEOUT, announce_file_choosers, free_port
from PIL import Image

from frcnn_edu.course.blood_cell_detector import load_blood_cell_detector
from frcnn_edu.datasets import data_path
from frcnn_edu.explorers.lesson_08_real_images import answer

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DROP = """(area, files) => {
    const carried = new DataTransfer();
    for (const [name, base64] of files) {
        const content = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
        carried.items.add(new File([content], name));
    }
    for (const type of ["dragenter", "dragover", "drop"]) {
        area.dispatchEvent(new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true }));
    }
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where Voila serves the page, on a computer that has no weights of torchvision's."""
    home = tmp_path_factory.mktemp("voila")
    own = {"TORCH_HOME": str(home), "IPYTHONDIR": str(home), "JUPYTER_CONFIG_DIR": str(home)}
    port = free_port()
    command = [sys.executable, "-m", "frcnn_edu", "page", "--no-browser", f"--port={port}"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    url = f"http://{HOST}:{port}"
    for _ in range(START_TIMEOUT * 10):
        assert server.poll() is None, (home / "log").read_text()
        try:
            urllib.request.urlopen(f"{url}/voila/static/", timeout=1)
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.1)
    yield url
    server.terminate()
    server.wait(PATIENCE)
    assert "Traceback" not in (home / "log").read_text()


def refuse(page, route):
    page.outside.append(route.request.url)
    route.abort()


@pytest.fixture(scope="module")
def page(chromium, address):
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(PAGE_TIMEOUT * 1000)
    page.outside = []
    announce_file_choosers(page)
    context.route(re.compile(rf"^https?://(?!{re.escape(HOST)}[:/])"), lambda route: refuse(page, route))
    page.goto(address)
    page.locator(".upload-area").wait_for()
    yield page
    context.close()


def picture_bytes(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


SCENE = (data_path("blood_cells") / "BloodImage_00018.jpg").read_bytes()
LARGE = picture_bytes(Image.linear_gradient("L").resize((2300, 2000)).convert("RGB"), "BMP")


def test_it_says_what_it_knows(page):
    page.get_by_text("The course's own detector answers; it knows only blood").wait_for()


def test_photographs_that_are_dropped_are_answered_a_large_one_and_a_text_too(page):
    assert len(LARGE) > 10 * 2**20, "more than one message may carry"
    model, card = load_blood_cell_detector()
    expected = answer("scene.jpg", SCENE, model, card.class_names)
    assert expected.picture is not None
    assert not expected.sentence.endswith("nothing found")
    files = {"scene.jpg": SCENE, "large.bmp": LARGE, "notes.jpg": b"only text in here"}
    area = page.locator(".upload-area")
    area.evaluate(DROP, [[name, base64.b64encode(content).decode()] for name, content in files.items()])
    area.get_by_text("3 looked at").wait_for()
    page.get_by_text(expected.sentence, exact=True).wait_for()
    page.get_by_text("large.bmp: ").wait_for()
    page.get_by_text("notes.jpg is not an image that Pillow can read").wait_for()
    pictures = page.locator("img[src^='blob:']")
    page.wait_for_function("count => document.querySelectorAll(\"img[src^='blob:']\").length === count", arg=2)
    sizes = pictures.last.evaluate("image => image.decode().then(() => [image.naturalWidth, image.clientWidth])")
    assert sizes[0] == sizes[1] == Image.open(io.BytesIO(expected.picture)).width


def test_what_is_no_file_is_refused_in_words(page):
    area = page.locator(".upload-area")
    area.evaluate(DROP, [])
    area.get_by_text("That was no file").wait_for()


def test_photographs_can_be_chosen_by_keyboard(page):
    before = page.locator("img[src^='blob:']").count()
    button = page.get_by_role("button", name="Choose photographs")
    button.focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([{"name": "chosen.jpg", "mimeType": "image/jpeg", "buffer": SCENE}])
    page.locator(".upload-area").get_by_text("1 looked at").wait_for()
    page.get_by_text(re.compile(r"^chosen.jpg: \d+ found")).wait_for()
    page.wait_for_function("count => document.querySelectorAll(\"img[src^='blob:']\").length === count", arg=before + 1)


def test_nothing_but_voilas_own_icons_was_asked_for_elsewhere(page):
    assert [url for url in page.outside if "/@fortawesome/fontawesome-free@" not in url] == []
