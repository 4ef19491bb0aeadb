"""The replay of recordings: times are those of the audio, and sound is what the energy shows."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from benchmarks.response.recordings import Clip, clips, last_sound_s, scene
from benchmarks.response.replay import replay
from device.events import FRAME_LENGTH, FRAME_SECONDS, SAMPLE_RATE, Frame, Prediction, Utterance
from device.pipeline import Pipeline
from tests.conftest import CLIPS


class FakePipeline:
    """Updates the light at the second frame, and predicts at the fifth."""

    def __init__(self, update: Callable[[str | None], None]) -> None:
        self._update = update

    def predictions(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        for number, frame in enumerate(frames, 1):
            if number == 2:
                self._update("negative")
            if number == 5:
                utterance = Utterance(0.0, 2 * FRAME_SECONDS, 5 * FRAME_SECONDS, frame.arrived_at, "silence")
                yield Prediction(datetime.now().astimezone(), "neutral", {"neutral": 1.0}, "", utterance)


def test_events_have_the_time_of_the_frame_that_caused_them() -> None:
    updates: list[tuple[float, str | None]] = []
    [timed] = replay(
        lambda update: cast(Pipeline, FakePipeline(update)),
        np.zeros(7 * FRAME_LENGTH + 3, np.int16),
        lambda audio_s, label: updates.append((audio_s, label)),
    )
    assert updates == [(2 * FRAME_SECONDS, "negative")]
    assert timed.audio_s == 5 * FRAME_SECONDS
    assert timed.compute_ms >= 0
    assert timed.latency_s == pytest.approx(3 * FRAME_SECONDS + timed.compute_ms / 1000)
    assert timed.since_s(0.1) == pytest.approx(5 * FRAME_SECONDS - 0.1 + timed.compute_ms / 1000)


def tone(seconds: float, level: float = 8000.0) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = (np.sin(np.arange(round(seconds * SAMPLE_RATE)) / 5) * level).astype(np.int16)
    return samples


def test_the_last_sound_is_found_from_the_energy() -> None:
    clip = Clip("a", np.concatenate([tone(0.2, 3), tone(1.0), tone(0.3, 3), tone(0.1, 1000), tone(0.5, 3)]))
    assert last_sound_s(clip.samples) == pytest.approx(1.6, abs=0.02)
    put = scene(clip, before_s=0.5, after_s=1.0)
    assert put.last_sound_s == pytest.approx(2.1, abs=0.02)
    assert len(put.samples) == len(clip.samples) + 1.5 * SAMPLE_RATE


@given(arrays(np.int16, st.integers(0, 2000)))
def test_any_samples_can_be_put_into_a_room(samples: NDArray[np.int16]) -> None:
    put = scene(Clip("a", samples))
    assert len(put.samples) == 3 * SAMPLE_RATE + len(samples)
    assert 1.0 <= put.last_sound_s <= 1.0 + len(samples) / SAMPLE_RATE + 1e-9


def test_recordings_come_from_a_table_or_from_all_files(tmp_path: Path) -> None:
    (tmp_path / "flac").mkdir()
    for name in ("b.flac", "a.flac"):
        soundfile.write(tmp_path / "flac" / name, tone(0.5), SAMPLE_RATE)
    assert [clip.name for clip in clips(tmp_path)] == ["flac/a.flac", "flac/b.flac"]
    (tmp_path / "labels.csv").write_text("file,speaker,sentiment\nb.flac,s1,positive\n")
    [clip] = clips(tmp_path)
    assert (clip.name, clip.speaker, clip.sentiment) == ("b.flac", "s1", "positive")
    assert clip.seconds == pytest.approx(0.5, abs=FRAME_SECONDS)
    assert len(list(clips(CLIPS))) > 3
