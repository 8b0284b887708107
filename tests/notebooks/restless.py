"""A pytest plugin for nbval: a restless learner steps through the lessons.

When nbval has run a cell, the cell runs a second time, and every explorer that has come is played with (`play.py`). A
cell that speaks of an explorer must therefore set first what it speaks of, and no cell may break by running again. A
cell that takes longer than `SECONDS`, a training say, runs once.
"""

import os
import time
from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell

SECONDS = 2.0
TIMEOUT = 300
PLAY = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from play import play
play()
"""

os.environ.setdefault("FRCNN_EDU_STEPS", "10")  # trainings of the lessons are stopped; kernels inherit it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    started = time.monotonic()
    result = yield
    if isinstance(item, IPyNbCell) and not item.options["check_exception"]:
        if time.monotonic() - started <= SECONDS:
            run(item.parent.kernel, item.cell.source, f"cell {item.cell.id!r} fails when it runs a second time")
        run(item.parent.kernel, PLAY, f"an explorer fails when it is played with after cell {item.cell.id!r}")
    return result


def run(kernel: object, source: str, failure: str) -> None:
    """Run code in the kernel of a lesson; fails with the error's text where it raises."""
    message = kernel.execute_cell_input(source, allow_stdin=False)
    error = ""
    while True:
        heard = kernel.get_message(stream="iopub", timeout=TIMEOUT)
        if heard["parent_header"].get("msg_id") != message:
            continue
        if heard["msg_type"] == "error":
            error = "\n".join(heard["content"]["traceback"])
        if heard["msg_type"] == "status" and heard["content"]["execution_state"] == "idle":
            break
    kernel.await_reply(message, timeout=TIMEOUT)
    if error:
        pytest.fail(f"{failure}\n{error}", pytrace=False)
