"""The daemon is muted: nothing records from its microphone, from every way to mute it, and over a restart."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.daemon.status import read_status
from tests.conftest import CLIPS
from tests.system.listen_process import REPOSITORY, ListenProcess
from tests.system.losses import observed_daemon
from tests.system.mutings import cycles
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
    assert outcome.after.threads == outcome.before.threads
    assert outcome.after.open_files == outcome.before.open_files
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
