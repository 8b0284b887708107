"""Two machines under torchrun: they train as one process does, and one that is lost is replaced without a hand.

Its agents and their rendezvous are real; only, their workers are forked from a process that has PyTorch loaded.
"""

import os
import signal
import sys
import time

import pytest
import torch
from command_processes import FORKS, find_free_port
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, parse_args

from frcnn_edu.__main__ import main
from frcnn_edu.training.checkpoints import load_model

pytestmark = pytest.mark.slow

STEPS = 6
KEEP_ALL = {"rpn_batch_size_per_image": 10**6, "rpn_positive_fraction": 1.0, "box_batch_size_per_image": 10**6}
OPTIONS = KEEP_ALL | {"min_size": 96, "max_size": 96, "rpn_pre_nms_top_n_train": 50, "rpn_post_nms_top_n_train": 20}
"""Nothing is sampled, so chance, which differs between the processes, has no part."""


def training(out):
    options = [word for name, value in OPTIONS.items() for word in ("--option", f"{name}={value}")]
    recipe = ["--steps", STEPS, "--batch-size", 4, "--learning-rate", 1e-4, *options]
    words = ["train", "--data", "shapes-plain", "--out", out, "--checkpoint-every", 1, "--device", "cpu", *recipe]
    return [*map(str, words), "--resume", "auto"]


def worker(words):
    torch.set_num_threads(1)
    if status := main(words):
        sys.exit(status)


def node(words, port, log, first):
    """A machine of two processes; a process group of its own, so that all of it can be killed at once."""
    os.setsid()
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "test"]
    quick = f"is_host={int(first)},keep_alive_interval=1,keep_alive_max_attempt=2"
    machines = ["--nnodes", "2", "--nproc-per-node", "2", "--max-restarts", "3", "--local-addr", "127.0.0.1"]
    torchrun = parse_args([*machines, *meeting, "--rdzv-conf", quick, "--monitor-interval", "0.1", "frcnn_edu"])
    config, _, _ = config_from_args(torchrun)
    config.start_method = "fork"
    elastic_launch(config, worker)(words)


@pytest.fixture
def start_node(tmp_path):
    nodes, port = [], find_free_port()

    def start(words):
        log = tmp_path / f"node-{len(nodes)}.log"
        process = FORKS.Process(target=node, args=(words, port, log, not nodes))
        process.start()
        nodes.append(process)
        return process, log

    yield start
    for process in nodes:
        kill(process)


def kill(process):
    """As if the machine had lost its power."""
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def joined(model):
    return torch.cat([weights.flatten() for weights in model.state_dict().values()])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have PyTorch loaded")
def test_two_nodes_train_as_one_process_though_one_of_them_is_lost_and_replaced(tmp_path, start_node):
    words, out = training(tmp_path / "shared"), tmp_path / "shared"
    (first, log), (second, _) = start_node(words), start_node(words)
    end = time.monotonic() + 120
    while not (out / "step-000002").is_dir():
        assert first.is_alive(), log.read_text()
        assert time.monotonic() < end
        time.sleep(0.01)
    kill(second)
    third, _ = start_node(words)
    for process in (first, third):
        process.join(120)
        assert process.exitcode == 0, log.read_text()
    assert main(training(tmp_path / "alone")) == 0
    (together, card), (alone, _) = load_model(out), load_model(tmp_path / "alone")
    torch.manual_seed(0)
    before, together, alone = (joined(model) for model in (card.build(), together, alone))
    assert (together - alone).norm() < 0.01 * (alone - before).norm(), "they differ by more than rounding"
