"""A listening process is corrected: by a key in its terminal, and through its control socket."""

import json
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.adaptation.profile import read_profile
from device.daemon import control
from device.daemon.control import correct_last
from device.daemon.status import read_status
from device.errors import ProfileError
from tests.system.listen_process import ListenProcess
from tests.system.test_listen_screen import CLEAR, LISTENING, Starter, pytestmark
from tests.system.test_listen_screen import microphone as microphone
from tests.system.test_listen_screen import start as start
from tests.system.virtual_microphone import NAME, VirtualMicrophone

__all__ = ["pytestmark"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Variables with folders for the profile and for the sockets, which no other daemon uses."""
    with tempfile.TemporaryDirectory(prefix="run") as runtime:  # the paths of pytest are too long for a socket
        variables = {"XDG_DATA_HOME": str(tmp_path), "XDG_RUNTIME_DIR": runtime}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(control, "SERVICE_CONTROL_SOCKET", tmp_path / "no service")
        yield variables


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "edge-mcnn" / "profile.json"


def labels(profile: Path) -> list[str]:
    return [example.label for example in read_profile(profile).examples]


def test_a_key_in_the_terminal_corrects_the_latest_prediction(
    microphone: VirtualMicrophone, start: Starter, folders: dict[str, str], profile: Path
) -> None:
    terminal = start("--lights", "terminal", **folders)
    terminal.wait_for_text(LISTENING)
    terminal.press(b"1")
    terminal.wait_for_text("nothing was predicted yet")
    microphone.play(CLEAR)
    shown = terminal.wait_for_text("wrong? 1 negative  2 neutral  3 positive")
    assert any("\u25cf negative" in line for line in shown)
    assert not profile.exists()
    terminal.press(b"3")
    terminal.wait_for_text("learnt: that was positive (1 example, not used yet)")
    terminal.wait_for_text("\u25cf positive")
    terminal.press(b"x2")
    terminal.wait_for_text("learnt: that was neutral (1 example, not used yet)")
    terminal.wait_for_text("\u25cf neutral")
    assert labels(profile) == ["neutral"], "the second correction replaces the first"
    assert profile.stat().st_mode & 0o777 == 0o600
    terminal.press(b"\x03")
    assert terminal.process.wait(60) == 0
    assert termios.tcgetattr(terminal._child)[3] & termios.ICANON
    assert terminal.echoes
    terminal.end()


def test_what_is_learnt_through_the_socket_changes_the_next_prediction(
    microphone: VirtualMicrophone, speech_model: Path, folders: dict[str, str], profile: Path
) -> None:
    assert speech_model.exists()

    def spoken(listening: ListenProcess) -> dict[str, Any]:
        microphone.play(CLEAR)
        return listening.next_prediction()

    with ListenProcess(microphone, "--microphone", NAME, "--lights", "none") as listening:
        listening.wait_for("listening to")
        before = spoken(listening)
        assert (before["label"], before["adapted"]) == ("negative", False)
        with pytest.raises(ProfileError, match="angry is not a class"):
            correct_last("angry")
        for number in range(1, 5):
            assert correct_last("positive").examples == number
            after = spoken(listening)
        assert after["adapted"]
        assert after["probabilities"]["positive"] > 2 * before["probabilities"]["positive"]
        status = read_status(Path(folders["XDG_RUNTIME_DIR"], "edge-mcnn", "status.sock"))
        assert (status.examples, status.adapted) == (4, True)
        assert labels(profile) == ["positive"] * 4
        # Another program forgets everything; the daemon follows after the next prediction.
        table = json.loads(profile.read_text())
        replaced = profile.with_name("replaced.json")
        replaced.write_text(json.dumps({**table, "examples": []}))
        replaced.replace(profile)
        assert [spoken(listening)["adapted"] for _ in range(2)] == [True, False]
