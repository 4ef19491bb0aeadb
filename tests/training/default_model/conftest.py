"""A small RAVDESS: ten actors, each with two short clips of three classes that differ in frequency."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.front_end.parameters import FrontEnd

LABELS = ("negative", "neutral", "positive")
FRONT_END = FrontEnd(n_fft=512, hop_length=256, n_mels=32, image_height=32, image_width=32)
_HERTZ = {"negative": 300, "neutral": 1200, "positive": 4000, "": 500}


@pytest.fixture(scope="session")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds `ravdess/`; one clip of each actor has no sentiment. Tests must not change the files."""
    data = tmp_path_factory.mktemp("data")
    return write_ravdess(data, actors=10)


def write_ravdess(data: Path, actors: int) -> Path:
    (data / "ravdess" / "flac").mkdir(parents=True)
    random = np.random.default_rng(0)
    lines = ["file,speaker,emotion,sentiment"]
    for actor in range(1, actors + 1):
        for sentiment, hertz in _HERTZ.items():
            for number in range(2 if sentiment else 1):
                name = f"{actor:02}-{sentiment or 'surprised'}-{number}.flac"
                times = np.arange(8000) / 16_000
                envelope = np.sin(2 * np.pi * random.uniform(3, 6) * times) ** 2
                samples = envelope * np.sin(2 * np.pi * hertz * random.uniform(0.9, 1.1) * times)
                samples += 0.01 * random.standard_normal(len(times))
                soundfile.write(data / "ravdess" / "flac" / name, 0.3 * samples, 16_000)
                lines.append(f"{name},actor{actor:02},x,{sentiment}")
    (data / "ravdess" / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return data
