"""The removal of an offset, from recorded speech and from other sounds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.audio.audio_file import Recording
from device.audio.framer import Framer
from device.audio.offset import OffsetRemover
from tests.conftest import CLIPS

RATE = 16_000
SETTLED = round(0.25 * RATE)
"""Samples after which an offset is gone that was there from the first one."""
PAUSE = np.zeros(RATE, np.float32)


def speech(path: Path, *, offset: float = 0.0) -> NDArray[np.float32]:
    """A pause, speech with this offset instead of its own, and a pause."""
    samples, _ = soundfile.read(path, dtype="float32")
    samples = samples - samples.mean()
    return np.asarray(np.concatenate([PAUSE, samples, PAUSE]) + np.float32(offset), np.float32)


def removed(samples: NDArray[np.float32], rate: int = RATE) -> NDArray[np.float32]:
    remover = OffsetRemover(rate)
    return np.asarray(remover.remove(samples[:, None], 1)[:, 0], np.float32)


def passes_unchanged(samples: NDArray[np.float32], rate: int = RATE) -> bool:
    block = samples[:, None]
    return OffsetRemover(rate).remove(block, 1) is block


@pytest.mark.parametrize("path", sorted(CLIPS.glob("*.flac")), ids=lambda path: path.stem)
def test_recorded_speech_passes_unchanged(path: Path) -> None:
    samples, rate = soundfile.read(path, dtype="float32")
    assert passes_unchanged(samples, rate)


SOUNDS = {
    "loud hum": 0.5 * np.sin(2 * np.pi * 50 * np.arange(4 * RATE) / RATE),
    "slow rumble": 0.1 * np.sin(2 * np.pi * 3 * np.arange(4 * RATE) / RATE),
    "noise": 0.3 * np.random.default_rng(0).standard_normal(4 * RATE),
    "a small offset": np.full(4 * RATE, 0.014),
    "a click": np.where(np.arange(4 * RATE) // 200 == 50, 0.9, 0.0),
    "numbers of any size": np.full(4 * RATE, 1e30),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_other_sounds_pass_unchanged(name: str) -> None:
    samples = np.asarray(SOUNDS[name], np.float32)
    assert passes_unchanged(samples)


@pytest.mark.parametrize("offset", [0.03, -0.1, 0.3])
@pytest.mark.parametrize("path", sorted(CLIPS.glob("austen*.flac")), ids=lambda path: path.stem)
def test_only_the_offset_is_removed(path: Path, offset: float) -> None:
    difference = (removed(speech(path, offset=offset)) - speech(path))[SETTLED:]
    assert np.abs(difference).max() < 0.01
    assert np.abs(difference[RATE:-RATE].mean()) < 0.002


def test_an_offset_that_speech_covers_from_the_start() -> None:
    samples, _ = soundfile.read(CLIPS / "austen-0870.flac", dtype="float32")
    voice = samples[np.flatnonzero(np.abs(samples) > 0.05)[0] :] - samples.mean()
    output = removed(voice + np.float32(0.05))
    assert np.abs(output - voice)[: RATE // 2].mean() == pytest.approx(0.05, abs=0.001), "not known yet"
    assert np.abs(output - voice)[2 * RATE :].max() < 0.01


def test_an_offset_that_changes_and_ends() -> None:
    levels = np.repeat(np.array([0.2, -0.1, 0.0], np.float32), RATE)
    output = removed(levels)
    for start in (0, RATE, 2 * RATE):
        assert np.abs(output[start + SETTLED : start + RATE]).max() < 0.001


def test_an_offset_is_followed_within_sound_that_never_pauses() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(20 * RATE) / RATE)
    output = removed(np.asarray(tone + np.repeat([0.05, 0.1], 10 * RATE), np.float32))
    for second in (9, 19):
        assert abs(output[second * RATE : (second + 1) * RATE].mean()) < 0.005


def test_each_channel_has_its_own_offset() -> None:
    voice = speech(CLIPS / "austen-0930.flac")
    block = np.stack([voice, voice + np.float32(0.1), voice - np.float32(0.2)], axis=1)
    output = OffsetRemover(RATE).remove(block, 1)
    np.testing.assert_array_equal(output[:, 0], voice)
    assert np.abs(output[SETTLED:] - voice[SETTLED:, None]).max() < 0.01


def test_the_change_is_gradual() -> None:
    assert np.abs(np.diff(removed(np.full(RATE, 0.3, np.float32)))).max() < 0.001


@pytest.mark.parametrize("rate", [RATE, 44_100])
@given(cuts=st.lists(st.integers(0, 60_000), max_size=12))
@settings(max_examples=8)
def test_the_result_is_the_same_however_the_stream_is_cut(rate: int, cuts: list[int]) -> None:
    samples = speech(CLIPS / "austen-0870.flac", offset=0.1)[:60_000]
    remover = OffsetRemover(rate)
    pieces = np.split(samples, sorted(cuts))
    np.testing.assert_array_equal(
        np.concatenate([remover.remove(each[:, None], 1)[:, 0] for each in pieces]), removed(samples, rate)
    )


def test_microphones_and_recordings(tmp_path: Path) -> None:
    pcm = np.rint(speech(CLIPS / "austen-0930.flac", offset=0.1) * 32768).astype(np.int16)[:, None]
    soundfile.write(tmp_path / "x.wav", pcm, RATE)
    framer = Framer(RATE)
    live = np.concatenate([frame.samples for block in np.split(pcm, [5000]) for frame in framer.push(block)])
    recorded = np.concatenate([frame.samples for frame in Recording(tmp_path / "x.wav").frames()])
    np.testing.assert_array_equal(recorded[: len(live)], live)
    assert abs(live[SETTLED : RATE - 512].mean()) < 2
