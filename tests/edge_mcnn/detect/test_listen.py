"""What `edge-mcnn listen` passes on to its check of every part; `tests/system/` has the command itself."""

import os
from pathlib import Path

import pytest

from device.daemon.self_check import SelfCheck
from edge_mcnn.detect.listen import _self_check
from edge_mcnn.options import ListenLights


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Command and environment of each check that is made."""
    made: list[tuple[list[str], dict[str, str]]] = []

    def note(_check: SelfCheck, command: list[str], environment: dict[str, str]) -> None:
        made.append((command, environment))

    monkeypatch.setattr(SelfCheck, "__init__", note)
    return made


def test_the_settings_file_and_the_options_hold_for_the_check(
    tmp_path: Path, made: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MCNN_MICROPHONE_NAME", "from the environment")
    config = tmp_path / "my.toml"
    config.touch()
    assert _self_check(config, model=Path("M.tflite"), microphone="USB", lights=ListenLights.NONE)
    assert _self_check(None, model=None, microphone=None, lights=None)
    [(command, variables), (without_file, unchanged)] = made
    assert command[1:] == ["-m", "edge_mcnn", "doctor", "--json", "--config", str(config)]
    assert without_file == command[:5]
    assert unchanged == dict(os.environ)
    assert variables == {
        **os.environ,
        "EDGE_MCNN_CLASSIFIER_MODEL": "M.tflite",
        "EDGE_MCNN_MICROPHONE_NAME": "USB",
        "EDGE_MCNN_LIGHTS_KIND": "none",
    }


def test_settings_from_a_pipe_cannot_be_read_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert _self_check(tmp_path / "pipe", model=None, microphone=None, lights=None) is None
