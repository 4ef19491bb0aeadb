"""The clip table that `edge-mcnn record` writes is one that `edge-mcnn train` reads."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from device.recorder.clip_folder import ClipFolder
from edge_mcnn.main import app
from edge_mcnn.own_model.record import next_steps
from training.data.clip_table import read_trainable_clips

TEXTS = {"happy": "what a great day", "calm": "", "angry": 'no, she said "no"'}
TONES_HZ = {"happy": 1500, "calm": 600, "angry": 200}
CLIPS_PER_CLASS = 5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as a recording session leaves it: three classes, two speakers."""
    times = np.arange(16_000) / 16_000
    random = np.random.default_rng(0)
    with ClipFolder(tmp_path / "my voice", print) as folder:
        for number in range(CLIPS_PER_CLASS):
            for label, text in TEXTS.items():
                tone = 9000 * np.sin(2 * np.pi * TONES_HZ[label] * times) + random.normal(0, 30, len(times))
                folder.add(tone.astype(np.int16), label, text, ("Ann", "Jürg, jr.")[number % 2])
    return folder.path


def test_training_reads_a_recorded_table(data: Path) -> None:
    clips = read_trainable_clips(data / "clips.csv")
    assert len(clips) == len(TEXTS) * CLIPS_PER_CLASS
    assert {(clip.label, clip.text) for clip in clips} == set(TEXTS.items())
    assert all(
        clip.audio == data / clip.label / f"{number // len(TEXTS) + 1:04}.flac" for number, clip in enumerate(clips)
    )
    # All clips of one speaker are held out.
    assert {(clip.speaker, clip.split) for clip in clips} == {("Ann", "train"), ("Jürg, jr.", "validation")}


@pytest.mark.slow
def test_suggested_command_trains_a_network(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convert.source.keras_h5 import read_companions

    command = next_steps(data / "clips.csv", dict.fromkeys(TEXTS, CLIPS_PER_CLASS), words=True)[-1].removeprefix(
        "next: edge-mcnn "
    )
    # A shell splits the command, because the suggestion is quoted for one.
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True).stdout
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*words.splitlines(), "--epochs", "1"])
    assert done.exit_code == 0, done.output
    assert sorted(read_companions(tmp_path / "Model.h5").labels) == sorted(TEXTS)
