"""Settings of all tests: one torch thread per process, so that tests can run in parallel; no deadline for hypothesis;
and with FRCNN_EDU_NO_SKIPS=1 a skipped test fails, unless it is marked `gpu`.

Tests may be skipped on a computer without a browser or a GPU; where all tests must run, a skip would go unnoticed.
"""

import os
from importlib.util import find_spec

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes that tests start inherit it

NO_SKIPS = os.environ.get("FRCNN_EDU_NO_SKIPS") == "1"


def pytest_configure(config: pytest.Config) -> None:
    """Lessons that nbval runs beside these tests are run by a restless learner."""
    if config.pluginmanager.hasplugin("nbval") and find_spec("restless"):
        import restless

        config.pluginmanager.register(restless, "restless")


settings.register_profile("unhurried", deadline=None)  # on a busy machine any example may be slow
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
