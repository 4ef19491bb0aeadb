import numpy as np
import pytest
import soundfile

from device.audio.silero_vad import VoiceDetector
from tests.conftest import CLIPS


def share_of_speech(samples: np.ndarray[tuple[int], np.dtype[np.int16]], gate_dbfs: float = -60) -> float:
    detector = VoiceDetector(gate_dbfs)
    frames = [samples[start : start + 512] for start in range(0, len(samples) - 511, 512)]
    return float(np.mean([detector.probability(frame) >= 0.5 for frame in frames]))


def test_speech_is_speech() -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0920.flac", dtype="int16")
    assert share_of_speech(samples) > 0.6


def test_noise_and_silence_are_not() -> None:
    noise = (np.random.default_rng(1).standard_normal(16_000 * 5) * 3000).astype(np.int16)
    hum = (3000 * np.sin(2 * np.pi * 50 * np.arange(16_000 * 5) / 16_000)).astype(np.int16)
    assert share_of_speech(noise) < 0.02
    assert share_of_speech(hum) < 0.02
    assert share_of_speech(np.zeros(16_000, np.int16)) == 0


def test_the_gate_is_in_dbfs(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0920.flac", dtype="int16")
    assert share_of_speech(samples, gate_dbfs=0) == 0
    detector = VoiceDetector(-40)
    asked: list[int] = []

    def silero(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
        asked.append(len(samples))
        return 1.0

    monkeypatch.setattr(detector._silero, "probability", silero)
    level = 32768 * 10 ** (-40 / 20)
    assert detector.probability(np.full(512, int(level) - 2, np.int16)) == 0
    assert asked == []
    assert detector.probability(np.full(512, int(level) + 2, np.int16)) == 1
    assert asked == [512]
