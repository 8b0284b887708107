"""The wheel alone is the course: built, installed without the checkout, opened and used from an empty folder."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import hatchling.build
import pytest
from jupyterlab_driver import LabServer, Notebook
from lesson_files import LESSONS, NOTEBOOKS

import frcnn_edu
from frcnn_edu.__main__ import COMMANDS

pytestmark = pytest.mark.slow

ROOT = NOTEBOOKS.parent
MEGABYTES_AT_MOST = 30
PHOTOGRAPH = ROOT / "data" / "blood_cells" / "BloodImage_00018.jpg"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return folder / hatchling.build.build_wheel(str(folder))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` of a new environment in which the wheel is installed; other packages are shared with this one."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    for folder in ("etc", "share"):  # JupyterLab's own files and extensions
        (home / folder).symlink_to(Path(sys.prefix) / folder)
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", "--no-compile", wheel], check=True)
    return home / "bin"


def without_checkout(environment):
    return {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


class InstalledLab(LabServer):
    """JupyterLab as `frcnn-edu lab` starts it, in an empty folder."""

    def __init__(self, bin, folder, home):
        self.bin = bin
        super().__init__(folder, home)
        self.address, self.token = re.search(r"(http://127\S+token=(\w+))", self.log.read_text()).groups()

    def _command(self):
        return [self.bin / "frcnn-edu", "lab", "--no-browser", f"--port={self.port}"]

    def _environment(self):
        return without_checkout(super()._environment())

    def _write_settings(self, settings):
        config = self.home / "config" / "jupyter_lab_config.json"
        config.parent.mkdir()
        config.write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))


@pytest.fixture(scope="module")
def lab(installed, tmp_path_factory):
    server = InstalledLab(installed, tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


def test_it_holds_the_package_the_data_the_lessons_and_the_assignments_but_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    beside = [*LESSONS, *NOTEBOOKS.glob("page/*.ipynb"), *NOTEBOOKS.glob("assignments/source/*/*.ipynb")]
    beside += [*ROOT.glob("data/*.json"), *ROOT.glob("data/tiny/*"), *ROOT.glob("data/blood_cells/*")]
    package = [path for path in ROOT.glob("frcnn_edu/**/*.*") if path.suffix != ".pyc"]
    expected = {f"frcnn_edu/{path.relative_to(ROOT)}" for path in beside} | {str(p.relative_to(ROOT)) for p in package}
    assert expected - names == set()
    assert {name.split("/")[0] for name in names} == {
        "frcnn_edu",
        wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info",
    }
    assert not [name for name in names if "test" in name]


def test_it_stays_small(wheel):
    assert wheel.stat().st_size < MEGABYTES_AT_MOST * 1e6


def test_the_command_says_its_version_and_lists_its_commands(installed):
    def said(option):
        return subprocess.check_output([installed / "frcnn-edu", option], env=without_checkout(os.environ), text=True)

    assert said("--version") == f"frcnn-edu {frcnn_edu.__version__}\n"
    assert set(COMMANDS) <= set(re.findall(r"^    (\w+) ", said("--help"), re.MULTILINE))


@pytest.mark.browser
def test_a_lesson_runs_in_the_copy_that_lab_has_laid_and_a_detector_is_trained_and_used(lab, chromium):
    assert [path.name for path in lab.folder.iterdir()] == ["my_lessons"]
    assert sorted(path.name for path in lab.folder.glob("*/*")) == [path.name for path in LESSONS]
    context = chromium.new_context()
    page = context.new_page()
    page.goto(lab.address)
    page.locator(".jp-NotebookPanel:visible h1", has_text="Overview").wait_for()
    assert not page.get_by_text("official Jupyter news").count()
    page.close()

    notebook = Notebook(lab, context, "my_lessons/01_anchors.ipynb")
    notebook.run_all()
    assert notebook.problems() == {}
    assert notebook.evaluate("viz.__file__").startswith(str(lab.bin.parent)), "it is the wheel that has run"
    options = "--steps 2 --batch-size 2 --option box_score_thresh=0 --device cpu --out run"
    notebook.execute(f"from frcnn_edu.__main__ import main; assert main('train --data shapes {options}'.split()) == 0")
    predict = f"predict {PHOTOGRAPH} --weights run --out found --score 0 --device cpu"
    notebook.execute(f"assert main({predict.split()}) == 0")
    (found,) = json.loads((lab.folder / "my_lessons" / "found" / "detections.json").read_text()).values()
    assert found["boxes"]
    notebook.close()
