from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, silent_image, spectrogram_image
from tests.training.conftest import printed
from training.data.clips import Clip
from training.data.reading.audio import read_recording
from training.images.spectrogram_images import clip_images
from training.images.stored_images import StoredImages

FRONT_END = FrontEnd()


def clips(files: Sequence[Path | None]) -> list[Clip]:
    return [Clip(file, str(number), "a", "train") for number, file in enumerate(files)]


def write_tone(path: Path, hertz: float, rate: int = 16_000, channels: int = 1, subtype: str = "PCM_16") -> Path:
    tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    soundfile.write(path, np.tile(tone[:, None], channels), rate, subtype)
    return path


def test_each_recording_is_computed_once(tmp_path: Path, console: Console) -> None:
    low, high = write_tone(tmp_path / "low.wav", 200), write_tone(tmp_path / "high.flac", 3000)
    data = clip_images(clips([high, None, low, high]), FRONT_END, console)
    assert data.images.shape == (3, 64, 64, 3)
    assert data.images[:].dtype == np.float32
    assert isinstance(data.images, StoredImages)  # a byte for each colour, however many recordings
    assert data.index.tolist() == [1, 0, 2, 1]
    np.testing.assert_array_equal(data.images[0], silent_image(FRONT_END))
    samples, _ = soundfile.read(low, dtype="int16")
    np.testing.assert_array_equal(data.images[2], spectrogram_image(mel_power(samples, FRONT_END), FRONT_END))


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(44_100, 2, "PCM_U8"), (48_000, 1, "FLOAT"), (8000, 1, "PCM_24")]
)
def test_any_rate_and_channels(rate: int, channels: int, subtype: str, tmp_path: Path) -> None:
    samples = read_recording(write_tone(tmp_path / "x.wav", 440, rate, channels, subtype), 16_000)
    assert samples.dtype == np.float32
    assert samples.shape == (16_000,)
    middle = slice(2000, 14_000)  # away from the resampler's edges
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(samples[middle], expected[middle], atol=0.01)


def test_unreadable_recordings_are_skipped_and_counted(tmp_path: Path, console: Console) -> None:
    good = write_tone(tmp_path / "good.wav", 440)
    text, empty, truncated, wrong = (tmp_path / name for name in ("text.wav", "empty.wav", "truncated.wav", "nan.wav"))
    text.write_text("not audio")
    soundfile.write(empty, np.zeros(0), 16_000)
    truncated.write_bytes(good.read_bytes()[:20])
    soundfile.write(wrong, np.full(100, np.nan, np.float32), 16_000, "FLOAT")
    data = clip_images(clips([text, good, text, None, empty, truncated, wrong]), FRONT_END, console)
    assert [clip.text for clip in data.clips] == ["1", "3"]
    assert data.index.tolist() == [1, 0]
    assert data.unreadable == (text, empty, truncated, wrong)
    output = printed(console)
    assert "4 of 5 recordings skipped\n5 of 7 clips left out" in output
    assert all(path.name in output for path in data.unreadable)
    assert "text.wav: not a readable recording" in output
    assert output.count("; convert it to WAV, FLAC or mp4\n") == 2  # the text and the truncated recording
    assert "empty.wav: contains no audio\n" in output


def test_all_recordings_unreadable(tmp_path: Path, console: Console) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    with pytest.raises(TrainingError, match=r"none of the 1 recordings is readable; the first is .*bad\.wav") as error:
        clip_images(clips([bad, None]), FRONT_END, console)
    assert str(error.value).count("convert") == 1  # the fix of the first recording is not part of the message


def test_no_recordings_at_all(console: Console) -> None:
    data = clip_images(clips([None, None]), FRONT_END, console)
    assert data.index.tolist() == [0, 0]
    assert len(data.images) == 1


def test_fix_is_that_of_the_recordings(tmp_path: Path, console: Console) -> None:
    """Converting to WAV does not help with a WAV file that is too long."""
    soundfile.write(tmp_path / "long.wav", np.full(31 * 8000, 0.1), 8000)
    with pytest.raises(TrainingError, match=r"long\.wav \(longer than 30 s.*\); cut it into clips"):
        clip_images(clips([tmp_path / "long.wav"]), FRONT_END, console)
