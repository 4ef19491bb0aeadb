"""`edge-mcnn calibrate` with a virtual microphone and PortAudio, alone and while `edge-mcnn listen` uses it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.daemon.status import read_status
from device.settings.toml import read_settings
from tests.system.listen_process import ListenProcess
from tests.system.test_record import READING, Recording
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs, plugged_in
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)
COMMENTED = "# mine\n[microphone]\nname = 'usb'  # by name\n\n[endpoint]\n#gate_dbfs = -60.0\nhang_over_s = 0.6 # s\n"


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=48_000, channels=2, strict=True, hum=True) as microphone:
        yield microphone


class Calibrating(Recording):
    """A running `edge-mcnn calibrate` and its output."""

    command = "calibrate"

    def wait_for_part(self, number: int) -> None:
        self.wait_for("1. Be quiet" if number == 1 else "2. Now speak")


def test_in_a_terminal_the_gate_is_written_into_the_settings(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(COMMENTED)
    calibrating = Calibrating(microphone, "--seconds", "2", "--config", path, "--apply", terminal=True)
    try:
        calibrating.wait_for_part(1)
        calibrating.wait_for("be quiet, 1 s left")
        calibrating.wait_for_part(2)
        microphone.play(READING)
        calibrating.wait_for("above the room: good")
        assert calibrating.end() == 0, calibrating.shown
    finally:
        calibrating.close()
    gate = read_settings(path).endpoint.gate_dbfs
    assert -66 <= gate <= -50, "6 dB above the hum of the virtual microphone"
    added = COMMENTED.replace("#gate_dbfs = -60.0\n", f"#gate_dbfs = -60.0\ngate_dbfs = {gate}\n")
    assert path.read_text() == added
    assert [each.name for each in tmp_path.iterdir()] == ["my.toml"], "no audio is written"
    assert any("speak, 1 s left" in line for line in calibrating.shown)
    assert any(f"{NAME}, 48000 Hz, 2 channels" in line for line in calibrating.shown)


def test_json_has_the_hum_of_the_room(microphone: VirtualMicrophone) -> None:
    calibrating = Calibrating(microphone, "--seconds", "2", "--json", terminal=False)
    try:
        calibrating.wait_for_part(2)
        microphone.play(READING)
        assert calibrating.end() == 0, calibrating.shown
    finally:
        calibrating.close()
    found = json.loads(next(line for line in calibrating.shown if line.startswith("{")))
    assert found["hum"]["mains_hz"] == 50
    assert 100 in found["hum"]["harmonics_hz"]
    assert found["hum"]["level_dbfs"] == pytest.approx(found["room"]["floor_dbfs"], abs=1)
    assert -30 < found["speech"]["level_dbfs"] < -17
    assert [(each["dead"], each["inverted"]) for each in found["channels"]] == [(False, False)] * 2
    assert found["usable"]


def test_no_speech_and_a_lost_microphone(microphone: VirtualMicrophone) -> None:
    calibrating = Calibrating(microphone, "--seconds", "2", terminal=False)
    try:
        calibrating.wait_for("edge-mcnn: no speech was detected in the second part")
        assert calibrating.end() == 1
    finally:
        calibrating.close()
    calibrating = Calibrating(microphone, "--seconds", "60", terminal=False)
    try:
        calibrating.wait_for_part(1)
        microphone.unplug()
        calibrating.wait_for("edge-mcnn: the microphone was lost while it was measured")
        assert calibrating.end() == 1
    finally:
        calibrating.close()


def test_a_running_daemon_does_not_listen_meanwhile(
    microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second measurement is ended by Ctrl-C and the third is killed: the daemon listens again each time."""
    assert speech_model.exists()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    socket = tmp_path / "edge-mcnn" / "status.sock"

    def state() -> str:
        return read_status(socket).state

    with ListenProcess(microphone, "--microphone", NAME, "--lights", "none") as listening:
        listening.wait_for("listening to")
        for number, status in ((None, 0), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
            calibrating = Calibrating(microphone, "--seconds", "2", terminal=True)
            try:
                calibrating.wait_for("does not listen meanwhile")
                calibrating.wait_for_part(1)
                assert state() == "muted"
                if number is None:
                    calibrating.wait_for_part(2)
                    microphone.play(READING)
                else:
                    calibrating.process.send_signal(number)
                assert calibrating.end() == status, calibrating.shown
            finally:
                calibrating.close()
            wait_until(lambda: state() == "healthy", message="it does not listen again")
