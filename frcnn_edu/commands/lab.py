"""The commands that open the course in a browser: `lab` its lessons in JupyterLab, `page` the page for photographs.

Both listen on this computer only. Neither loads torch: the kernels do.
"""

import argparse
import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from frcnn_edu.commands.weights import BLOOD_CELLS, weights_path
from frcnn_edu.course.lessons import FIRST_LESSON, lay_lessons
from frcnn_edu.datasets import course_folder

HOST = "127.0.0.1"
OWN_SETTINGS = Path(__file__).parent / "jupyter"
"""A Jupyter configuration folder: JupyterLab asks neither about news nor whether it must be built again."""


def _lab_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("my_lessons"), help="your copies go here (default: %(default)s)"
    )
    _server_options(parser)


def _lab(options: argparse.Namespace) -> None:
    """Lay the lessons into a folder, keep what the learner has changed there, and open JupyterLab there."""
    _prepare()
    try:
        from jupyterlab.labapp import LabApp, get_workspaces_dir
    except ModuleNotFoundError as error:
        raise ImportError('JupyterLab is not installed: pip install "frcnn-edu[lessons]"') from error

    for copy, newer in lay_lessons(options.folder):
        print(f"{copy} is yours and stays as it is; the course's newer version is {newer}")
    folder, root = options.folder.resolve(), Path.cwd()
    if not folder.is_relative_to(root):
        root = folder
    first = (folder / FIRST_LESSON).relative_to(root).as_posix()
    print(
        f"Your lessons are in {options.folder}. JupyterLab starts for this computer only; Ctrl-C stops it.", flush=True
    )
    settings = {"allow_root": True, "answer_yes": True, "root_dir": root}
    workspaces = get_workspaces_dir()
    opening = {"default_url": _address(workspaces, root, first), "workspaces_dir": workspaces}
    words = [f"--LabApp.{name}={value}" for name, value in opening.items()]
    LabApp.launch_instance(["--log-level=WARN", *words, *_arguments("ServerApp", options, settings)])


def _address(workspaces: str, root: Path, lesson: str) -> str:
    """Where JupyterLab goes on with what is open in these lessons, or opens this one.

    That is a workspace, which JupyterLab opens a second sooner than a path; the path, where that file is out of order.
    """
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    name = f"frcnn-edu-{sha256(str(root / lesson).encode()).hexdigest()[:8]}"
    widget = f"notebook:{lesson}"
    dock = {"type": "tab-area", "currentIndex": 0, "widgets": [widget]}
    layout = {"main": {"dock": dock, "current": widget}}
    opened = {"layout-restorer:data": layout, widget: {"data": {"path": lesson, "factory": "Notebook"}}}
    try:
        manager = WorkspacesManager(workspaces)
        if not any(key.startswith("notebook:") for key in manager.load(name)["data"]):
            manager.save(name, json.dumps({"data": opened, "metadata": {"id": name}}))
    except (OSError, ValueError, KeyError):
        return f"/lab/tree/{quote(lesson)}"
    return f"/lab/workspaces/{name}"


def _page_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        type=weights_path,
        metavar="FOLDER",
        help=f"a detector of your own: the --out of a training, or what export wrote; or {BLOOD_CELLS}, which ships",
    )
    _server_options(parser)


def _page(options: argparse.Namespace) -> None:
    """Serve the page on which one drops photographs and sees what is found on them."""
    _prepare()
    try:
        from voila.app import Voila
    except ModuleNotFoundError as error:
        raise ImportError('Voila is not installed: pip install "frcnn-edu[page]"') from error

    print("The page is served for this computer only; Ctrl-C stops it.", flush=True)
    os.environ["WEIGHTS"] = str(options.weights.resolve()) if options.weights else ""
    notebook = course_folder("notebooks") / "page" / "photographs.ipynb"
    Voila.launch_instance([str(notebook), *_arguments("Voila", options)])


def _server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="take this port or fail (default: 8888 or the next free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open no browser")


def _arguments(app: str, options: argparse.Namespace, settings: dict[str, object] | None = None) -> list[str]:
    """The command line of a Jupyter application that listens on this computer only."""
    port = {} if options.port is None else {"port": options.port, "port_retries": 0}
    given = [f"--{app}.{name}={value}" for name, value in ({"ip": HOST} | port | (settings or {})).items()]
    return [*given, "--no-browser"] if options.no_browser else given


def _prepare() -> None:
    """Put this Python's commands first on the PATH of terminals and kernels, add the course's settings, start fast."""
    # jsonschema would compile a grammar of addresses, which takes a second; without it no address is checked.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    for variable, folder in {"PATH": Path(sys.executable).parent, "JUPYTER_CONFIG_PATH": OWN_SETTINGS}.items():
        before = os.environ.get(variable)
        os.environ[variable] = f"{folder}{os.pathsep}{before}" if before else str(folder)


COMMANDS = {"lab": (_lab, _lab_options), "page": (_page, _page_options)}
"""What runs a command, and what adds its options to a parser."""
