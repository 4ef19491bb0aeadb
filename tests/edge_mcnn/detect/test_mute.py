"""`edge-mcnn mute` with a control socket; tests/system/test_mute.py mutes a daemon with it."""

import json
import tempfile
from collections.abc import Iterator

import pytest

from device.daemon.control import ControlServer, control_socket_path
from device.daemon.controls import Controls
from device.errors import StatusError
from tests.device.outputs.commands import NotedCommands
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="run") as folder:  # the paths of pytest are too long for a socket
        yield {"XDG_RUNTIME_DIR": folder}


def server(environment: dict[str, str], commands: NotedCommands) -> ControlServer:
    path = control_socket_path(environment)
    assert path is not None

    def mute(muted: bool | None) -> str:
        if commands.mute(muted):
            return "muted: the microphone is closed"
        raise StatusError("the sound system hangs", fix="restart the machine")

    return ControlServer(path, commands, mute, Controls().hold, print)


def test_actions(environment: dict[str, str]) -> None:
    commands = NotedCommands()
    with server(environment, commands):
        assert edge_mcnn("mute", "on", environment=environment).stdout == "muted: the microphone is closed\n"
        refused = edge_mcnn("mute", "off", environment=environment)
        done = edge_mcnn("mute", "toggle", "--json", environment=environment)
    assert_refused(refused, "the sound system hangs", "restart the machine")
    assert json.loads(done.stdout) == {"muted": True, "message": "muted: the microphone is closed"}
    assert commands.mutings == [True, False, None]


def test_without_a_daemon(environment: dict[str, str]) -> None:
    done = edge_mcnn("mute", "on", environment=environment)
    assert_refused(done, "no daemon is running", "start one: edge-mcnn listen")


def test_usage(environment: dict[str, str]) -> None:
    assert "'maybe' is not one of" in edge_mcnn("mute", "maybe", environment=environment).stderr
    done = edge_mcnn("mute", environment=environment)
    assert done.returncode == 2
    assert "Missing argument" in done.stderr
