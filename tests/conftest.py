"""What holds for every test: with FRCNN_EDU_NO_SKIPS=1 a test that would be skipped fails instead.

A skip is fair on a newcomer's machine, which may have no browser and no GPU. Where all tests are to run, it is a hole
that nobody sees. Tests marked `gpu` may be skipped even then.
"""

import os

import pytest

NO_SKIPS = os.environ.get("FRCNN_EDU_NO_SKIPS") == "1"


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
