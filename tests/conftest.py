"""What holds for every test: torch has one thread in each process, so that tests can run side by side; no example of
hypothesis has a deadline; and with FRCNN_EDU_NO_SKIPS=1 no test is skipped without failing.

A skip is fair on a newcomer's machine, which may have no browser and no GPU. Where all tests are to run, it is a hole
that nobody sees. Tests marked `gpu` may be skipped even then.
"""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for every process that a test starts

NO_SKIPS = os.environ.get("FRCNN_EDU_NO_SKIPS") == "1"

settings.register_profile("unhurried", deadline=None)  # on a busy machine any example may take long
settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    expected = hasattr(report, "wasxfail") or item.get_closest_marker("gpu")
    if NO_SKIPS and report.skipped and not expected:
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped although FRCNN_EDU_NO_SKIPS=1: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    if NO_SKIPS and report.skipped:
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped although FRCNN_EDU_NO_SKIPS=1: {reason}"
    return report
