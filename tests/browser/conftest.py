"""One JupyterLab and one Chromium for all browser tests; one page and one kernel for each notebook."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest
from jupyterlab_driver import CHROMIUM_FLAGS, NO_CHROMIUM, LabServer, Notebook, find_chromium
from lesson_driver import SCREEN

from frcnn_edu.site import exporter
from frcnn_edu.site.playground.build import write as write_playground

VIEWPORT = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A Chromium that playwright steers; skips, saying how to get one, where there is none."""
    path = find_chromium()
    if path is None:
        pytest.skip(NO_CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A JupyterLab over an empty folder."""
    server = LabServer(tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def playground_folder(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The playground's page."""
    return made_once("playground", write_playground)


@pytest.fixture(scope="session")
def site_folder(made_once: Callable[[str, Callable[[Path], object]], Path], playground_folder: Path) -> Path:
    """The whole site, as `make site` writes it; the files of the playground are copied."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporter, "write_playground", lambda to: copytree(playground_folder, to, dirs_exist_ok=True))
            exporter.write_site(folder)

    return made_once("site", make)


@pytest.fixture(scope="module")
def open_notebook(chromium: object, lab_server: LabServer) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook, a file or a list of cells, in a page of its own; all are closed after the module."""
    opened: list[Notebook] = []

    def open_one(
        what: Path | list[str | dict], name: str = "test.ipynb", dpr: float = 1, dark: bool = False
    ) -> Notebook:
        lab_server.use_theme(dark)
        path = lab_server.write_notebook(name, what) if isinstance(what, list) else lab_server.copy_notebook(what)
        context = chromium.new_context(viewport=VIEWPORT, device_scale_factor=dpr)
        opened.append(Notebook(lab_server, context, path))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.close()


@pytest.fixture(scope="module")
def open_lesson(open_notebook: Callable[..., Notebook]) -> Callable[[Path | list[dict]], Notebook]:
    """Opens a lesson, or those of its cells that a test needs, on a high screen, and runs it."""

    def open_one(what: Path | list[dict]) -> Notebook:
        notebook = open_notebook(what)
        notebook.page.set_viewport_size(SCREEN)
        notebook.run_all()
        return notebook

    return open_one


@pytest.fixture(autouse=True)
def nothing_went_wrong(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test with a fixture `lesson`: no cell, callback or script of it has failed, no request left."""
    lesson = request.getfixturevalue("lesson") if "lesson" in request.fixturenames else None
    yield
    if lesson is not None:
        assert lesson.problems() == {}
