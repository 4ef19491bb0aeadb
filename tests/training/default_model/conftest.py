"""A small RAVDESS and other small corpora: speakers with two short clips of three classes that differ in frequency."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.front_end.parameters import FrontEnd

LABELS = ("negative", "neutral", "positive")
FRONT_END = FrontEnd(n_fft=512, hop_length=256, n_mels=32, image_height=32, image_width=32)
_HERTZ = {"negative": 300, "neutral": 1200, "positive": 4000, "": 500}


NAMES = ("Zoe", "Anna", "Bo", "Carl")
"""Speakers of the corpora that do not number them."""


@pytest.fixture(scope="session")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds `ravdess/`; one clip of each actor has no sentiment. Tests must not change the files."""
    data = tmp_path_factory.mktemp("data")
    return write_ravdess(data, actors=10)


@pytest.fixture(scope="session")
def corpora(ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds `ravdess/`, `nemo/` and `emodb/`. Tests must not change the files."""
    data = tmp_path_factory.mktemp("corpora")
    shutil.copytree(ravdess / "ravdess", data / "ravdess")
    for corpus in ("nemo", "emodb"):
        write_corpus(data / corpus, NAMES)
    return data


def write_ravdess(data: Path, actors: int) -> Path:
    write_corpus(data / "ravdess", [f"actor{actor:02}" for actor in range(1, actors + 1)])
    return data


def write_corpus(folder: Path, speakers: Sequence[str]) -> None:
    (folder / "flac").mkdir(parents=True)
    random = np.random.default_rng(0)
    lines = ["file,speaker,emotion,sentiment"]
    for speaker in speakers:
        for sentiment, hertz in _HERTZ.items():
            for number in range(2 if sentiment else 1):
                name = f"{speaker.removeprefix('actor')}-{sentiment or 'surprised'}-{number}.flac"
                times = np.arange(8000) / 16_000
                envelope = np.sin(2 * np.pi * random.uniform(3, 6) * times) ** 2
                samples = envelope * np.sin(2 * np.pi * hertz * random.uniform(0.9, 1.1) * times)
                samples += 0.01 * random.standard_normal(len(times))
                soundfile.write(folder / "flac" / name, 0.3 * samples, 16_000)
                lines.append(f"{name},{speaker},x,{sentiment}")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
