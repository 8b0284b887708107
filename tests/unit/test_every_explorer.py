"""What holds for every explorer: displaying is pure, scripts read traits that exist, colours come from the palette."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import anywidget
import numpy as np
import pytest
from built_explorers import World
from matplotlib import colormaps, colors

from frcnn_edu import explorers, viz
from frcnn_edu.explorers.base import BoxCanvas
from frcnn_edu.viz.palette import COLOR_MAP, COLORS, RAMP, TEXT_COLORS

EXPLORERS = Path(explorers.__file__).parent
VIZ = Path(viz.__file__).parent
WORLD = World()
NAMES = sorted(WORLD.makers())
READS = r'(?:\.get|\.floats|addSnapshots|trait:|numbers\(model,|floats\(model,)\s*\(?"(\w+)"'


@pytest.fixture(scope="module", params=NAMES)
def explorer(request):
    return WORLD.makers()[request.param]()


def subclasses(kind):
    return {one for child in kind.__subclasses__() for one in {child, *subclasses(child)}}


def test_every_explorer_is_built_here():
    """Those with a script of their own, in a module of this package."""
    own = {one for one in subclasses(anywidget.AnyWidget) if "_esm" in vars(one)}
    assert {one.__name__ for one in own if one.__module__.startswith("frcnn_edu.")} == set(NAMES)


def test_displaying_writes_no_trait(explorer, monkeypatch):
    changes, sent = [], []
    explorer.observe(lambda change: changes.append(change["name"]))
    monkeypatch.setattr(explorer, "send_state", lambda key=None: sent.append(key))
    before = explorer.get_state()
    explorer._repr_mimebundle_()
    if isinstance(explorer, BoxCanvas):
        explorer.figure()
        repr(explorer)
    assert changes == []
    assert sent == []
    assert explorer.get_state() == before


def test_what_is_sent_to_the_browser_is_small(explorer):
    """Lessons have a handful of explorers each, and send less than 2 MB; the picture here is 90 kB as PNG."""
    sizes = {name: len(value) for name, value in explorer.get_state().items() if isinstance(value, bytes)}
    assert sizes.get("_image_bytes", 0) < 50_000, sizes
    assert sum(sizes.values()) < 400_000, sizes


def test_scripts_read_only_traits_that_exist(explorer):
    """A misspelled trait is undefined in the browser, and nobody hears of it."""
    traits = set(explorer.trait_names()) | {"gt_names"}
    read = set(re.findall(READS, str(explorer._esm)))
    assert read - traits == set()


def test_no_colour_is_chosen_outside_the_palette():
    """Neither #rrggbb nor rgb(…) of a hue; CSS's names of black, white and grey are no choice."""
    hexes = re.compile(r"#[0-9a-fA-F]{3,8}\b(?!\w)|rgba?\(\d")
    found = []
    for path in [*EXPLORERS.rglob("*.*"), *VIZ.glob("*.py")]:
        if path.suffix not in (".py", ".js", ".css") or path.name == "palette.py":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            found += [f"{path.name}:{number}: {hit}" for hit in hexes.findall(line)]
    assert found == []


def test_no_dash_is_chosen_outside_the_palette():
    dash = re.compile(r"dash(?:es)?\s*[=:]\s*[(\[]\s*\d")
    paths = [path for path in EXPLORERS.rglob("*.*") if path.suffix in (".py", ".js")]
    assert [path.name for path in paths if dash.search(path.read_text(encoding="utf-8"))] == []


def test_no_script_imports_from_another_lesson():
    for path in EXPLORERS.glob("lesson_*/*.*"):
        if path.suffix in (".py", ".js"):
            text = path.read_text(encoding="utf-8")
            others = set(re.findall(r"(?:from|import).*\b(lesson_\d\d_\w+)", text)) - {path.parent.name}
            assert others == set(), path


def test_the_ramp_is_matplotlibs():
    shades = colormaps[COLOR_MAP](np.linspace(0, 1, len(RAMP)))
    assert [colors.to_hex(shade).upper() for shade in shades] == [shade.upper() for shade in RAMP]


@pytest.mark.parametrize(("ground", "which"), [("#FFFFFF", 0), ("#111111", 1)], ids=["light", "dark"])
def test_text_in_a_hue_stands_out_from_its_ground(ground, which):
    for name, pair in TEXT_COLORS.items():
        light, dark = sorted(map(luminance, (pair[which], ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def luminance(color):
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colors.to_rgb(color)]
    return np.dot(linear, (0.2126, 0.7152, 0.0722))


def test_style_sheets_use_only_colours_that_the_palette_hands_over(explorer):
    text = str(explorer._css)
    defined = set(re.findall(r"(--[\w-]+):", text))
    used = set(re.findall(r"var\((--[\w-]+)", text))
    assert {name for name in used - defined if not name.startswith("--jp-")} == set()
    assert set(re.findall(r"--([\w-]+): #", text)) == set(COLORS) | {f"{name}-text" for name in TEXT_COLORS}


def test_functions_and_files_of_scripts_are_short():
    """Biome holds functions to 60 lines."""
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXPLORERS.rglob("*.js")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


DEVELOP = """
import sys, time
from pathlib import Path
from frcnn_edu.explorers.bundle import bundle, styles
script, sheet = Path(sys.argv[1]), Path(sys.argv[2])
files = bundle(script), styles(sheet)
print(*files, flush=True)
sys.stdin.readline()
"""


def test_in_development_a_file_follows_its_sources(tmp_path):
    """What anywidget watches is rewritten when a script or a style sheet is saved, unless that is broken."""
    part, script, sheet = (tmp_path / name for name in ("part.js", "entry.js", "own.css"))
    part.write_text("const what = 1;\nexport { what };\n")
    script.write_text('import { what } from "./part.js";\nexport default { what };\n')
    sheet.write_text(".own { margin: 1px; }")
    environment = os.environ | {"ANYWIDGET_HMR": "1"}
    command = [sys.executable, "-c", DEVELOP, str(script), str(sheet)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        files = [Path(name) for name in process.stdout.readline().split()]
        assert ["what = 1" in files[0].read_text(), "margin: 1px" in files[1].read_text()] == [True, True]
        script.write_text("in the middle of being saved")
        part.write_text("const what = 2;\nexport { what };\n")
        sheet.write_text(".own { margin: 2px; }")
        script.write_text('import { what } from "./part.js";\nexport default { what };\n')
        end = time.monotonic() + 120
        while not ("what = 2" in files[0].read_text() and "margin: 2px" in files[1].read_text()):
            assert time.monotonic() < end, files[0].read_text()[-200:]
            time.sleep(0.1)
        process.communicate("\n", timeout=120)
