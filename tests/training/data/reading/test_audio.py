import contextlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from device.errors import AudioError
from tests.training.conftest import write_film, write_silent_film
from training.data.reading.audio import LONGEST_CLIP_S, read_recording


def tone(rate: int, seconds: float = 1.0) -> NDArray[np.float64]:
    return np.asarray(0.3 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate))


@pytest.mark.parametrize(("rate", "layout"), [(48_000, "stereo"), (44_100, "5.1"), (16_000, "mono")])
def test_reads_films(rate: int, layout: str, tmp_path: Path) -> None:
    samples = read_recording(write_film(tmp_path / "x.mp4", tone(rate), rate, layout), 16_000)
    assert samples.dtype == np.float32
    assert 15_000 < len(samples) < 19_000  # AAC pads its last block
    middle = samples[4000:12_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(int(spectrum.argmax()) * 16_000 / len(middle) - 440) < 3
    # The low-frequency channel of 5.1 carries nothing at 440 Hz.
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2) * (5 / 6 if layout == "5.1" else 1), rel=0.1)


def test_reads_film_with_audio_suffix(tmp_path: Path) -> None:
    assert len(read_recording(write_film(tmp_path / "x.mp4", tone(16_000), 16_000).rename(tmp_path / "x.wav"), 16_000))


def test_unreadable_files(tmp_path: Path) -> None:
    film = write_film(tmp_path / "complete.mp4", tone(48_000))
    cases = {
        "cut.mp4": "not a readable recording",
        "empty.mp4": "not a readable recording",
        "text.mp4": "not a readable recording",
        "mute.mp4": "has no audio track",
        "long.mp4": "longer than 30 s",
        "long.wav": "longer than 30 s",
        "none.wav": "contains no audio",
        "nan.wav": "not numbers",
        "missing.wav": "missing.wav",
        "folder": "folder",
    }
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a film " * 100)
    write_silent_film(tmp_path / "mute.mp4")
    write_film(tmp_path / "long.mp4", tone(8000, LONGEST_CLIP_S + 1), 8000, "mono")
    soundfile.write(tmp_path / "long.wav", tone(8000, 300), 8000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), 16_000, "FLOAT")
    (tmp_path / "folder").mkdir()
    for name, expected in cases.items():
        with pytest.raises(AudioError, match=expected) as caught:
            read_recording(tmp_path / name, 16_000)
        assert str(caught.value).count(str(tmp_path / name)) == 1
        assert "\n" not in str(caught.value)


def test_damaged_films_give_samples_or_audio_error(tmp_path: Path) -> None:
    """Films with random damaged bytes: the result is samples or an `AudioError`, nothing else."""
    content = write_film(tmp_path / "x.mp4", tone(16_000, 0.3), 16_000, "mono").read_bytes()
    random = np.random.default_rng(0)
    for number in range(60):
        damaged = bytearray(content)
        for position in random.integers(0, len(content), 20):
            damaged[position] = int(random.integers(0, 256))
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(damaged)
        with contextlib.suppress(AudioError):
            assert np.isfinite(read_recording(path, 16_000)).all()
