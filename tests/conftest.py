"""What all tests share: the recorded clips, the speech model, markers by folder, and no skipped test in CI."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from device.recognition.speech_model.fetch import find_speech_model

CLIPS = Path(__file__).parent / "fixtures" / "speech"
_LONG = ("tests/training", "tests/convert", "tests/edge_mcnn")
"""Folders whose tests start tensorflow."""

# No test depends on how fast this machine is, nor on how fast it generates inputs.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell starts background jobs with SIGINT ignored, and child processes inherit that: Ctrl-C must reach them in tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def speech_model() -> Path:
    """The Vosk model, through the product's own verified fetch."""
    return find_speech_model(announce=print)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses real parts, and decide which tests share a process when they run in parallel.

    Real parts do not run beside each other: a second sound server or booted system would disturb the timing. Other
    tests stay together by module, because they share the module's fixtures. The groups that take longest begin first.
    """
    for item in items:
        module = item.nodeid.partition("::")[0]
        if module.startswith("tests/system/"):
            item.add_marker("system")
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("system" if item.get_closest_marker("system") else module))
    items.sort(key=_start)


def _start(item: pytest.Item) -> int:
    if item.get_closest_marker("system"):
        return 0
    return 1 if item.nodeid.startswith(_LONG) else 2


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and os.environ.get("NO_SKIPPED_TESTS"):
        reporter.write_line(f"{len(skipped)} skipped, and no test may be skipped in CI", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
