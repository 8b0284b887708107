"""Commands in processes of their own, which can be killed; they are forked from one that has PyTorch loaded already."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["frcnn_edu.commands.detector", "frcnn_edu.datasets.shapes", "frcnn_edu.viz.live_curve"])


@contextmanager
def running(*words: object, log: Path, file_size: int | None = None) -> Iterator[multiprocessing.Process]:
    """``python -m frcnn_edu WORDS``, killed at the end of the block; what it prints goes into `log`.

    None of its files may grow beyond `file_size` bytes.
    """
    process = FORKS.Process(target=_run, args=([str(word) for word in words], log, file_size))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def run_command(*words: object, log: Path, **options: object) -> int:
    """The exit status of a command."""
    with running(*words, log=log, **options) as process:
        process.join(120)
        assert process.exitcode is not None, f"{words} takes over two minutes"
        return process.exitcode


def find_free_port() -> int:
    """A port of this computer that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(words: list[str], log: Path, file_size: int | None) -> None:
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import torch

    from frcnn_edu.__main__ import main

    # A worker of a DataLoader notices that its parent was killed only if that parent is not the fork server.
    multiprocessing.set_start_method("fork" if sys.platform == "linux" else "spawn", force=True)
    torch.set_num_threads(1)
    if file_size is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    sys.exit(main(words))
