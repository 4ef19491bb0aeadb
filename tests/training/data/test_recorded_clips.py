"""What `edge-mcnn record` writes is what `edge-mcnn train` reads: the two know nothing of each other."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from device.recorder.clip_folder import ClipFolder
from edge_mcnn.record import next_steps
from training.data.clip_table import read_clip_table

SAID = {"happy": "what a great day", "calm": "", "angry": 'no, she said "no"'}
PITCH = {"happy": 1500, "calm": 600, "angry": 200}
EACH = 5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as a session leaves it: three classes, two speakers."""
    times = np.arange(16_000) / 16_000
    random = np.random.default_rng(0)
    with ClipFolder(tmp_path / "my voice", print) as folder:
        for number in range(EACH):
            for label, text in SAID.items():
                tone = 9000 * np.sin(2 * np.pi * PITCH[label] * times) + random.normal(0, 30, len(times))
                folder.add(tone.astype(np.int16), label, text, ("Ann", "Jürg, jr.")[number % 2])
    return folder.path


def test_trainings_reader_reads_it(data: Path) -> None:
    clips = read_clip_table(data / "clips.csv")
    assert len(clips) == len(SAID) * EACH
    assert {(clip.label, clip.text) for clip in clips} == set(SAID.items())
    assert all(
        clip.audio == data / clip.label / f"{number // len(SAID) + 1:04}.flac" for number, clip in enumerate(clips)
    )
    # A whole speaker is held out.
    assert {(clip.speaker, clip.split) for clip in clips} == {("Ann", "train"), ("Jürg, jr.", "validation")}


def test_the_command_that_it_tells_trains_a_network(data: Path, tmp_path: Path) -> None:
    from convert.source.keras_h5 import read_companions

    command = next_steps(data / "clips.csv", dict.fromkeys(SAID, EACH), words=True)[-1].removeprefix("next: edge-mcnn ")
    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -m edge_mcnn {command} --epochs 1', sys.executable],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(read_companions(tmp_path / "Model.h5").labels) == sorted(SAID)
