"""Several processes under torchrun: a killed worker ends the run clearly, and what is measured together is the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_processes import run_command

from frcnn_edu.training.checkpoints import load_model

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "frcnn_edu"]
SMALL = ("min_size=96", "max_size=96", "rpn_pre_nms_top_n_train=50", "rpn_post_nms_top_n_train=20")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def command(name, *words):
    return [name, "--data", "shapes-plain", "--device", "cpu", *map(str, words)]


def training(out):
    options = [word for option in SMALL for word in ("--option", option)]
    return command("train", "--out", out, "--steps", 24, "--batch-size", 2, "--checkpoint-every", 2, *options)


def workers(process):
    """The processes that torchrun has started, by their id."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if "frcnn_edu" in Path(f"/proc/{child}/cmdline").read_text()]


@pytest.mark.timeout(900)  # six starts of PyTorch, on a machine that may be busy
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not tell a process's children")
def test_a_killed_worker_ends_the_run_and_leaves_a_checkpoint_to_go_on_from(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    process = subprocess.Popen([*TORCHRUN, *training(out)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (out / "step-000002").is_dir():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.05)
    first, second = workers(process)
    os.kill(second, signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "SIGKILL" in said or "Signal 9" in said
    assert not Path(f"/proc/{first}").exists(), "the other worker is gone, too"
    assert not (out / "step-000024").exists(), "it was killed on its way"
    load_model(out)

    assert run_command(*training(out), "--resume", log=log) == 0
    assert (out / "step-000024").is_dir()

    reports = []
    measured = command("evaluate", "--weights", out, "--split", "val", "--json", tmp_path / "report.json")
    assert run_command(*measured, log=log) == 0
    reports.append(json.loads((tmp_path / "report.json").read_text("utf-8")))
    subprocess.run([*TORCHRUN, *measured], env=ENVIRONMENT, check=True, capture_output=True, timeout=300)
    reports.append(json.loads((tmp_path / "report.json").read_text("utf-8")))
    assert reports[0]["images"] == reports[1]["images"] == 200
    assert reports[0]["ground_truths"] == reports[1]["ground_truths"]
    assert reports[0]["per_class"] == pytest.approx(reports[1]["per_class"], abs=1e-3)
