"""What a session reports when there is no microphone; `tests.system` runs sessions with one."""

from io import StringIO
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from device.audio import microphone
from device.errors import AudioError
from device.recorder import recorder
from device.recorder.clip_collection import ClipCollection, RecordingPlan
from device.recorder.clip_folder import ClipFolder
from device.recorder.session import Session
from device.recorder.ui import RecorderDisplay
from device.service import systemctl
from device.settings.schema import Settings
from edge_mcnn import guided_session

STOP = "if the service uses it: sudo systemctl stop edge-mcnn"


@pytest.mark.parametrize(
    ("installed", "fix", "expected"),
    [
        (True, "plug one in", f"plug one in; {STOP}"),
        (True, "", STOP),
        (True, f"close it; {STOP}", f"close it; {STOP}"),
        (False, "plug one in", "plug one in"),
    ],
)
def test_the_service_may_use_the_microphone(
    installed: bool, fix: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> NoReturn:
        raise AudioError("no microphone found", fix=fix)

    class Recorder(recorder.Recorder):
        def __init__(self, settings: Settings, session: Session, display: RecorderDisplay) -> None:
            super().__init__(settings, session, display, refuse)

    monkeypatch.setattr(recorder, "Recorder", Recorder)
    monkeypatch.setattr(microphone, "refresh_devices", lambda: None)
    monkeypatch.setattr(systemctl, "UNIT_FILE", tmp_path if installed else tmp_path / "none")
    monkeypatch.setattr(guided_session, "has_keyboard", lambda: False)
    display = RecorderDisplay(Console(file=StringIO()))
    with ClipFolder(tmp_path / "data", print) as folder:
        collection = ClipCollection(RecordingPlan(("a", "b"), 1), folder)
        fault = guided_session.run_session(Settings(), collection, None, display)
    assert fault is not None
    assert not fault.stuck
    with pytest.raises(AudioError, match="no microphone found") as error:
        fault.exit()
    assert error.value.fix == expected
