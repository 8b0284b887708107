"""The commands that open the course: what they tell JupyterLab and Voila, and that they do not wait for torch."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from jupyterlab.labapp import LabApp
from voila.app import Voila

from frcnn_edu.__main__ import COMMANDS, main


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The arguments of every server that a command has started, in an empty folder."""
    calls = []
    for app in (LabApp, Voila):
        monkeypatch.setattr(app, "launch_instance", calls.append)
    for variable in ("PATH", "JUPYTER_CONFIG_PATH", "WEIGHTS"):
        monkeypatch.setenv(variable, "before")
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(tmp_path / "workspaces"))
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize(
    ("folder", "root", "opened"),
    [
        ([], ".", "my_lessons/00_overview.ipynb"),
        (["a b/c"], ".", "a b/c/00_overview.ipynb"),
        (["."], ".", "00_overview.ipynb"),
        (["../elsewhere"], "../elsewhere", "00_overview.ipynb"),
    ],
)
def test_lab_shows_the_folder_one_is_in_and_opens_the_first_lesson(started, folder, root, opened):
    assert main(["lab", *folder]) == 0
    (arguments,) = started
    assert f"--ServerApp.root_dir={Path(root).resolve()}" in arguments
    (workspace,) = Path("workspaces").iterdir()
    content = json.loads(workspace.read_text())
    assert f"--LabApp.default_url=/lab/workspaces/{content['metadata']['id']}" in arguments
    assert f"--LabApp.workspaces_dir={workspace.parent.resolve()}" in arguments
    assert content["data"][f"notebook:{opened}"]["data"]["path"] == opened
    assert (Path(*folder or ["my_lessons"]) / "00_overview.ipynb").exists()


@pytest.mark.parametrize("left_open", [["notebook:my_lessons/03_rpn_and_loss.ipynb"], []])
def test_lab_goes_on_with_what_is_open_and_opens_the_first_lesson_where_nothing_is(started, left_open):
    main(["lab"])
    (workspace,) = Path("workspaces").iterdir()
    content = json.loads(workspace.read_text())
    workspace.write_text(json.dumps(content | {"data": {key: {} for key in left_open}}))
    main(["lab"])
    now = json.loads(workspace.read_text())["data"]
    assert [key for key in now if key.startswith("notebook:")] == (
        left_open or ["notebook:my_lessons/00_overview.ipynb"]
    )


@pytest.mark.parametrize(
    "spoil",
    [lambda place: place.write_text("a file"), lambda place: place.write_text("{}"), lambda place: place.mkdir()],
)
def test_where_no_workspace_can_be_kept_the_lesson_is_opened_by_its_path(started, spoil):
    main(["lab", "a b"])
    (workspace,) = Path("workspaces").iterdir()
    workspace.unlink()
    spoil(workspace)
    main(["lab", "a b"])
    assert "--LabApp.default_url=/lab/tree/a%20b/00_overview.ipynb" in started[1]


@pytest.mark.parametrize("command", ["lab", "page"])
def test_a_server_listens_on_this_computer_only_and_keeps_its_token(started, command):
    main([command])
    (arguments,) = started
    assert [word.partition("=")[2] for word in arguments if ".ip=" in word] == ["127.0.0.1"]
    assert not [word for word in arguments if "token" in word or "password" in word or "port" in word]
    assert "--no-browser" not in arguments
    main([command, "--port", "8899", "--no-browser"])
    assert {word.partition(".")[2] for word in started[1]} >= {"port=8899", "port_retries=0"}
    assert "--no-browser" in started[1]


def test_terminals_find_this_python_and_jupyterlab_asks_about_no_news(started):
    main(["lab"])
    assert os.environ["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "before"]
    own, before = os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert (Path(own) / "labconfig" / "default_setting_overrides.json").exists()
    assert before == "before"


def test_the_page_answers_with_the_weights_that_are_named(started):
    main(["page", "--weights", "runs/mine"])
    assert os.environ["WEIGHTS"] == str(Path("runs/mine").resolve())
    main(["page"])
    assert os.environ["WEIGHTS"] == ""


def test_a_newer_version_of_a_changed_lesson_is_said(started, capsys):
    mine = Path("my_lessons/03_rpn_and_loss.ipynb")
    mine.parent.mkdir()
    mine.write_text("mine")
    main(["lab"])
    newer = mine.with_stem("03_rpn_and_loss-2")
    assert f"{mine} is yours and stays as it is; the course's newer version is {newer}\n" in capsys.readouterr().out


def test_where_jupyterlab_is_missing_the_line_that_installs_it_is_said(started, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    assert main(["lab"]) == 1
    assert 'pip install "frcnn-edu[lessons]"' in capsys.readouterr().err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("command", ["lab", "page"])
def test_a_server_starts_without_what_takes_seconds_and_opens_no_lesson(command, tmp_path):
    """Torch; a grammar of addresses that jsonschema compiles; the question whether JupyterLab must be built again."""
    code = f"""
        import atexit, socket, sys
        from frcnn_edu.__main__ import main
        @atexit.register
        def say():
            from jupyter_core.paths import jupyter_config_path
            from jupyterlab_server.config import get_page_config
            page = get_page_config([f"{{folder}}/labconfig" for folder in jupyter_config_path()])
            loaded = {{name for name in ("jupyter_server", "torch", "lark") if name in sys.modules}}
            print(loaded, sys.modules.get("rfc3987_syntax", "free to load"), page["buildCheck"])
        taken = socket.create_server(("127.0.0.1", 0))
        main(["{command}", "--no-browser", f"--port={{taken.getsockname()[1]}}"])
    """
    words = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert "port" in done.stderr
    assert done.stdout.splitlines()[-1] == "{'jupyter_server'} None False"


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("lab", "--help"), ("page", "--help")])
def test_torch_is_loaded_only_by_commands_that_need_it(words):
    code = f"""
        import atexit, sys
        from frcnn_edu.__main__ import main
        atexit.register(lambda: print("torch" in sys.modules))
        main({words})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True)
    assert done.stdout.split()[-1] == b"False"


def test_help_has_a_line_for_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert [name for name, (_, summary, _) in COMMANDS.items() if f"{name} {summary}" not in text] == []


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("frcnn-edu la", ["lab"]), ("frcnn-edu train --resu", ["--resume"]), ("frcnn-edu lab --p", ["--port"])],
)
def test_bash_completes_commands_and_options(capsys, typed, completed):
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    words = typed.split()
    asked = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_frcnn_edu; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", f"{capsys.readouterr().out}\n{asked}"], capture_output=True, text=True)
    assert done.stdout.split() == completed
