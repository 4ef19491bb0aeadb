"""A small RAVDESS and other small corpora: speakers with short clips of four emotions that differ in frequency."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.front_end.parameters import FrontEnd

FRONT_END = FrontEnd(n_fft=512, hop_length=256, n_mels=32, image_height=32, image_width=32)
_HERTZ = {"angry": 300, "neutral": 1200, "happy": 4000, "surprised": 500}


NAMES = ("Zoe", "Anna", "Bo", "Carl")
"""Speakers of the corpora that do not number them."""


@pytest.fixture(scope="session")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds `ravdess/`; one surprised clip of each actor, and two of each other emotion.

    Tests must not change the files."""
    data = tmp_path_factory.mktemp("data")
    return write_ravdess(data, actors=10)


@pytest.fixture(scope="session")
def corpora(ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds `ravdess/`, `nemo/` and `emodb/`. Tests must not change the files."""
    data = tmp_path_factory.mktemp("corpora")
    shutil.copytree(ravdess / "ravdess", data / "ravdess")
    write_corpus(data / "nemo", NAMES)
    write_corpus(data / "emodb", NAMES, {"angry": 300, "neutral": 1200, "happy": 4000, "boredom": 600})
    return data


def write_ravdess(data: Path, actors: int) -> Path:
    write_corpus(data / "ravdess", [f"actor{actor:02}" for actor in range(1, actors + 1)])
    return data


def write_corpus(folder: Path, speakers: Sequence[str], emotions: Mapping[str, float] = _HERTZ) -> None:
    """Write clips of each emotion whose frequency, in hertz, is given: one of surprise and boredom, two of others."""
    (folder / "flac").mkdir(parents=True)
    random = np.random.default_rng(0)
    lines = ["file,speaker,emotion"]
    for speaker in speakers:
        for emotion, hertz in emotions.items():
            for number in range(1 if emotion in ("surprised", "boredom") else 2):
                name = f"{speaker.removeprefix('actor')}-{emotion}-{number}.flac"
                times = np.arange(8000) / 16_000
                envelope = np.sin(2 * np.pi * random.uniform(3, 6) * times) ** 2
                samples = envelope * np.sin(2 * np.pi * hertz * random.uniform(0.9, 1.1) * times)
                samples += 0.01 * random.standard_normal(len(times))
                soundfile.write(folder / "flac" / name, 0.3 * samples, 16_000)
                lines.append(f"{name},{speaker},{emotion}")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
