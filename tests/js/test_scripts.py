"""The explorers' scripts without a browser: held to Python's functions, and tested in Node."""

import json
import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from node_tools import install, node
from parity_cases import parity_cases

from frcnn_edu.explorers.bundle import palette_data

HERE = Path(__file__).parent
EXPLORERS = HERE.parents[1] / "frcnn_edu" / "explorers"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    path = tmp_path_factory.mktemp("cases") / "cases.json"
    path.write_text(json.dumps({"cases": parity_cases(), "palette": palette_data()}, allow_nan=False))
    return path


@pytest.mark.parametrize("script", sorted(HERE.glob("*.test.js")), ids=lambda script: script.name)
def test_node_finds_nothing_wrong(script, cases):
    options = {"env": os.environ | {"FRCNN_EDU_CASES": str(cases)}, "capture_output": True, "text": True}
    done = node("--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", script, **options)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = int(re.search(r"^\D*pass (\d+)", done.stdout, re.MULTILINE)[1])
    print(f"{script.name}: {passed} tests passed in Node")
    assert passed > 5


def test_every_function_of_the_scripts_detector_is_held_to_python():
    """detector.test.js calls everything that a module exports."""
    test = (HERE / "detector.test.js").read_text(encoding="utf-8")
    missing = []
    for module in sorted((EXPLORERS / "js" / "detector").glob("*.js")):
        text = module.read_text(encoding="utf-8")
        (names,) = re.findall(r"^export \{([^}]*)\};", text, re.MULTILINE)
        functions = [name.strip() for name in names.split(",") if re.search(rf"function {name.strip()}\(", text)]
        missing += [f"{module.stem}.{name}" for name in functions if not re.search(rf"\b{name}\b", test)]
    assert missing == []


def test_the_newest_python_reads_the_course_without_a_warning():
    """Pyodide has it; it comes from npm, like the checks of `make lint`."""
    if not install():
        pytest.skip("npm could not install Pyodide")
    root = EXPLORERS.parents[1]
    (shtab,) = find_spec("shtab").submodule_search_locations
    done = node(
        "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
        HERE / "newest_python.js",
        root,
        shtab,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    version, compiled, *imported = done.stdout.split()
    newest = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"][-1]
    assert version.startswith(newest.rpartition(" ")[2] + ".")
    assert int(compiled) > 300
    assert {"frcnn_edu.__main__", "frcnn_edu.commands.lab", "frcnn_edu.config"} <= set(imported)
