import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.audio.framer import Framer
from device.events import FRAME_SECONDS


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> NDArray[np.float32]:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    return np.asarray(wave[:, None], np.float32)


def framed(rate: int, blocks: list[NDArray[np.float32]]) -> NDArray[np.int16]:
    framer = Framer(rate)
    frames = [frame for block in blocks for frame in framer.push(block)]
    frames += framer.push(np.zeros((0, blocks[0].shape[1]), np.float32), last=True)
    assert [frame.start_s for frame in frames] == pytest.approx([n * FRAME_SECONDS for n in range(len(frames))])
    assert {frame.samples.shape for frame in frames} == {(512,)}
    return np.concatenate([frame.samples for frame in frames])


def test_16_khz_mono_passes_unchanged() -> None:
    pcm = np.random.default_rng(1).integers(-32768, 32767, 5000).astype(np.int16)
    frames = framed(16_000, [(pcm.astype(np.float32) / np.float32(32768))[:, None]])
    np.testing.assert_array_equal(frames[:5000], pcm)
    assert not frames[5000:].any()


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_other_rates_keep_pitch_level_and_length(rate: int) -> None:
    frames = framed(rate, [tone(rate)])
    assert abs(len(frames) - 16_000) < 512
    middle = frames[4000:12_000].astype(float) / 32768
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * 16_000 / len(middle) == pytest.approx(440, abs=2)
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@given(cuts=st.lists(st.integers(0, 48_000), max_size=12))
@settings(max_examples=15)
def test_the_same_audio_gives_the_same_frames_however_it_is_cut(rate: int, cuts: list[int]) -> None:
    audio = tone(rate)
    pieces = np.split(audio, sorted(min(cut, len(audio)) for cut in cuts))
    np.testing.assert_array_equal(framed(rate, pieces), framed(rate, [audio]))


def test_a_voice_on_one_side_of_a_stereo_microphone_is_kept() -> None:
    mono = tone(16_000)
    stereo = np.concatenate([np.zeros_like(mono), mono], axis=1)
    np.testing.assert_allclose(framed(16_000, [stereo]), framed(16_000, [mono / np.float32(2)]), atol=1)


def test_too_loud_is_clipped_not_wrapped() -> None:
    assert framed(16_000, [np.full((512, 1), 3.0, np.float32)]).min() == 32767
