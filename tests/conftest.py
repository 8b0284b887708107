"""Settings of all tests: one torch thread per process, so that tests can run in parallel; no deadline for hypothesis;
and with FRCNN_EDU_NO_SKIPS=1 a skipped test fails, unless it is marked `gpu`.

Tests may be skipped on a computer without a browser or a GPU; where all tests must run, a skip would go unnoticed.
"""

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes that tests start inherit it

LONG = ("browser", "slow")
NO_SKIPS = os.environ.get("FRCNN_EDU_NO_SKIPS") == "1"


def pytest_configure(config: pytest.Config) -> None:
    """Lessons that nbval runs beside these tests are run by a restless learner; PyTorch's exporter is not listened to.

    Or pytest stores each step of its reasoning about sizes, in case a test fails.
    """
    logging.getLogger("torch.__trace").propagate = False
    if config.pluginmanager.hasplugin("nbval") and find_spec("restless"):
        import restless

        config.pluginmanager.register(restless, "restless")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first (lessons, browsers, large files), so that no worker is alone at the end."""
    long = {item.path for item in items if item.path.suffix == ".ipynb" or any(map(item.get_closest_marker, LONG))}
    size = {path: path.stat().st_size for path in {item.path for item in items}}
    items.sort(key=lambda item: (item.path not in long, -size[item.path], item.path))


settings.register_profile("unhurried", deadline=None)  # on a busy machine any example may be slow
settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    expected = hasattr(report, "wasxfail") or item.get_closest_marker("gpu")
    if NO_SKIPS and report.skipped and not expected:
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped although FRCNN_EDU_NO_SKIPS=1: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    if NO_SKIPS and report.skipped:
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped although FRCNN_EDU_NO_SKIPS=1: {reason}"
    return report


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a file or a folder, by its name, once for all workers: the first that asks makes it, the others wait.

    Where FRCNN_EDU_MADE names a folder, it lies there and serves the next run, too.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    if "FRCNN_EDU_MADE" in os.environ:
        root = Path(os.environ["FRCNN_EDU_MADE"])
        root.mkdir(parents=True, exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        target, draft = root / name, root / f"draft-{name}"
        with FileLock(root / f"{name}.lock"):
            if not target.exists():
                make(draft)
                draft.rename(target)
        return target

    return made


@pytest.fixture(scope="session")
def exported_blood_cells(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The shipped detector of blood cells as an ONNX file."""
    from frcnn_edu.course.blood_cell_detector import load_blood_cell_detector
    from frcnn_edu.training.export import export

    return made_once("blood_cells.onnx", lambda path: export(*load_blood_cell_detector(), path))
