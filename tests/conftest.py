"""What all tests share: the recorded clips, the speech model, and no skipped test where none is allowed."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from device.recognition.speech_model import fetch as speech_models

CLIPS = Path(__file__).parent / "fixtures" / "speech"

# How fast a machine is no test says, nor how fast it makes up inputs.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell starts background jobs with SIGINT ignored, which processes inherit: Ctrl-C must reach those that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def speech_model() -> Path:
    """The Vosk model, through the product's own verified fetch."""
    return speech_models.find(announce=print)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and os.environ.get("NO_SKIPPED_TESTS"):
        reporter.write_line(f"{len(skipped)} skipped, and no test may be skipped here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
