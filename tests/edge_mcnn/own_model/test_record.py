"""`edge-mcnn record` without a microphone; `tests.system` runs it with one."""

from pathlib import Path

import numpy as np
import pytest

from device.recorder.clip_folder import ClipFolder
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn

NO_CARD = "pcm.default { type hw card 31 }\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine without a microphone."""
    (tmp_path / "alsa.conf").write_text(NO_CARD)
    return {"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")}


def test_help_warns_that_audio_is_written() -> None:
    done = edge_mcnn("record", "--help")
    assert done.returncode == 0
    assert "writes audio to the disk" in done.stdout
    assert "--no-transcribe" in done.stdout


def test_mistakes_are_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    data, file = tmp_path / "data", tmp_path / "file"
    file.write_text("")
    assert_refused(edge_mcnn("record", data, "--classes", "happy,../calm"), "contains /")
    assert_refused(edge_mcnn("record", data, "--classes", "happy,happy"), "is named twice")
    assert_refused(edge_mcnn("record", data, "--classes", "a,b", "--prompts", tmp_path / "none"), "a sentence per line")
    assert_refused(edge_mcnn("record", data), "name the classes")
    assert not data.exists(), "a refused command creates nothing"
    data.mkdir()
    assert_refused(edge_mcnn("record", data), "name the classes")
    assert_refused(edge_mcnn("record", file, "--classes", "happy,calm"), "is a file, not a folder")
    (data / "clips.csv").write_text("a;b\n1;2\n")
    assert_refused(edge_mcnn("record", data, "--classes", "happy,calm"), "not a table of clips")
    assert (data / "clips.csv").read_text() == "a;b\n1;2\n"
    assert edge_mcnn("record").returncode == 2
    assert edge_mcnn("record", data, "--clips", "0").returncode == 2


def test_no_microphone(tmp_path: Path, environment: dict[str, str]) -> None:
    done = edge_mcnn("record", tmp_path / "data", "--classes", "a,b", "--no-transcribe", environment=environment)
    assert_refused(done, "no microphone found")
    assert "are written to disk" in done.stdout


def test_existing_classes(tmp_path: Path, environment: dict[str, str]) -> None:
    with ClipFolder(tmp_path, print) as folder:
        for label in ("happy", "calm"):
            folder.add(np.zeros(999, np.int16), label, "", "")
    done = edge_mcnn("record", tmp_path, "--clips", "1", environment=environment)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "all clips are recorded, 1 per class" in done.stdout
    assert f"{tmp_path}: 1 happy, 1 calm" in done.stdout
    more = edge_mcnn("record", tmp_path, "--classes", "calm,angry", "--no-transcribe", environment=environment)
    assert f"{tmp_path}/clips.csv also contains happy: added to the classes" in more.stderr
    assert "no microphone found" in more.stderr
