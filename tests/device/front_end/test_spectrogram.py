import dataclasses
import io
from pathlib import Path

import librosa
import matplotlib as mpl
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import (
    MelSpectrogram,
    decibels,
    mel_filters,
    mel_power,
    silent_image,
    spectrogram_image,
    trim,
)
from tests.conftest import CLIPS

mpl.use("Agg")

UNTRIMMED = FrontEnd(trim_db=None)
READINGS = sorted(CLIPS.glob("austen-*.flac"))


def load(path: Path) -> NDArray[np.int16]:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == UNTRIMMED.sample_rate
    return np.asarray(samples)


@pytest.mark.parametrize("path", READINGS, ids=lambda path: path.stem)
def test_equals_librosa(path: Path) -> None:
    samples = load(path)
    golden = librosa.feature.melspectrogram(y=samples.astype(np.float32) / 32768, sr=UNTRIMMED.sample_rate)
    ours = mel_power(samples, UNTRIMMED)
    assert ours.shape == golden.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(decibels(ours, UNTRIMMED), librosa.power_to_db(golden, ref=np.max), atol=2e-4)


def test_filters_equal_librosa() -> None:
    golden = librosa.filters.mel(sr=16_000, n_fft=2048)
    np.testing.assert_allclose(mel_filters(UNTRIMMED), golden, atol=1e-7)


@pytest.mark.parametrize(("bands", "n_fft"), [(128, 2048), (100, 512), (20, 2048), (128, 64)])
def test_power_is_the_product_with_all_filters(bands: int, n_fft: int) -> None:
    """In whatever parts it is computed; with 128 bands of 64 samples many filters are narrower than a bin, and zero."""
    front_end = dataclasses.replace(UNTRIMMED, n_mels=bands, n_fft=n_fft, hop_length=n_fft // 4)
    samples = np.random.default_rng(0).normal(0, 0.1, 3 * n_fft).astype(np.float32)
    padded = np.pad(samples, n_fft // 2).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: front_end.hop_length]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    golden = mel_filters(front_end).astype(np.float64) @ np.abs(np.fft.rfft(windows * hann)).T ** 2
    np.testing.assert_allclose(mel_power(samples, front_end), golden, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("path", READINGS, ids=lambda path: path.stem)
def test_image_equals_matplotlibs_drawing(path: Path) -> None:
    """The tutorial's own steps: draw, save as PNG, read back at 64 x 64 with nearest neighbour, divide by 255."""
    from librosa.display import specshow
    from matplotlib import pyplot as plt

    samples = load(path)
    golden = librosa.feature.melspectrogram(y=samples.astype(np.float32) / 32768, sr=UNTRIMMED.sample_rate)
    figure = plt.figure(figsize=(0.72, 0.72))
    axes = figure.add_subplot(111)
    axes.get_xaxis().set_visible(False)
    axes.get_yaxis().set_visible(False)
    axes.set_frame_on(False)
    specshow(librosa.power_to_db(golden, ref=np.max))
    file = io.BytesIO()
    plt.savefig(file, dpi=400, bbox_inches="tight", pad_inches=0, format="png")
    plt.close(figure)
    drawn = np.asarray(Image.open(file).convert("RGB").resize((64, 64), Image.Resampling.NEAREST)) / 255
    ours = spectrogram_image(mel_power(samples, UNTRIMMED), UNTRIMMED)
    assert ours.shape == (64, 64, 3)
    assert ours.dtype == np.float32
    # In practice equal within float tolerance; a cell on the edge of a colour step may round either way.
    assert np.abs(drawn - ours).mean() < 1e-4


def test_samples_of_twice_the_precision_are_converted() -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    np.testing.assert_array_equal(
        mel_power(samples.astype(np.float64), UNTRIMMED),  # type: ignore[arg-type]  # what `soundfile.read` returns
        mel_power(samples, UNTRIMMED),
    )


@given(st.lists(st.integers(1, 5000), max_size=30), st.integers(0, 9))
@settings(max_examples=30)
def test_the_columns_that_are_complete_are_the_beginning_of_the_spectrogram(pieces: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    spectrogram = MelSpectrogram(UNTRIMMED)
    parts = [spectrogram.columns()]
    assert parts[0].shape == (UNTRIMMED.n_mels, 0)
    for piece in pieces:
        spectrogram.feed((random.standard_normal(piece) * 3000).astype(np.int16))
        if random.random() < 0.5:
            parts.append(spectrogram.columns(sum(part.shape[1] for part in parts)))
    complete, power = spectrogram.columns(), spectrogram.power()
    assert complete.shape[1] == max(0, 1 + (sum(pieces) - UNTRIMMED.n_fft // 2) // UNTRIMMED.hop_length)
    assert np.array_equal(complete, power[:, : complete.shape[1]])
    parts.append(spectrogram.columns(sum(part.shape[1] for part in parts)))
    assert np.array_equal(np.concatenate(parts, axis=1), complete)
    assert spectrogram.columns(complete.shape[1] + 5).shape[1] == 0


@given(st.lists(st.integers(1, 5000), max_size=30), st.integers(0, 9))
@settings(max_examples=30)
def test_streaming_equals_the_complete_clip(pieces: list[int], seed: int) -> None:
    samples = (np.random.default_rng(seed).standard_normal(sum(pieces)) * 3000).astype(np.int16)
    stream = MelSpectrogram(UNTRIMMED)
    start = 0
    for length in pieces:
        stream.feed(samples[start : start + length])
        start += length
    streamed, complete = stream.power(), mel_power(samples, UNTRIMMED)
    assert complete.shape == (128, 1 + len(samples) // 512)
    np.testing.assert_allclose(decibels(streamed, UNTRIMMED), decibels(complete, UNTRIMMED), atol=1e-4)
    np.testing.assert_array_equal(spectrogram_image(streamed, UNTRIMMED), spectrogram_image(complete, UNTRIMMED))


def test_streaming_equals_the_complete_clip_on_speech() -> None:
    samples = load(READINGS[0])
    stream = MelSpectrogram(FrontEnd())
    for start in range(0, len(samples), 512):
        stream.feed(samples[start : start + 512])
    np.testing.assert_array_equal(
        spectrogram_image(stream.power(), FrontEnd()), spectrogram_image(mel_power(samples, FrontEnd()), FrontEnd())
    )


def test_columns_are_computed_as_the_audio_arrives() -> None:
    stream = MelSpectrogram(UNTRIMMED)
    stream.feed(np.ones(16_000, np.int16))
    # A column is ready when half a window after its centre has arrived: of a second, all but the last two.
    assert sum(len(block) for block in stream._columns) == 1 + (16_000 - 1024) // 512


def test_trim_cuts_quiet_edges_and_keeps_the_pause_within() -> None:
    mel = np.full((128, 10), 1e-6, np.float32)
    mel[:, [3, 7]] = 1
    assert trim(mel, FrontEnd(trim_db=30)).shape == (128, 5)
    assert trim(mel, UNTRIMMED).shape == (128, 10)


def test_padding_with_silence_does_not_change_the_image() -> None:
    """So a training clip and a live utterance of the same words, cut differently, give the same image."""
    samples = load(READINGS[1])
    silence = np.zeros(512 * 20, np.int16)
    padded = np.concatenate([silence, samples, silence])
    np.testing.assert_array_equal(
        spectrogram_image(mel_power(padded, FrontEnd()), FrontEnd()),
        spectrogram_image(mel_power(samples, FrontEnd()), FrontEnd()),
    )


@pytest.mark.parametrize("length", [0, 1, 511, 512, 2047])
def test_very_short_and_silent_audio_has_an_image(length: int) -> None:
    image = spectrogram_image(mel_power(np.zeros(length, np.int16), FrontEnd()), FrontEnd())
    np.testing.assert_array_equal(image, silent_image(FrontEnd()))
    assert np.unique(image.reshape(-1, 3), axis=0).shape == (1, 3)
