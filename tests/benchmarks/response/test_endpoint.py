"""What the benchmark of the end of utterance counts, and its table."""

from datetime import datetime

import numpy as np
import pytest

from benchmarks.response.endpoint import PAUSES, Response, measure, table, without_words
from benchmarks.response.recordings import Clip, Scene, clips
from benchmarks.response.replay import TimedPrediction
from device.events import SAMPLE_RATE, Prediction, Utterance
from device.settings.schema import Settings
from tests.conftest import CLIPS


def predicted(start_s: float, speech_end_s: float, label: str = "a", pause_s: float = 0.5) -> TimedPrediction:
    utterance = Utterance(start_s, speech_end_s, speech_end_s + pause_s, 0.0, "silence")
    prediction = Prediction(datetime.now().astimezone(), label, {label: 1.0}, "", utterance)
    return TimedPrediction(speech_end_s + pause_s, 1.0, prediction)


ROOM = Scene(np.zeros(10 * SAMPLE_RATE, np.int16), 4.0)


@pytest.mark.parametrize(
    ("replayed", "split", "changed"),
    [
        ([predicted(0, 2), predicted(3, 4)], 0, 0),
        ([predicted(0, 1), predicted(1.5, 2), predicted(3, 4)], 1, 0),
        ([predicted(0, 1), predicted(1.5, 2, "b"), predicted(3, 4, "b")], 1, 1),
        ([predicted(0, 1.9, "b"), predicted(3, 4)], 0, 1),
        ([predicted(3, 4)], 0, 0),
    ],
)
def test_split_and_changed_utterances_are_counted(replayed: list[TimedPrediction], split: int, changed: int) -> None:
    found = Response()
    found.add(replayed, [predicted(0, 2), predicted(3, 4)], ROOM)
    assert (found.utterances, found.split, found.changed) == (2, split, changed)


def test_times_count_from_the_last_voiced_frame_and_from_the_last_sound() -> None:
    found = Response()
    found.add([predicted(0, 2), predicted(3, 4.1)], [predicted(0, 2), predicted(3, 4.1)], ROOM)
    assert found.latencies_s == pytest.approx([0.501, 0.501])
    assert found.from_sound_s == pytest.approx([0.601])
    assert "| 0.6 s | 2 | 0 (0.0 %) | 0 (0.0 %) | 0.50 / 0.50 s | 0.60 / 0.60 s | 1.0 ms |" in table({"0.6 s": found})


def test_a_shorter_pause_is_measured_without_words() -> None:
    [clip] = [each for each in clips(CLIPS) if each.name == "austen-0930.flac"]
    silence = Clip("silence", np.zeros(SAMPLE_RATE, np.int16))
    found = measure(without_words(Settings()), [clip, silence], PAUSES, Settings())
    longest, adaptive, *_ = found.values()
    assert (longest.utterances, adaptive.split) == (1, 0)
    assert len(longest.latencies_s) == 1
    # 19 and 15 frames, and the time of computing.
    assert longest.latencies_s[0] - adaptive.latencies_s[0] == pytest.approx(4 * 0.032, abs=0.02)
