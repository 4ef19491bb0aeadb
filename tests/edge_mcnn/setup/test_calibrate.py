"""`edge-mcnn calibrate` with simulated microphones; tests/system has a virtual one behind the real PortAudio."""

import contextlib
import functools
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from device.audio.microphone import Block, MicrophoneInfo, is_constant
from device.daemon import control
from device.errors import AudioError, SettingsError, StatusError
from device.recorder import recorder
from device.room.phases import SETTLE_S
from device.service import install, systemctl
from device.settings.toml import read_settings
from device.system.streams import stderr
from edge_mcnn.output import out
from edge_mcnn.setup import calibrate
from tests.conftest import CLIPS
from tests.device.room.audio import RATE, int16, noise
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn

SECONDS = 3.0
NAME = "USB PnP Sound Device: Audio (hw:7,0)"
COMMENTED = "# mine\n[endpoint]  # the gate\ngate_dbfs = -40  # too high\n\n[lights] # last\nhold_s = 2\n"
Calibrate = Callable[..., None]
Plug = Callable[..., None]


def voice(gain_db: float = 0.0) -> NDArray[np.float64]:
    """Speech with a level of -23 dBFS over noise of -63, both with a gain, long enough for settling and measuring."""
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac")
    long = np.concatenate([samples, samples])[: round((SECONDS + 2 * SETTLE_S) * RATE)]
    return np.asarray(10 ** (gain_db / 20) * (long + noise(-63, len(long) / RATE)))


def room(dbfs: float = -70) -> NDArray[np.float64]:
    return noise(dbfs, SECONDS + SETTLE_S)


class SimulatedMicrophone:
    """Delivers audio as fast as it is read, and then nothing."""

    def __init__(self, samples: NDArray[np.int16], *, ends: bool = False) -> None:
        self.info = MicrophoneInfo(0, NAME, RATE, samples.shape[1], is_default=True)
        self.rate = RATE
        self.dropped_blocks = 0
        self.batch_size = 1
        self._blocks = [samples[start : start + 2048] for start in range(0, len(samples), 2048)]
        self._ends = ends

    @property
    def ended(self) -> bool:
        return self._ends and not self._blocks

    def block(self, limit_s: float) -> Block | None:
        if not self._blocks:
            return None
        samples = self._blocks.pop(0)
        return Block(samples, time.monotonic(), constant=is_constant(samples))

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Plugs in a microphone; its audio is made again each time that it is opened."""

    def plug(audio: Callable[[], NDArray[np.int16]], *, ends: bool = False) -> None:
        def opened(*_: object) -> SimulatedMicrophone:
            return SimulatedMicrophone(audio(), ends=ends)

        recorder_with = functools.partial(recorder.Recorder, open_microphone=opened)
        monkeypatch.setattr(recorder, "Recorder", recorder_with)

    return plug


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calibrate:
    """Runs the command for a user without the service and without `amixer`."""
    monkeypatch.setattr(stderr, "silence_c_libraries", lambda: None)
    monkeypatch.setattr(systemctl, "UNIT_FILE", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")  # no line is broken
    return functools.partial(calibrate.calibrate_command, seconds=SECONDS)


def good() -> NDArray[np.int16]:
    return int16(np.concatenate([room(), voice(-7)]))


def printed_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_good_microphone(run: Calibrate, plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    plug(good)
    run()
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out
    assert "1. Be quiet: the room is measured for 3 s." in lines
    assert re.search(r"noise floor +-70 dBFS", lines)
    assert re.search(r"speech +-(29|30|31) dBFS", lines)
    assert "amixer is not installed, so the gain is not known" in lines
    assert re.search(r"OK +speech +Speech is (39|40) dB above the room: good", lines)
    assert re.search(r"OK +gate +the gate of -60 dBFS fits; the best value is -6\d", lines)
    assert [line.split()[0] for line in lines.splitlines() if line.endswith(" dB")][-5:] == [
        "room", "gate", "better", "speech", "loudest",
    ]  # fmt: skip


def test_json(run: Calibrate, plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    plug(good)
    run(json=True)
    found = printed_json(capsys)
    assert found["microphone"] == NAME
    assert found["room"]["floor_dbfs"] == pytest.approx(-70, abs=0.3)
    assert found["speech"]["level_dbfs"] == pytest.approx(-30, abs=2)
    assert found["signal_to_noise_db"] == pytest.approx(40, abs=2)
    assert (found["clipped"], found["hum"], found["usable"], found["applied"]) == (0, None, True, None)
    assert found["channels"] == [
        {
            "level_dbfs": pytest.approx(-28, abs=4),
            "offset": pytest.approx(0, abs=1e-3),
            "dead": False,
            "inverted": False,
        }
    ]
    assert found["gate"]["present_dbfs"] == -60
    assert found["gate"]["fits"]
    assert found["gain"]["change"] is None
    assert [each["topic"] for each in found["findings"]] == ["speech", "gate"]


def test_faults_of_the_channels(run: Calibrate, plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    one = np.concatenate([room(), voice(-7)])
    plug(lambda: int16(one, -0.8 * one, np.zeros(len(one)), one + 0.1))
    run(json=True)
    found = printed_json(capsys)
    assert [(each["dead"], each["inverted"]) for each in found["channels"]] == [
        (False, False), (False, True), (True, False), (False, False),
    ]  # fmt: skip
    assert found["channels"][3]["offset"] == pytest.approx(0.1, abs=1e-3)
    assert found["usable"]


def test_no_speech(run: Calibrate, plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    plug(lambda: int16(noise(-70, 2 * SECONDS + 2)))
    with pytest.raises(AudioError, match="no speech was detected") as error:
        run()
    assert "edge-mcnn microphones" in error.value.fix
    assert "none detected" in capsys.readouterr().out
    with pytest.raises(AudioError):
        run(json=True)
    found = printed_json(capsys)
    assert (found["usable"], found["speech"], found["gate"]) == (False, None, None)


def test_a_muted_microphone(run: Calibrate, plug: Plug) -> None:
    plug(lambda: np.zeros((round((2 * SECONDS + 2) * RATE), 2), np.int16))
    with pytest.raises(AudioError, match="every sample has the same value") as error:
        run()
    assert "alsamixer" in error.value.fix


def test_a_microphone_that_is_unplugged(run: Calibrate, plug: Plug) -> None:
    plug(lambda: int16(room()), ends=True)
    with pytest.raises(AudioError, match="the microphone was lost while it was measured"):
        run()


def test_apply_writes_the_gate_and_nothing_else(
    run: Calibrate, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.toml"
    path.write_text(COMMENTED)
    plug(good)
    run(config=path)
    shown = " ".join(capsys.readouterr().out.split())
    assert "the gate of -40 dBFS is too high: quiet speech is not detected" in shown
    assert f"or run: edge-mcnn calibrate --apply --config {path}" in shown
    assert path.read_text() == COMMENTED, "nothing is written without --apply"
    run(config=path, apply=True)
    gate = read_settings(path).endpoint.gate_dbfs
    assert -66 <= gate <= -60
    assert path.read_text() == COMMENTED.replace("gate_dbfs = -40", f"gate_dbfs = {gate}")
    shown = capsys.readouterr().out
    assert f"wrote gate_dbfs = {gate:g} to {path}" in shown
    assert f"use it: edge-mcnn listen --config {path}" in shown
    run(config=path, apply=True, json=True)
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["applied"], found["gate"]["fits"]) == (str(path), True)
    assert "wrote gate_dbfs" in printed.err


def test_apply_writes_nothing_without_speech(run: Calibrate, plug: Plug, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(COMMENTED)
    plug(lambda: int16(noise(-70, 2 * SECONDS + 2)))
    with pytest.raises(AudioError):
        run(config=path, apply=True)
    assert path.read_text() == COMMENTED


def test_apply_needs_a_file_before_anything_is_measured(run: Calibrate, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--apply needs a settings file") as error:
        run(apply=True)
    assert error.value.fix == "edge-mcnn settings --show > my.toml, then: edge-mcnn calibrate --apply --config my.toml"
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\n\nx = 1\n")
    with pytest.raises(SettingsError, match=f"{path}:3: "):
        run(apply=True, config=path)
    assert {each.name for each in tmp_path.iterdir()} == {"my.toml"}


def test_the_settings_of_the_service(
    run: Calibrate, plug: Plug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(COMMENTED)
    monkeypatch.setattr(install, "CONFIG", path)
    monkeypatch.setattr(systemctl, "UNIT_FILE", path)
    monkeypatch.setenv("EDGE_MCNN_ENDPOINT_GATE_DBFS", "-50")
    plug(good)
    run()
    assert "sudo .venv/bin/edge-mcnn calibrate --apply" not in capsys.readouterr().out, "the variable fits"
    run(apply=True)
    shown = capsys.readouterr().out
    assert "EDGE_MCNN_ENDPOINT_GATE_DBFS in the environment overrides it" in shown
    assert "sudo systemctl restart edge-mcnn" in shown
    assert read_settings(path).endpoint.gate_dbfs < -59
    monkeypatch.delenv("EDGE_MCNN_ENDPOINT_GATE_DBFS")
    path.write_text(COMMENTED)
    run()
    assert "sudo .venv/bin/edge-mcnn calibrate --apply" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def quiet_card(run: Calibrate, plug: Plug, tmp_path: Path) -> Path:
    """A card whose speech is at -53 dBFS, and 20 dB louder with each `sset`; the file notes the calls of `amixer`."""
    calls = tmp_path / "calls"
    calls.write_text("")
    program = tmp_path / "amixer"
    program.write_text(
        f"""#!/bin/sh
echo "$@" >> {calls}
echo "Simple mixer control 'Mic',0"
echo "  Capabilities: cvolume cvolume-joined cswitch cswitch-joined"
echo "  Capture channels: Mono"
echo "  Limits: Capture 0 - 16"
echo "  Mono: Capture 4 [25%] [3.00dB] [on]"
"""
    )
    program.chmod(0o755)

    def audio() -> NDArray[np.int16]:
        gain = 20 * calls.read_text().count("sset")
        return int16(np.concatenate([room(-85 + gain), voice(-30 + gain)]))

    plug(audio)
    return calls


def test_the_gain_is_changed_after_a_question(
    run: Calibrate, quiet_card: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = []

    def confirm(question: str) -> bool:
        questions.append(question)
        return reply

    monkeypatch.setattr(calibrate, "has_keyboard", lambda: True)
    monkeypatch.setattr(out, "confirm", confirm)
    reply = False
    run()
    assert "sset" not in quiet_card.read_text()
    [question] = questions
    assert re.fullmatch(
        r"Set 'Mic' of card 7 from 3 dB to 2\d\.\d dB, or as near as it gets, and measure again\?", question
    )
    assert "Too quiet: speech is at -5" in capsys.readouterr().out
    reply = True
    run()
    assert len(questions) == 2, "the second measurement is good"
    assert re.search(r"^-c 7 -- sset Mic,0 capture 2\d\.\ddB$", quiet_card.read_text(), re.MULTILINE)
    shown = capsys.readouterr().out
    assert shown.count("1. Be quiet") == 2
    assert "Too quiet" in shown
    assert "Too quiet" not in shown[shown.rindex("1. Be quiet") :]


def test_without_a_keyboard_the_gain_is_only_proposed(
    run: Calibrate, quiet_card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    assert "amixer -c 7 -- sset Mic,0 capture 2" in " ".join(capsys.readouterr().out.split())
    run(json=True)
    assert printed_json(capsys)["gain"]["change"]["command"].startswith("amixer -c 7 -- sset Mic,0 capture 2")
    assert "sset" not in quiet_card.read_text()


def test_with_yes_the_gain_is_changed(run: Calibrate, quiet_card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(yes=True, json=True)
    found = printed_json(capsys)
    assert quiet_card.read_text().count("sset") == 1
    assert found["speech"]["level_dbfs"] == pytest.approx(-33, abs=2)
    assert found["gain"]["change"] is None


def test_yes_gives_up_on_a_control_without_effect(run: Calibrate, quiet_card: Path, plug: Plug) -> None:
    plug(lambda: int16(np.concatenate([room(-85), voice(-30)])))
    run(yes=True)
    assert quiet_card.read_text().count("sset") == 3


def test_a_running_daemon_does_not_use_the_microphone_meanwhile(
    run: Calibrate, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    @contextlib.contextmanager
    def hold(_announce: Callable[[str], None]) -> Iterator[bool]:
        held.append(True)
        try:
            yield True
        finally:
            held.append(False)

    monkeypatch.setattr(control, "held_microphone", hold)

    def audio() -> NDArray[np.int16]:
        assert held == [True], "its microphone is closed before ours is opened"
        return good()

    plug(audio)
    run(json=True)
    assert held == [True, False]
    held.clear()
    plug(lambda: int16(room()), ends=True)
    with pytest.raises(AudioError):
        run()
    assert held == [True, False]


def test_a_daemon_that_may_not_be_controlled(run: Calibrate, plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(control, "_exchange", refuse)
    plug(good)
    with pytest.raises(StatusError, match="permission denied") as error:
        run()
    assert "group audio" in error.value.fix


def test_usage_errors_and_a_machine_without_a_microphone(tmp_path: Path) -> None:
    for seconds in ("1", "61", "x"):
        assert edge_mcnn("calibrate", "--seconds", seconds).returncode == 2
    (tmp_path / "alsa.conf").write_text("pcm.default { type hw card 31 }\n")
    environment = {"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf"), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert_refused(edge_mcnn("calibrate", environment=environment), "no microphone found")
    assert_refused(edge_mcnn("calibrate", "--json", environment=environment), "no microphone found")
    done = edge_mcnn("calibrate", "--help")
    assert "is never stored" in " ".join(done.stdout.split())
    assert os.listdir(tmp_path) == ["alsa.conf"]  # noqa: PTH208  # names suffice
