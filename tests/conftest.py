"""What all tests share: clips, speech model, folders of their own, markers by folder, and no skipped test in CI."""

import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler.loadscope import LoadScopeScheduling

from device.bundle import DEFAULT_BUNDLE, pack, read_bundle
from device.recognition.speech_model.fetch import find_speech_model

CLIPS = Path(__file__).parent / "fixtures" / "speech"
_SYSTEM = "tests/system/"
"""Folder of the tests with real parts."""
_SERVICE = "tests/system/test_service"
"""How the modules among them begin that boot a systemd."""
_LONG = ("tests/convert/", "tests/training/", "tests/edge_mcnn/")
"""Folders whose tests start tensorflow."""

# No test depends on how fast this machine is, nor on how fast it generates inputs.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell starts background jobs with SIGINT ignored, and child processes inherit that: Ctrl-C must reach them in tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


_FOLDERS = ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
_own_folder = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests away from the device of whoever runs them: its sockets, whether it is muted, what it learnt."""
    config.stash[_own_folder] = tempfile.mkdtemp(prefix="own")  # short, for the paths of sockets
    for name in _FOLDERS:
        os.environ[name] = f"{config.stash[_own_folder]}/{name[4:].lower()}"
        Path(os.environ[name]).mkdir(mode=0o700)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove these folders."""
    shutil.rmtree(config.stash[_own_folder], ignore_errors=True)


@pytest.fixture(scope="session")
def speech_model() -> Path:
    """The Vosk model, through the product's own verified fetch."""
    return find_speech_model(announce=print)


def import_again(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next import of a module search for it again; what it finds is forgotten after the test."""
    monkeypatch.setitem(sys.modules, module, None)  # noted, so that it is undone
    del sys.modules[module]


@pytest.fixture
def without_transitions(tmp_path: Path) -> Path:
    """The default model as a training without dialogues would have left it: without class transitions."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    path = tmp_path / "WithoutTransitions.tflite"
    path.write_bytes(pack(bundle.model[: bundle.flatbuffer_size], replace(bundle.companions, transitions=None)))
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses real parts, and begin with what takes longest, so that all processes end at the same time."""
    for item in items:
        if item.nodeid.startswith(_SYSTEM):
            item.add_marker("system")
    items.sort(key=lambda item: (not item.nodeid.startswith(_SYSTEM), not item.nodeid.startswith(_LONG)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Called by pytest-xdist, whose own `--dist loadgroup` has no effect with pytest 9.2.

    A module runs in one process, because its tests share fixtures. All modules with virtual microphones run in one
    process, and all with booted systems in one: another of the same kind beside them would disturb their timing.
    """
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = _process_of
    return scheduling


def _process_of(test: str) -> str:
    """A name for what runs in one process."""
    return next((part for part in (_SERVICE, _SYSTEM) if test.startswith(part)), test.partition("::")[0])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and os.environ.get("NO_SKIPPED_TESTS"):
        reporter.write_line(f"{len(skipped)} skipped, and no test may be skipped in CI", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
