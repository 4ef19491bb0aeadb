"""The rule by which channels become one, on recorded speech that is wired in every way."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.audio.audio_file import Recording
from device.audio.channels import ChannelMixer
from device.audio.framer import Framer
from tests.conftest import CLIPS
from tests.training.conftest import write_film
from training.data.reading.audio import read_audio

VOICES = sorted(CLIPS.glob("*.flac"))[::2]
RATE = 16_000
FADED_IN = RATE // 8
"""Samples after which a nearly opposite channel is inverted if speech has begun with the first sample."""

Channels = NDArray[np.float32]


def voice(path: Path = VOICES[0], rate: int = RATE) -> NDArray[np.float32]:
    """The speech without the pause before it, full scale 1, rounded to 16 bits."""
    samples, original = soundfile.read(path, dtype="float32")
    samples = samples[np.flatnonzero(np.abs(samples) > 0.05)[0] :]
    samples = samples if rate == original else soxr.resample(samples, original, rate)
    return np.asarray(np.rint(samples * 32767) / 32768, np.float32)


def noise(length: int, amplitude: float, seed: int = 0) -> NDArray[np.float32]:
    return np.asarray(amplitude * np.random.default_rng(seed).standard_normal(length), np.float32)


def delayed(samples: NDArray[np.float32], ms: float, rate: int = RATE) -> NDArray[np.float32]:
    """The samples later, by a time that is not a number of samples."""
    spectrum = np.fft.rfft(samples)
    turned = spectrum * np.exp(-2j * np.pi * np.fft.rfftfreq(len(samples)) * ms / 1000 * rate)
    return np.asarray(np.fft.irfft(turned, len(samples)), np.float32)


def stack(*channels: NDArray[np.float32]) -> Channels:
    return np.stack(channels, axis=1)


def mixed(channels: Channels, rate: int = RATE) -> NDArray[np.float32]:
    return ChannelMixer(rate).mix(channels)


def power(samples: NDArray[np.float32]) -> float:
    return float(np.square(samples[FADED_IN:], dtype=np.float64).mean())


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("path", VOICES, ids=lambda path: path.stem)
def test_opposite_phase_gives_the_samples_of_the_right_wiring(path: Path, rate: int) -> None:
    x = voice(path, rate)
    start = round(0.021 * rate)  # a window and a fade
    np.testing.assert_array_equal(mixed(stack(x, -x), rate)[start:], x[start:])


ORDINARY = {
    "identical": lambda x: stack(x, x),
    "left only": lambda x: stack(x, 0 * x),
    "right only": lambda x: stack(0 * x, x),
    "panned": lambda x: stack(0.9 * x, 0.2 * x),
    "one side has an offset": lambda x: stack(x + np.float32(0.2), x - np.float32(0.2)),
    "one noisy side": lambda x: stack(x, noise(len(x), 0.1)),
    "noise on both sides": lambda x: stack(x + noise(len(x), 0.02, 1), x + noise(len(x), 0.02, 2)),
    "noise alone": lambda x: stack(noise(len(x), 0.1, 1), noise(len(x), 0.1, 2)),
    "opposite hum that is quieter than the voice": lambda x: stack(x + hum(len(x)), x - hum(len(x))),
    "opposite crosstalk": lambda x: stack(x, -0.1 * x),
    "surround": lambda x: stack(x, x, x, noise(len(x), 0.01), 0.3 * x, -0.3 * x),
    "silence": lambda x: stack(0 * x, 0 * x),
    "opposite noise below the gate": lambda x: stack(noise(len(x), 0.0005), -noise(len(x), 0.0005)),
} | {f"{ms} ms late": lambda x, ms=ms: stack(x, delayed(x, ms)) for ms in (0.06, 0.1, 0.3, 0.6, 1, 1.2, 2, 5, 12, 20)}


def hum(length: int) -> NDArray[np.float32]:
    return np.asarray(0.005 * np.sin(2 * np.pi * 50 * np.arange(length) / RATE), np.float32)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_channels_give_their_average(name: str) -> None:
    for path in VOICES:
        channels = np.asarray(ORDINARY[name](voice(path)), np.float32)
        np.testing.assert_array_equal(mixed(channels), channels.mean(axis=1))


CANCELLING = {
    "opposite": lambda x: stack(x, -x),
    "partly": lambda x: stack(x, -0.5 * x),
    "opposite and 3 cm away": lambda x: stack(x, -delayed(x, 0.09)),
    "opposite with noise": lambda x: stack(x + noise(len(x), 0.003, 1), -x + noise(len(x), 0.003, 2)),
    "opposite with an offset": lambda x: stack(x + np.float32(0.1), np.float32(0.1) - x),
    "two pairs": lambda x: stack(x, -x, x, -x),
    "one of three": lambda x: stack(x, -x, 0 * x),
    "beside a noisy channel": lambda x: stack(noise(len(x), 0.01), x, -x),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_channels_that_cancel_are_as_loud_as_when_wired_right(name: str) -> None:
    for path in VOICES:
        x = voice(path)
        channels = np.asarray(CANCELLING[name](x), np.float32)
        sound = channels - channels.mean(axis=0)
        assert power(mixed(channels)) > 0.85 * power(np.abs(sound).mean(axis=1)) > 0
        assert power(mixed(channels)) > 2 * power(sound.mean(axis=1))


def test_pauses_and_noise_between_words_change_nothing() -> None:
    """One change in a minute of speech with pauses: from the average to the inverted channel."""
    words = [part for path in VOICES for part in (voice(path), np.zeros(3 * RATE, np.float32))]
    x = np.concatenate(words)
    channels = stack(x + noise(len(x), 0.001, 1), -x + noise(len(x), 0.001, 2))
    mixer = ChannelMixer(RATE)
    states = []
    for block in np.array_split(channels, len(x) // 2048):
        mixer.mix(block)
        states.append(mixer.cancelling)
    assert states.index(True) < 3
    assert all(states[states.index(True) :])


def test_a_change_does_not_click() -> None:
    tone = np.asarray(0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE), np.float32)
    steepest = np.abs(np.diff(tone)).max()
    assert np.abs(np.diff(mixed(stack(tone, -tone)))).max() < 1.1 * steepest
    rewired = np.concatenate([stack(tone, -tone)] + 8 * [stack(tone, tone)])
    output = mixed(rewired)
    assert np.abs(np.diff(output)).max() < 1.1 * steepest
    np.testing.assert_array_equal(output[-RATE:], tone)


@pytest.mark.parametrize("rate", [RATE, 44_100])
@given(cuts=st.lists(st.integers(0, 60_000), max_size=12))
@settings(max_examples=8)
def test_the_result_is_the_same_however_the_stream_is_cut(rate: int, cuts: list[int]) -> None:
    x = voice(rate=rate)[:60_000]
    channels = stack(x, -x + noise(len(x), 0.001))
    mixer = ChannelMixer(rate)
    pieces = np.split(channels, sorted(min(cut, len(x)) for cut in cuts))
    np.testing.assert_array_equal(np.concatenate([mixer.mix(piece) for piece in pieces]), mixed(channels, rate))


def test_microphone_recording_and_training_give_the_same_samples(tmp_path: Path) -> None:
    x = voice()
    pcm = np.rint(stack(x, -x) * 32768).astype(np.int16)
    soundfile.write(tmp_path / "x.wav", pcm, RATE)
    framer = Framer(RATE)
    blocks = np.split(pcm, range(2048, len(pcm), 2048))
    live = np.concatenate([frame.samples for block in blocks for frame in framer.push(block)])
    assert framer.cancelling
    recorded = np.concatenate([frame.samples for frame in Recording(tmp_path / "x.wav").frames()])
    trained, _ = read_audio(tmp_path / "x.wav")
    np.testing.assert_array_equal(recorded[: len(live)], live)
    np.testing.assert_array_equal(np.rint(trained * 32768)[: len(live)], live)
    assert np.abs(live[FADED_IN:]).max() > 1000


def test_the_rule_has_one_home() -> None:
    for function in (Framer.push, read_audio):
        assert "mean(" not in inspect.getsource(function)


def test_channels_of_films(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(48_000) / 48_000)
    film = write_film(tmp_path / "x.mp4", np.stack([tone, -tone]), 48_000)
    samples, _ = read_audio(film)
    assert power(samples) == pytest.approx(0.3**2 / 2, rel=0.1)


def test_numbers_of_any_size_and_any_number_of_channels() -> None:
    assert mixed(np.full((5000, 2), 1e30, np.float32)).max() == pytest.approx(1e30)
    assert mixed(np.ones((100, 1000), np.float32)).tolist() == [1.0] * 100
    assert mixed(np.zeros((0, 2), np.float32)).shape == (0,)
