"""What can be changed while the daemon runs, and what it remembers of it."""

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from device.audio.liveness import Muting
from device.daemon.controls import Controls, mute_file
from device.outputs.commands import Diagnostics
from device.settings.schema import MuteSettings
from tests.full_disk import full_disk

MUTED = Muting("the microphone is closed", "to open it: edge-mcnn mute off")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "muted"


def test_muting_is_reported_once_per_change(file: Path) -> None:
    controls = Controls(MuteSettings(), file)
    calls: list[Muting | None] = []
    controls.attach(calls.append)
    assert not controls.muted
    assert controls.mute(True)
    assert controls.mute(True)
    assert controls.muted
    assert not controls.mute(None)
    assert not controls.mute(False)
    assert calls == [MUTED, None]


@pytest.mark.parametrize(
    ("start", "before", "muted"),
    [
        ("last", None, False),
        ("last", "on\n", True),
        ("last", "off\n", False),
        ("last", "", True),
        ("last", "\0damaged", True),
        ("on", "off\n", True),
        ("on", None, True),
        ("off", "on\n", False),
    ],
)
def test_the_start(file: Path, start: str, before: str | None, muted: bool) -> None:
    if before is not None:
        file.parent.mkdir()
        file.write_text(before)
    controls = Controls(MuteSettings(start=start), file)
    calls: list[Muting | None] = []
    assert controls.muted == muted
    controls.attach(calls.append)
    assert calls == [MUTED] * muted, "the microphone is never opened"


def test_the_state_is_remembered_only_where_the_settings_say_so(file: Path) -> None:
    for start, remembered in (("on", False), ("off", False), ("last", True)):
        Controls(MuteSettings(start=start), file).mute(None)
        assert file.exists() == remembered
    assert file.read_text() == "on\n"
    assert Controls(MuteSettings(), file).muted
    Controls(MuteSettings(), file).mute(False)
    assert not Controls(MuteSettings(), file).muted
    assert Controls(MuteSettings(), None).mute(True), "without a place for it, it is forgotten"


def test_a_file_that_cannot_be_read_may_have_said_on(file: Path) -> None:
    file.mkdir(parents=True)
    assert Controls(MuteSettings(), file).muted


def test_it_mutes_even_if_that_cannot_be_remembered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with full_disk():
        controls = Controls(MuteSettings(), tmp_path / "muted")
        calls: list[Muting | None] = []
        controls.attach(calls.append)
        assert controls.mute(True)
        assert calls == [MUTED]
    assert "is forgotten at the next start" in caplog.text


def test_a_program_that_uses_the_microphone_is_reported_and_never_remembered(file: Path) -> None:
    controls = Controls(MuteSettings(), file)
    calls: list[Muting | None] = []
    with controls.hold(7):
        controls.attach(calls.append)
        with controls.hold(0):
            controls.mute(True)
            controls.mute(False)
    first, other = (
        Muting("process 7 uses the microphone meanwhile"), Muting("another program uses the microphone meanwhile"),
    )  # fmt: skip
    assert calls == [first, other, MUTED, other, first, None]
    with controls.hold(7):
        assert not Controls(MuteSettings(), file).muted


def test_thresholds_of_known_classes_are_changed_within_their_range() -> None:
    controls, confidences = Controls(), {"positive": 0.5, "negative": 0.0}
    assert dict(controls.confidences) == {}
    controls.set_confidence("positive", 0.9)
    controls.loaded(Mock(), confidences)
    controls.set_confidence("positive", 0.7)
    controls.set_confidence("negative", 7)
    controls.set_confidence("other", 0.7)
    assert controls.confidences == confidences == {"positive": 0.7, "negative": 1.0}


def test_diagnostics_are_those_of_the_daemon() -> None:
    controls, found = Controls(), Diagnostics(100.0, 60.0, 0, 0, "sentiment")
    assert controls.diagnostics() is None
    controls.attach(lambda _muted: None, lambda: found)
    assert controls.diagnostics() is found


def test_place_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mute_file({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}) == Path("/var/lib/a/muted")
    assert mute_file({"XDG_STATE_HOME": "/home/me/state"}) == Path("/home/me/state/edge-mcnn/muted")
    assert mute_file({"XDG_STATE_HOME": "state"}) == Path.home() / ".local/state/edge-mcnn/muted"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no home folder
    assert mute_file({}) is None
