"""The rule by which channels become one, on recorded speech that is wired in every way."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.audio.audio_file import Recording
from device.audio.channels import ChannelMixer, Mix, mix_of
from device.audio.framer import Framer
from tests.conftest import CLIPS
from tests.training.conftest import write_film
from training.data.reading.audio import read_audio

VOICES = sorted(CLIPS.glob("*.flac"))[::2]
RATE = 16_000
CHOSEN = RATE // 2
"""Samples after which the loudest channel is used if speech has begun with the first sample."""
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


def mixed(channels: Channels, rate: int = RATE, mix: Mix = "in phase") -> NDArray[np.float32]:
    return ChannelMixer(rate, mix).mix(channels)


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


def test_offsets_are_removed_and_are_not_taken_for_channels_that_cancel() -> None:
    for path in VOICES:
        x = np.concatenate([np.zeros(RATE, np.float32), voice(path)])
        output = mixed(stack(x + np.float32(0.2), x - np.float32(0.1)))
        np.testing.assert_allclose(output[RATE // 2 :], x[RATE // 2 :], atol=0.015)


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


@pytest.mark.parametrize("mix", ["in phase", "loudest"])
@pytest.mark.parametrize("rate", [RATE, 44_100])
@given(cuts=st.lists(st.integers(0, 60_000), max_size=12))
@settings(max_examples=8)
def test_the_result_is_the_same_however_the_stream_is_cut(rate: int, mix: Mix, cuts: list[int]) -> None:
    x = voice(rate=rate)[:60_000]
    channels = stack(x, -x + noise(len(x), 0.001))
    mixer = ChannelMixer(rate, mix)
    pieces = np.split(channels, sorted(min(cut, len(x)) for cut in cuts))
    np.testing.assert_array_equal(np.concatenate([mixer.mix(piece) for piece in pieces]), mixed(channels, rate, mix))


def array(x: NDArray[np.float32], other: Callable[[int], NDArray[np.float32]]) -> Channels:
    """Eight channels, of which channel 5 has the voice, and the others what `other` returns for their numbers."""
    return stack(*(x if number == 5 else other(number) for number in range(8)))


OTHERS: dict[str, Callable[[int, int], NDArray[np.float32]]] = {
    "dead": lambda length, _: np.zeros(length, np.float32),
    "noise": lambda length, number: noise(length, 0.01, number),
    "loud hum": lambda length, number: np.float32(20 * (number == 2)) * hum(length) + noise(length, 0.001, number),
    "offset": lambda length, number: np.full(length, 0.1 * number, np.float32),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("path", VOICES, ids=lambda path: path.stem)
def test_of_an_array_the_channel_with_the_voice_is_used(path: Path, name: str) -> None:
    x = np.concatenate([noise(3 * RATE, 0.0005), voice(path)])
    output = mixed(array(x, partial(OTHERS[name], len(x))), mix="auto")
    start = 3 * RATE + CHOSEN
    np.testing.assert_array_equal(output[start:], x[start:])


@pytest.mark.parametrize("wiring", [*ORDINARY.values(), *CANCELLING.values()], ids=[*ORDINARY, *CANCELLING])
def test_two_channels_are_mixed_as_in_a_recording(wiring: Callable[[NDArray[np.float32]], Channels]) -> None:
    channels = np.asarray(wiring(voice()), np.float32)[:, :2]
    np.testing.assert_array_equal(mixed(channels, mix="auto"), mixed(channels))


def test_noise_that_begins_after_zeros_is_no_speech() -> None:
    x = np.concatenate([np.zeros(RATE, np.float32), voice()])
    zeros = np.zeros((RATE, 8), np.float32)
    channels = np.concatenate([zeros, array(x, lambda number: noise(len(x), 0.05, number))])
    start = 2 * RATE + CHOSEN
    np.testing.assert_array_equal(mixed(channels, mix="auto")[start:], channels[start:, 5])


def test_before_there_was_speech_an_array_is_averaged() -> None:
    rising = np.where(np.arange(RATE) < RATE // 2, 0.01, 1).astype(np.float32)
    channels = array(noise(RATE, 0.00005), lambda number: rising * noise(RATE, 0.00005, number))
    np.testing.assert_allclose(mixed(channels, mix="auto"), channels.mean(axis=1), atol=1e-10)


def talk(seconds: int) -> NDArray[np.float32]:
    """Speech without a long pause."""
    words = [each[: np.flatnonzero(np.abs(each) > 0.05)[-1]] for each in map(voice, VOICES)]
    return np.resize(np.concatenate(words), seconds * RATE)


@pytest.mark.parametrize("times", [2, 5])
def test_within_speech_only_a_much_louder_channel_replaces_the_present_one(times: int) -> None:
    x = talk(40) / np.float32(8)
    moved = np.where(np.arange(len(x)) < 20 * RATE, 1, times).astype(np.float32)
    channels = stack(x, x * moved / np.float32(1.1), 0 * x)
    output = mixed(channels, mix="loudest")
    np.testing.assert_array_equal(output[CHOSEN : 20 * RATE], x[CHOSEN : 20 * RATE])
    np.testing.assert_array_equal(output[-RATE:], channels[-RATE:, 0 if times == 2 else 1])


@pytest.mark.parametrize("times", [1.2, 2])
def test_after_a_pause_a_channel_that_is_clearly_louder_replaces_the_present_one(times: float) -> None:
    x, pause = talk(10), noise(RATE, 0.0001)
    quieter = x / np.float32(times)
    near, far = np.concatenate([x, pause, quieter, pause, quieter]), np.concatenate([quieter, pause, x, pause, x])
    output = mixed(stack(near, far), mix="loudest")
    first, second, third = slice(CHOSEN, 10 * RATE), slice(11 * RATE, 21 * RATE), slice(22 * RATE, None)
    np.testing.assert_array_equal(output[first], near[first])
    np.testing.assert_array_equal(output[second], near[second], "it stays within speech")
    np.testing.assert_array_equal(output[third], (far if times == 2 else near)[third])


def test_the_loudest_channel_is_faded_in() -> None:
    tone = np.asarray(0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE), np.float32)
    quiet = noise(RATE, 0.0001)
    channels = np.concatenate([np.stack([quiet] * 3, axis=1), stack(0 * tone, tone, 0 * tone)])
    output = mixed(channels, mix="auto")
    np.testing.assert_array_equal(output[RATE + CHOSEN :], tone[CHOSEN:])
    # From a third to the complete channel within 4 ms, which is one period of 250 Hz.
    assert np.abs(np.diff(output)).max() < 1.3 * np.abs(np.diff(tone)).max()


def test_the_mean_inverts_nothing() -> None:
    channels = stack(voice(), -voice())
    np.testing.assert_array_equal(mixed(channels, mix="mean"), channels.mean(axis=1))


@pytest.mark.parametrize(
    ("channels", "mix"), [("auto", "auto"), ("loudest", "loudest"), ("mean", "mean"), ((5,), "mean"), ((0, 1), "mean")]
)
def test_the_setting_chooses_the_rule(channels: str | tuple[int, ...], mix: str) -> None:
    assert mix_of(channels) == mix


def test_microphone_recording_and_training_give_the_same_samples(tmp_path: Path) -> None:
    x = np.concatenate([noise(RATE // 2, 0.0005), voice()])  # noise that is too quiet to be inverted on any scale
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
    assert not live[: RATE // 2].any()
    assert np.abs(live[RATE // 2 + FADED_IN :]).max() > 1000


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
    x = voice()
    damaged = np.concatenate([np.repeat(noise(RATE, 1e30), 2).reshape(-1, 2), stack(x, -x)])
    np.testing.assert_array_equal(mixed(damaged)[RATE + FADED_IN :], x[FADED_IN:], "it changes no later decision")
    assert mixed(np.zeros((0, 2), np.float32)).shape == (0,)
