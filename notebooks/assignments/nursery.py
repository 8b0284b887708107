"""The nursery, seen from the judge: the process with everything imported, of which pupils are made (see `pupil.py`).

It imports neither torch nor nbgrader, so that a grading run can have it started first and import those meanwhile.
"""

import json
import os
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import walls

PUPIL = Path(__file__).with_name("pupil.py")
PASSED_ON = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TORCH_HOME", "XDG_CACHE_HOME")
"""What of the teacher's environment a pupil gets."""
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "NBGRADER_EXECUTION": "autograde",
    "OMP_NUM_THREADS": "1",  # students are graded side by side
}
START_SECONDS = 120.0
"""How long the nursery may take over anything."""


class Nursery:
    """The process with everything imported, of which pupils are made: see `pupil.py`."""

    at_hand: "Nursery | None" = None

    def __init__(self, scratch: str) -> None:
        self.line, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET if walls.LINUX else socket.SOCK_STREAM)
        self.line.settimeout(START_SECONDS)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when a pupil does not start
        with theirs:
            self.process = subprocess.Popen(
                walls.command(PUPIL, scratch),
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ} | ENVIRONMENT,
                start_new_session=True,
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
            )

    @classmethod
    def take(cls, scratch: str) -> "Nursery":
        """The one there is, which processes share that were forked since; on macOS a new one."""
        if cls.at_hand is None or not walls.LINUX:
            cls.at_hand = cls(scratch)
        return cls.at_hand

    def order(self, what: dict) -> socket.socket:
        """Have it make a pupil, or end one; returns the line to that pupil, or one that ends when the pupil has."""
        line, theirs = socket.socketpair()
        with theirs, suppress(ConnectionError, TimeoutError):  # then the line ends too
            socket.send_fds(self.line, [json.dumps(what).encode()], [theirs.fileno()])
        return line

    def end(self, pid: int) -> None:
        """End a pupil and wait until it has; where the nursery is gone, so are its pupils."""
        if walls.LINUX:
            with self.order({"end": pid}) as line, suppress(TimeoutError):
                line.settimeout(START_SECONDS)
                line.recv(1)
        else:
            self.process.kill()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(START_SECONDS)
