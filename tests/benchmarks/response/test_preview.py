"""The measurement of the light while someone speaks; with the real models, which predict the same with it."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.response.preview import Course, as_json, courses, summary
from benchmarks.response.recordings import Clip, scene
from benchmarks.response.replay import replay
from device.audio.audio_file import Recording
from device.events import Utterance
from device.loading import LoadedModels
from device.settings.schema import Settings
from tests.conftest import CLIPS
from tests.device.outputs.predictions import prediction

UTTERANCE = Utterance(1.0, 3.0, 3.6, 0.0, "silence")
RIGHT = replace(prediction("positive"), utterance=UTTERANCE)


def course(*lights: tuple[float, str], truth: str = "", last_sound_s: float | None = 2.9) -> Course:
    return Course(lights, RIGHT, truth, last_sound_s)


def test_what_a_course_is_measured_by() -> None:
    early = course((2.0, "positive"))
    assert (early.right_s, early.flips, early.wrong_s) == (-1.0, 0, 0)
    assert early.since_sound_s == pytest.approx(-0.9)
    late = course((2.0, "negative"), (2.5, "positive"), (2.8, "neutral"), (3.35, "positive"))
    assert late.right_s == pytest.approx(0.35)
    assert late.flips == 3
    assert late.wrong_s == pytest.approx(0.5 + 0.55)
    assert course((2.0, "positive"), last_sound_s=None).since_sound_s is None


def test_the_summary_counts_utterances() -> None:
    found = [
        course((2.0, "positive"), truth="positive"),
        course((3.6, "positive"), truth="negative", last_sound_s=None),
        course((2.0, "negative"), (3.6, "positive"), truth="negative"),
    ]
    lines = {line[:48].strip(): line[48:] for line in summary(found)}
    assert lines["utterances"] == "3"
    assert lines["flips per utterance"].endswith("mean 0.333")
    assert lines["right light before the last voiced frame"] == "33%"
    assert lines["a light before the end of the pause"] == "67%"
    assert lines["class of the corpus: first light, prediction"] == "66.7%, 33.3%"


def test_the_values_of_each_utterance() -> None:
    found = as_json([course((2.0, "positive")), course((2.0, "negative"), (3.25, "positive"))])
    assert found["right_s"] == [-1.0, 0.25]
    assert found["final_s"] == pytest.approx([0.6, 0.6])
    assert found["flips"] == [0.0, 1.0]


@pytest.mark.slow
@pytest.mark.usefixtures("speech_model")
def test_the_light_follows_a_sentence_and_the_prediction_is_the_same() -> None:
    """Kaldi adds random noise to the audio; with a seed the words of both are the same."""
    models = LoadedModels.load(Settings())
    frames = Recording(CLIPS / "espeak-ruined.flac").frames()
    put = scene(Clip("ruined", np.concatenate([frame.samples for frame in frames])))
    found = []
    for _ in range(2):  # the first time, the recogniser is new
        ctypes.CDLL(None).srand(1)
        [plain] = replay(lambda _: models.pipeline(), put.samples)
        ctypes.CDLL(None).srand(1)
        [followed] = courses(models, put.samples, truth="negative", last_sound_s=put.last_sound_s)
        found.append((plain.prediction, followed))
    without, followed = found[-1]
    assert followed.prediction.text == without.text
    assert followed.prediction.probabilities == pytest.approx(without.probabilities)
    assert followed.right_s < 0.4, "long before the pause is over"
    assert followed.lights[-1][1] == without.label
