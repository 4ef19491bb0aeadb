import contextlib
import io
import itertools
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.audio.audio_file import Recording
from device.errors import AudioError
from device.events import Frame
from tests.conftest import CLIPS


def samples_of(path: Path, silence_after_s: float = 0.0) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.concatenate([frame.samples for frame in Recording(path, silence_after_s).frames()])


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_16"), ("a.flac", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.wav", "PCM_U8")],
)
def test_formats(tmp_path: Path, name: str, subtype: str) -> None:
    samples, rate = soundfile.read(CLIPS / "austen-0880.flac")
    soundfile.write(tmp_path / name, samples, rate, subtype=subtype)
    original = samples_of(CLIPS / "austen-0880.flac")
    tolerance = 256 if subtype == "PCM_U8" else 1
    assert np.abs(samples_of(tmp_path / name).astype(int) - original).max() <= tolerance


def test_silence_follows(tmp_path: Path) -> None:
    path = CLIPS / "austen-0880.flac"
    longer = samples_of(path, silence_after_s=1.0)
    assert len(longer) == pytest.approx(len(samples_of(path)) + 16_000, abs=512)
    assert not longer[-15_000:].any()


def test_peak() -> None:
    recording = Recording(CLIPS / "austen-0880.flac")
    assert recording.peak_dbfs == -np.inf
    list(recording.frames())
    assert -20 < recording.peak_dbfs <= 0


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        Recording(tmp_path / "none.wav")


def test_empty(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    with pytest.raises(AudioError, match="holds no audio"):
        Recording(tmp_path / "empty.wav")


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF\x00\x00\x00\x00WAVE", b"fLaC" + bytes(50)])
def test_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError) as error:
        list(Recording(path).frames())
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder") as error:
        Recording(tmp_path)
    assert error.value.fix == "name the recordings in it"


def test_not_a_number(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nan.wav", np.full(1000, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="not numbers"):
        list(Recording(tmp_path / "nan.wav").frames())


def a_wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(bytes(8000))
    return buffer.getvalue()


@given(st.integers(0, 60), st.binary(min_size=1, max_size=12))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_header_is_frames_or_an_audio_error(tmp_path: Path, position: int, change: bytes) -> None:
    content = bytearray(a_wav())
    content[position : position + len(change)] = change
    path = tmp_path / "wild.wav"
    path.write_bytes(bytes(content))
    frames: list[Frame] = []
    with contextlib.suppress(AudioError):
        frames += itertools.islice(Recording(path).frames(), 1000)
    assert {frame.samples.shape for frame in frames} <= {(512,)}
