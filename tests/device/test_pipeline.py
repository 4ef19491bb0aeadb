"""The pipeline with fake parts that record how they are used."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from device import pipeline
from device.audio.endpoint import Endpointer, EndpointerUpdate, SoundsLikeEnd
from device.bundle import Companions, Transitions
from device.errors import ProfileError
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame, Prediction, Preview, Utterance, UtteranceFeatures
from device.front_end.parameters import FrontEnd
from device.outputs.base import Speech
from device.pipeline import Pipeline, SpeechMonitor
from device.recognition.end_of_utterance import COMPARED_FRAMES
from device.recognition.transcriber import Transcriber
from device.settings.schema import EndpointSettings
from tests.device.audio.test_endpoint import ScriptedDetector
from tests.device.audio.test_endpoint import frames as scripted
from tests.device.unadapted import FEATURES, Unadapted

LOUD, QUIET = 8000, 1
TRANSITIONS = Transitions(((0.8, 0.2), (0.1, 0.9)), (0.4, 0.6))


class Rig(Unadapted):
    """A pipeline whose endpointer returns the updates of the test, frame by frame."""

    def __init__(
        self,
        *,
        trim_db: float | None = 30.0,
        words: bool = True,
        confidences: Mapping[str, float] | None = None,
        low_confidence_label: str | None = None,
        explain: str = "always",
        context_s: float = 0.0,
        gain: float = 1.0,
        monitor: SpeechMonitor | None = None,
        live: bool = False,
        endpointer: Endpointer | None = None,
    ) -> None:
        self.gain = gain
        self.calls: list[str] = []
        self._frames = 0
        self._words = words
        self.slow: Callable[[], None] | None = None
        self._updates: Iterator[EndpointerUpdate] = iter(())
        companions = Companions(("a", "b"), ("word",), FrontEnd(trim_db=trim_db), transitions=TRANSITIONS)
        self.pipeline = Pipeline(
            endpointer or cast(Endpointer, self),
            cast(Transcriber, self),
            cast(Any, self),
            companions,
            confidences=confidences,
            low_confidence_label=low_confidence_label,
            explain=explain,
            context_s=context_s,
            gain=lambda: self.gain,
            monitor=monitor,
            live=live,
        )

    # The endpointer
    def push(self, _frame: Frame, sounds_like_end: SoundsLikeEnd) -> EndpointerUpdate:
        self.sounds_like_end = sounds_like_end
        return next(self._updates)

    judged_frames = 12

    def require_longest_pause(self) -> None:
        self.calls.append("longest pause")

    def finish(self) -> EndpointerUpdate:
        return next(self._updates, EndpointerUpdate())

    # The transcriber, and a transcription
    def prepare(self) -> None:
        self.calls.append("prepare")

    def begin(self) -> "Rig":
        self.calls.append("begin")
        self.fed = 0
        return self

    def feed(self, samples: NDArray[np.int16]) -> None:
        self.fed += 1
        self.loudest = int(np.abs(samples).max())

    def so_far(self) -> str:
        self.calls.append(f"so far after {self.fed}")
        return f"{self.fed} so far"

    def text(self) -> str:
        self.calls.append(f"text after {self.fed}")
        return f"{self.fed} frames" if self._words else ""

    # The classifier
    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        self.calls.append("network")
        self.network_input = (image, ids)
        if self.slow is not None:
            self.slow()
        return {"a": 0.25, "b": 0.75}

    def frame(self, level: int) -> Frame:
        samples = (np.random.default_rng(self._frames).standard_normal(FRAME_LENGTH) * level).astype(np.int16)
        self._frames += 1
        return Frame(samples, self._frames * FRAME_SECONDS, time.monotonic())

    def run(self, *updates: EndpointerUpdate) -> list[Prediction]:
        self._updates = iter(updates)
        return list(self.pipeline.predictions([self.frame(LOUD)] * sum(1 for update in updates if update.frames)))


def over(ending: Any = "silence") -> Utterance:
    return Utterance(0.0, 0.5, 1.0, time.monotonic(), ending)


def test_nothing_is_left_to_do_at_an_expected_end() -> None:
    rig = Rig()
    [prediction] = rig.run(
        EndpointerUpdate((rig.frame(LOUD), rig.frame(LOUD))),
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    assert rig.calls == ["begin", "text after 5", "network"], "the result was computed during the pause"
    assert (prediction.text, prediction.label) == ("5 frames", "b")


@pytest.mark.parametrize("live", [False, True])
def test_the_next_recogniser_is_prepared_before_anyone_speaks_and_after_each_light(live: bool) -> None:
    rig = Rig(live=live)
    before = list(rig.calls)
    updates = [EndpointerUpdate((rig.frame(LOUD),)), EndpointerUpdate((rig.frame(QUIET),), over())]
    rig._updates = iter(updates * 2)
    for _ in rig.pipeline.predictions([rig.frame(LOUD)] * 4):
        rig.calls.append("light")
    prepare = ["prepare"] * live
    once = ["begin", "text after 2", "network", "light", *prepare]
    assert (before, rig.calls) == (prepare, prepare + once * 2)


def test_speech_after_an_expected_end_is_transcribed() -> None:
    rig = Rig()
    [prediction] = rig.run(
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    # Frames between the expected end and the voice are fed, too, and in order.
    assert rig.calls == ["begin", "text after 2", "network", "text after 5", "network"]
    assert prediction.text == "5 frames"


def test_an_image_that_the_pause_changes_is_classified_again() -> None:
    rig = Rig(trim_db=None)  # the complete pause is in the image
    rig.run(
        EndpointerUpdate((rig.frame(LOUD),) * 8),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        *(EndpointerUpdate((rig.frame(QUIET),), expected=True) for _ in range(5)),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    assert rig.calls == ["begin", "text after 9", "network", "network"]


@pytest.mark.parametrize(("text", "calls"), [("well and", ["longest pause"]), ("thank you", [])])
def test_after_a_word_that_ends_no_sentence_the_pause_must_be_the_longest(
    text: str, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig()
    monkeypatch.setattr(rig, "text", lambda: text)
    rig.run(
        EndpointerUpdate((rig.frame(LOUD),) * 4),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    assert [call for call in rig.calls if call == "longest pause"] == calls


class JudgingRig(Rig):
    """An endpointer that asks at the last frame whether speech that ended at `end_s` sounds complete."""

    end_s = 0.0

    def finish(self) -> EndpointerUpdate:
        self.sounds_complete = self.sounds_like_end(self.end_s)
        return EndpointerUpdate()


@pytest.mark.parametrize(("spoken", "complete"), [(20, False), (24, True), (30, False)])
def test_the_sound_before_the_pause_decides_whether_speech_is_complete(spoken: int, complete: bool) -> None:
    """20 frames are loud and 4 fade; what follows is loud, as no pause is, to show that it does not count."""
    rig = JudgingRig()
    frames = [rig.frame(level) for level in [LOUD] * 20 + [800, 400, 200, 100] + [LOUD] * 6]
    rig.end_s = frames[spoken - 1].start_s + FRAME_SECONDS
    rig.run(*(EndpointerUpdate((frame,)) for frame in frames))
    assert rig.sounds_complete is complete


@pytest.mark.parametrize(("hang_over_s", "earlier_s"), [(0.6, 0.12), (2.1, 0.12), (5.0, 1.0)])
def test_before_a_pause_of_any_length_a_second_of_speech_decides(
    hang_over_s: float, earlier_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[NDArray[np.int16]] = []

    def voice_falls(samples: NDArray[np.int16]) -> bool:
        compared.append(samples)
        return True

    monkeypatch.setattr(pipeline, "voice_falls", voice_falls)
    pause_frames = math.ceil(hang_over_s / FRAME_SECONDS) + 1
    settings = EndpointSettings(hang_over_s=hang_over_s, earlier_end_s=earlier_s)
    rig = Rig(endpointer=Endpointer(settings, ScriptedDetector()))
    [prediction] = rig.pipeline.predictions(scripted([90] * 60 + [0] * pause_frames))
    utterance = prediction.utterance
    assert utterance.end_s - utterance.speech_end_s == pytest.approx(hang_over_s - earlier_s, abs=FRAME_SECONDS)
    assert len(compared[0]) >= COMPARED_FRAMES * FRAME_LENGTH
    assert (compared[0] == compared[0][0]).all(), "speech alone"


@pytest.mark.parametrize("ending", ["longest", "end_of_stream"])
def test_an_unexpected_end(ending: str) -> None:
    rig = Rig()
    last = () if ending == "end_of_stream" else (rig.frame(LOUD),)
    [prediction] = rig.run(
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate(last, over(ending)),
    )
    assert prediction.text == f"{3 + len(last)} frames"


def test_the_next_utterance_starts_from_nothing() -> None:
    rig = Rig()
    first, second = rig.run(
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), over()),
        EndpointerUpdate(),
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), over()),
    )
    assert (first.text, second.text) == ("2 frames", "2 frames")
    assert rig.calls.count("begin") == 2


def test_the_transcriber_gets_a_quiet_microphone_amplified_by_one_factor_for_each_utterance() -> None:
    for gain, factor in ((1.0, 1), (20.0, 20)):
        rig = Rig(gain=gain)
        frame = rig.frame(100)
        started = EndpointerUpdate((frame,))

        def updates(
            rig: Rig = rig, started: EndpointerUpdate = started, frame: Frame = frame
        ) -> Iterator[EndpointerUpdate]:
            yield started
            rig.gain = 3.0  # in the middle of the utterance, where it would change what words sound like
            yield EndpointerUpdate((frame,))
            yield EndpointerUpdate((), over())

        rig._updates = updates()
        assert len(list(rig.pipeline.predictions([frame] * 3))) == 1
        assert rig.loudest == pytest.approx(factor * int(np.abs(frame.samples).max()))


def test_without_words_the_audio_is_classified() -> None:
    rig = Rig(words=False)
    [prediction] = rig.run(EndpointerUpdate((rig.frame(LOUD),) * 4), EndpointerUpdate((rig.frame(QUIET),), over()))
    assert (prediction.text, prediction.label, prediction.light) == ("", "b", "b")
    image, ids = rig.network_input
    assert not ids.any(), "there are no words"
    assert image.any(), "there is audio"


@pytest.mark.parametrize(
    ("confidences", "low_confidence_label", "confident", "light"),
    [
        ({}, None, True, "b"),
        ({"a": 0.0, "b": 0.75}, "a", True, "b"),
        ({"a": 0.0, "b": 0.76}, None, False, None),
        ({"a": 0.0, "b": 0.76}, "a", False, "a"),
        ({"a": 0.99, "b": 0.5}, "a", True, "b"),
    ],
)
def test_a_prediction_below_the_threshold_of_its_class_has_a_low_confidence(
    confidences: dict[str, float], low_confidence_label: str | None, confident: bool, light: str | None
) -> None:
    rig = Rig(confidences=confidences, low_confidence_label=low_confidence_label)
    [prediction] = rig.run(EndpointerUpdate((rig.frame(LOUD),)), EndpointerUpdate((rig.frame(QUIET),), over()))
    assert (prediction.confident, prediction.light) == (confident, light)
    assert (prediction.label, prediction.probabilities) == ("b", {"a": 0.25, "b": 0.75}), (
        "the prediction itself is unchanged"
    )


def one_utterance(rig: Rig) -> Prediction:
    # With a word that the vocabulary has, so that both modalities are there.
    rig.text = lambda: "word"  # type: ignore[method-assign]  # a fake
    [prediction] = rig.run(EndpointerUpdate((rig.frame(LOUD),) * 4), EndpointerUpdate((rig.frame(QUIET),), over()))
    return prediction


def test_a_prediction_is_explained_when_that_is_requested() -> None:
    rig = Rig()
    prediction = one_utterance(rig)
    assert rig.calls.count("network") == 1, "nothing is computed before the light"
    assert (prediction.audio_only, prediction.text_only) == (None, None)
    explained = prediction.explained()
    assert rig.calls.count("network") == 3
    assert explained.audio_only == explained.text_only == {"a": 0.25, "b": 0.75}
    assert explained == replace(prediction, audio_only=explained.audio_only, text_only=explained.text_only)
    assert explained.explained() is explained
    assert rig.calls.count("network") == 3, "once"


def test_never_explained() -> None:
    rig = Rig(explain="never")
    assert one_utterance(rig).explained().audio_only is None
    assert rig.calls.count("network") == 1


@pytest.mark.parametrize(
    ("explain", "call_s", "expected"), [("auto", 0.019, True), ("auto", 0.021, False), ("always", 5.0, True)]
)
def test_a_slow_network_is_run_again_only_if_the_settings_require_it(
    monkeypatch: pytest.MonkeyPatch, explain: str, call_s: float, expected: bool
) -> None:
    now = 0.0

    def pass_time() -> None:
        nonlocal now
        now += call_s

    monkeypatch.setattr("device.pipeline.time", SimpleNamespace(monotonic=lambda: now))
    rig = Rig(explain=explain)
    rig.slow = pass_time
    assert (one_utterance(rig).explained().text_only is not None) == expected


def two_utterances(rig: Rig, pause_s: float) -> list[Prediction]:
    second = Utterance(1 + pause_s, 1.5 + pause_s, 2 + pause_s, time.monotonic(), "silence")
    return rig.run(
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), expected=True),
        EndpointerUpdate((rig.frame(QUIET),), over()),
        EndpointerUpdate((rig.frame(LOUD),)),
        EndpointerUpdate((rig.frame(QUIET),), second),
    )


def test_the_previous_utterance_influences_the_next_until_a_pause() -> None:
    raw = {"a": 0.25, "b": 0.75}
    first, second = two_utterances(Rig(context_s=5, confidences={"b": 0.8}), pause_s=4)
    assert first.probabilities == first.raw_probabilities == second.raw_probabilities == raw
    a, b = 0.25 * (0.25 * 0.8 + 0.75 * 0.1) / 0.4, 0.75 * (0.25 * 0.2 + 0.75 * 0.9) / 0.6
    assert second.probabilities == pytest.approx({"a": a / (a + b), "b": b / (a + b)})
    assert (first.confident, second.confident) == (False, True), "the filtered probability is compared"
    assert second.explained().audio_only == raw, "each modality alone is that of this utterance alone"
    _, second = two_utterances(Rig(context_s=5), pause_s=6)
    assert second.probabilities == raw


def test_without_context_there_are_no_raw_probabilities() -> None:
    first, second = two_utterances(Rig(), pause_s=0)
    assert first.probabilities == second.probabilities == {"a": 0.25, "b": 0.75}
    assert first.raw_probabilities is second.raw_probabilities is None


def test_a_prediction_contains_what_can_be_learnt_from_its_utterance() -> None:
    rig = Rig()
    [prediction] = rig.run(EndpointerUpdate((rig.frame(LOUD),)), EndpointerUpdate((rig.frame(QUIET),), over()))
    assert (prediction.adapted, prediction.features) == (False, FEATURES)
    rig.adapted = True
    [prediction] = rig.run(EndpointerUpdate((rig.frame(LOUD),)), EndpointerUpdate((rig.frame(QUIET),), over()))
    assert prediction.adapted
    assert "features" not in repr(prediction)


class FollowingRig(Rig):
    """Records when the model follows voices; its profile is damaged from the start."""

    def add_unlabelled(self, utterance: UtteranceFeatures) -> None:
        assert utterance is FEATURES
        self.calls.append("unlabelled")

    def load_if_changed(self) -> bool:
        raise ProfileError("damaged", fix="learn again")


def test_voices_are_followed_after_the_light_and_a_damaged_profile_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = FollowingRig()
    updates = [EndpointerUpdate((rig.frame(LOUD),)), EndpointerUpdate((rig.frame(QUIET),), over())]
    rig._updates = iter(updates * 2)
    for _ in rig.pipeline.predictions([rig.frame(LOUD)] * 4):
        rig.calls.append("light")
    assert [call for call in rig.calls if call in ("light", "unlabelled")] == ["light", "unlabelled"] * 2
    assert [record.message for record in caplog.records] == [
        "the voice profile is not used any more: damaged; learn again"
    ]


class RecordingMonitor:
    """A monitor that calls everything it may call, and records each event."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.images: list[NDArray[np.float32]] = []
        self.columns: list[NDArray[np.float32]] = []
        self.speeches: list[Speech] = []
        self.watching = True
        self.previewing = False
        self.shows_previews = True
        self.previews: list[Preview] = []

    def preview(self, preview: Preview) -> None:
        self.previews.append(preview)

    def frame(self, frame: Frame) -> None:
        self.calls.append("frame")

    def speech(self, speech: Speech) -> None:
        self.speeches.append(speech)
        self.calls.append(speech.words())
        self.images.append(speech.image())
        self.columns.append(speech.columns(sum(each.shape[1] for each in self.columns)))


VOICED = (True, True, False, False, True, False, False)


def watched(monitor: RecordingMonitor | None) -> tuple[Rig, list[Prediction]]:
    rig = Rig(monitor=monitor)
    updates = [EndpointerUpdate((rig.frame(LOUD if loud else QUIET),), expected=not loud) for loud in VOICED]
    return rig, rig.run(EndpointerUpdate(), *updates, EndpointerUpdate((rig.frame(QUIET),), over()))


def test_a_monitor_gets_each_frame_and_words_while_someone_speaks() -> None:
    monitor = RecordingMonitor()
    rig = Rig(monitor=monitor)
    rig._updates = iter(
        [
            EndpointerUpdate(),
            EndpointerUpdate((rig.frame(LOUD), rig.frame(LOUD))),
            EndpointerUpdate((rig.frame(QUIET),), expected=True),
            EndpointerUpdate((rig.frame(QUIET),), expected=True),
            EndpointerUpdate((rig.frame(LOUD),)),
            EndpointerUpdate((rig.frame(QUIET),), expected=True),
            EndpointerUpdate((rig.frame(QUIET),), over()),
        ]
    )
    predictions = []
    for prediction in rig.pipeline.predictions([rig.frame(LOUD)] * 7):
        predictions.append(prediction)
        monitor.calls.append("light")
    # Nothing is requested in the pause, when a light is near; and a frame is passed on after all work on it is done.
    assert monitor.calls == [
        "frame",
        "2 so far",
        "frame",
        "frame",
        "frame",
        "5 so far",
        "frame",
        "frame",
        "light",
        "frame",
    ]
    assert [image.shape for image in monitor.images] == [(64, 64, 3)] * 2
    assert len(set(map(id, monitor.speeches))) == 1, "it is one utterance"
    power = monitor.speeches[0].power()
    columns = np.concatenate(monitor.columns, axis=1)
    assert 0 < columns.shape[1] < power.shape[1]
    assert np.array_equal(columns, power[:, : columns.shape[1]])
    assert [prediction.image is rig.network_input[0] for prediction in predictions] == [True], "the network's input"


def test_nothing_is_requested_while_the_monitor_does_not_watch() -> None:
    monitor = RecordingMonitor()
    monitor.watching = False
    rig, [prediction] = watched(monitor)
    assert monitor.calls == []
    assert prediction.label == "b"
    assert not any("so far" in call for call in rig.calls)


def test_a_monitor_has_no_influence_on_predictions() -> None:
    (alone, [prediction]), (_, [watched_prediction]) = watched(None), watched(RecordingMonitor())
    assert (prediction.text, prediction.probabilities) == (watched_prediction.text, watched_prediction.probabilities)
    assert prediction.image is not None
    assert watched_prediction.image is not None
    assert np.array_equal(prediction.image, watched_prediction.image)
    assert not any("so far" in call for call in alone.calls), "without a monitor nothing is requested"


def previewed(rig: Rig, seconds: float = 1.6) -> list[Prediction]:
    """An utterance with that much speech, and the pause that ends it."""
    frames = round(seconds / FRAME_SECONDS)
    speech = [EndpointerUpdate((rig.frame(LOUD),)) for _ in range(frames)]
    pause = [EndpointerUpdate((rig.frame(QUIET),), pause_s=number * FRAME_SECONDS) for number in range(1, 11)]
    expected = EndpointerUpdate((rig.frame(QUIET),), expected=True, pause_s=11 * FRAME_SECONDS)
    return rig.run(*speech, *pause, expected, EndpointerUpdate((rig.frame(QUIET),), over()))


def following() -> RecordingMonitor:
    monitor = RecordingMonitor()
    monitor.watching, monitor.previewing = False, True
    return monitor


def test_while_someone_speaks_the_network_is_run_and_the_light_follows() -> None:
    monitor = following()
    rig = Rig(monitor=monitor)
    [prediction] = previewed(rig)
    assert len(monitor.previews) > 3
    assert {each.label for each in monitor.previews} == {"b"}
    assert monitor.previews[0].light is None, "it is too early"
    last = monitor.previews[-1]
    assert (last.light, last.text, last.probabilities) == ("b", prediction.text, prediction.probabilities)
    ends = [each.end_s for each in monitor.previews]
    assert all(each.start_s < each.end_s for each in monitor.previews)
    assert ends == sorted(ends)


def test_for_a_light_alone_the_network_is_run_only_until_it_is_on() -> None:
    monitor, each = following(), following()
    monitor.shows_previews = False
    rig, other = Rig(monitor=monitor), Rig(monitor=each)
    previewed(rig)
    previewed(other)
    assert rig.calls.count("network") < other.calls.count("network")
    lights = [preview.light for preview in monitor.previews]
    assert lights == [None] * lights.index("b") + ["b", "b"], "the second one is the result for the utterance"
    first = [next(one.end_s for one in followed.previews if one.light) for followed in (monitor, each)]
    assert first[0] == first[1]


def test_previews_change_no_prediction_and_nothing_is_learnt_from_them() -> None:
    with_previews, without = FollowingRig(monitor=following()), FollowingRig()
    [first], [second] = previewed(with_previews), previewed(without)
    assert (first.text, first.probabilities) == (second.text, second.probabilities)
    assert first.image is not None
    assert second.image is not None
    assert np.array_equal(first.image, second.image)
    assert with_previews.calls.count("unlabelled") == 1
    assert with_previews.calls.count("network") > without.calls.count("network") == 1
    # `text` ends what Vosk has understood so far; it is called where it is without previews.
    texts = [[call for call in rig.calls if call.startswith("text")] for rig in (with_previews, without)]
    assert texts[0] == texts[1]


def test_nothing_is_previewed_while_nothing_shows_it() -> None:
    monitor = following()
    monitor.previewing = False
    rig = Rig(monitor=monitor)
    previewed(rig)
    assert monitor.previews == []
    assert rig.calls.count("network") == 1
    assert not any("so far" in call for call in rig.calls)


def test_a_slow_network_is_run_once_while_someone_speaks_which_shows_that_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def pass_time() -> None:
        nonlocal now
        now += 0.021

    monkeypatch.setattr("device.pipeline.time", SimpleNamespace(monotonic=lambda: now))
    monitor = following()
    rig = Rig(monitor=monitor)
    rig.slow = pass_time
    previewed(rig)
    previewed(rig)
    assert len(monitor.previews) == 1


def test_earlier_utterances_influence_a_preview_which_influences_nothing() -> None:
    monitor = following()
    rig, alone = Rig(monitor=monitor, context_s=5), Rig(context_s=5)
    predictions = [*previewed(rig), *previewed(rig)]
    assert [each.probabilities for each in predictions] == [
        each.probabilities for each in [*previewed(alone), *previewed(alone)]
    ]
    by_utterance = [{tuple(each.probabilities.items()) for each in half} for half in halves(monitor.previews)]
    assert by_utterance == [{tuple(each.probabilities.items())} for each in predictions]
    assert predictions[0].probabilities != predictions[1].probabilities


def halves(previews: list[Preview]) -> tuple[list[Preview], list[Preview]]:
    """The previews of two equal utterances."""
    return previews[: len(previews) // 2], previews[len(previews) // 2 :]


def test_a_low_confidence_preview_lights_nothing() -> None:
    monitor = following()
    previewed(Rig(monitor=monitor, confidences={"b": 0.8}))
    assert {each.light for each in monitor.previews} == {None}
