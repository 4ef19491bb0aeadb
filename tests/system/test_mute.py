"""The daemon is muted: nothing records from its microphone, from every way to mute it, and over a restart."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from device.adaptation.profile import CORRECTION, read_profile
from device.daemon.status import read_status
from tests.conftest import CLIPS
from tests.system.listen_process import REPOSITORY, ListenProcess
from tests.system.losses import observed_daemon
from tests.system.mutings import cycles
from tests.system.test_listen import by_label
from tests.system.test_listen import plain_microphone as plain_microphone
from tests.system.test_listen_screen import LISTENING, Starter, pytestmark
from tests.system.test_listen_screen import microphone as microphone
from tests.system.test_listen_screen import start as start
from tests.system.virtual_microphone import VirtualMicrophone
from tests.waiting import wait_until

__all__ = ["pytestmark"]

CLEAR = CLIPS / "espeak-ruined.flac"


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables with folders for what is remembered and for the sockets, which no other daemon uses."""
    with tempfile.TemporaryDirectory(prefix="run") as runtime:  # the paths of pytest are too long for a socket
        yield {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": runtime}


def mute(action: str, folders: dict[str, str], *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edge_mcnn", "mute", action, *options],
        cwd=REPOSITORY, capture_output=True, text=True, env=folders, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


def test_muting_closes_the_microphone_and_unmuting_opens_it_without_leaks() -> None:
    with observed_daemon() as daemon:
        outcome = cycles(daemon, 10)
        daemon.microphone.play(CLEAR)
        wait_until(lambda: daemon.status().utterances, message="it does not detect speech as before")
    assert outcome.after.memory_mb < outcome.before.memory_mb + 5
    assert outcome.after.microphone_losses == 0, "muting is no loss"
    assert outcome.after.uptime_s > outcome.before.uptime_s, "the daemon never restarted"


def test_a_muted_daemon_is_muted_after_it_was_killed(
    plain_microphone: VirtualMicrophone, speech_model: Path, folders: dict[str, str]
) -> None:
    assert speech_model.exists()
    socket = Path(folders["XDG_RUNTIME_DIR"]) / "edge-mcnn" / "status.sock"
    environment = {"HOME": str(Path.home()), "PATH": "", **folders}
    with ListenProcess(plain_microphone, "--lights", "none", settings=folders) as listening:
        listening.wait_for("listening to")
        assert mute("on", environment) == "muted: the microphone is closed; to open it: edge-mcnn mute off\n"
        assert plain_microphone.recorders() == 0
        listening.wait_for("muted: the microphone is closed")
        plain_microphone.play(CLEAR)
        assert read_status(socket).utterances == 0
        listening.process.send_signal(signal.SIGKILL)
        listening.process.wait(20)
    with ListenProcess(plain_microphone, "--lights", "none", settings=folders) as listening:
        listening.wait_for("muted: the microphone is closed")
        status = read_status(socket)
        assert (status.state, status.microphone, status.blocks_received) == ("muted", "", 0)
        assert plain_microphone.recorders() == 0
        reply = json.loads(mute("toggle", environment, "--json"))
        assert reply["muted"] is False
        assert reply["message"].startswith("listening to ")
        plain_microphone.play(CLEAR)
        assert listening.next_prediction()["label"] == "negative"
        listening.end(signal.SIGTERM)


class Buttons:
    """The buttons of a `ListenProcess` with mock pins."""

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        self.environment = {"MOCK_LEVELS": str(pipe)}
        self._pipe = pipe
        self._stream: IO[str] | None = None

    def press(self, pin: int) -> None:
        """Press and release the button at a pin, which connects it to ground."""
        if self._stream is None:
            self._stream = self._pipe.open("w")
        for level in ("low", "high"):
            self._stream.write(f"GPIO{pin} {level}\n")
        self._stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def test_a_button_mutes_and_another_corrects(
    plain_microphone: VirtualMicrophone, speech_model: Path, folders: dict[str, str], tmp_path: Path
) -> None:
    assert speech_model.exists()
    settings = tmp_path / "config.toml"
    settings.write_text("[mute]\nbutton = 12\n[learn]\nbutton = 26\n")
    buttons = Buttons(tmp_path / "levels")
    environment = {**folders, **buttons.environment, "XDG_DATA_HOME": str(tmp_path)}
    with ListenProcess(
        plain_microphone, "--lights", "gpio", "--config", str(settings), mock_pins=True, settings=environment
    ) as listening:
        listening.wait_for("listening to")
        buttons.press(12)
        wait_until(lambda: plain_microphone.recorders() == 0)
        listening.wait_for("muted: the microphone is closed")
        buttons.press(12)
        listening.wait_for("listening to")
        assert plain_microphone.recorders() == 1
        plain_microphone.play(CLEAR)
        prediction = listening.next_prediction()
        probabilities = prediction["probabilities"]
        second, third = sorted(probabilities, key=lambda label: -probabilities[label])[1:]
        buttons.press(26)
        listening.wait_for(f"buttons: learnt: that was {second} ")
        buttons.press(26)
        listening.wait_for(f"buttons: learnt: that was {third} ")
        buttons.press(26)
        listening.wait_for(f"buttons: learnt: that was {prediction['label']} ")
        listening.end(signal.SIGTERM)
        buttons.close()
        pins = by_label(listening)
    assert True in pins[prediction["label"]]
    assert True in pins["neutral"], "the sign that it is muted"
    [example] = read_profile(tmp_path / "edge-mcnn" / "profile.json").examples
    assert (example.label, example.source) == (prediction["label"], CORRECTION)


def test_the_key_m_in_the_terminal(microphone: VirtualMicrophone, start: Starter, folders: dict[str, str]) -> None:
    terminal = start("--lights", "terminal", **folders)
    terminal.wait_for_text(LISTENING)
    terminal.wait_for_text("m: mute")
    terminal.press(b"m")
    terminal.wait_for_text("muted: the microphone is closed  m: unmute")
    assert microphone.recorders() == 0
    terminal.press(b"m")
    terminal.wait_for_text(LISTENING)
    microphone.play(CLEAR)
    terminal.wait_for_text("\u25cf negative")
    terminal.press(b"\x03")
    assert terminal.end() == 0
