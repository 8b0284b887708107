"""With FRCNN_EDU_NO_SKIPS=1 a skipped test is a failed one, whatever skipped it; tests for a GPU are excused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPS = """
import pytest

@pytest.fixture
def browser():
    pytest.skip("no Chromium found")

def test_by_fixture(browser): pass
@pytest.mark.skip(reason="not today")
def test_by_mark(): pass
def test_by_hand(): pytest.skip("not here")
@pytest.mark.gpu
def test_gpu(): pytest.skip("no GPU")
@pytest.mark.xfail
def test_known(): assert False
def test_sound(): pass
"""
SKIPPED_MODULE = "import pytest\npytest.importorskip('no_such_module')\ndef test_never_seen(): pass\n"


@pytest.mark.parametrize(
    ("forbid", "expected"),
    [("0", "1 passed, 5 skipped, 1 xfailed"), ("1", "1 failed, 1 passed, 1 skipped, 1 xfailed, 3 errors")],
)
def test_skips_fail_where_they_are_forbidden(tmp_path, forbid, expected):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    (tmp_path / "test_skips.py").write_text(SKIPS)
    (tmp_path / "test_module.py").write_text(SKIPPED_MODULE)
    command = [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    environment = os.environ | {"FRCNN_EDU_NO_SKIPS": forbid}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert expected in done.stdout, done.stdout
