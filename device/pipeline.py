"""Frames in, predictions out: connects endpointer, transcriber, spectrogram and classifier for one stream of audio.

A loop of your own needs only the loaded models and a source of frames:

    models = LoadedModels.load(Settings())
    microphone = ReconnectingMicrophone("", LivenessMachine(LivenessSettings(), time.monotonic), stuck_limit_s=20)
    for frames in microphone.streams():
        for prediction in models.pipeline().predictions(frames):
            print(prediction.label, prediction.text)
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.audio.endpoint import Endpointer, EndpointerUpdate
from device.audio.quiet_microphone import amplified
from device.bundle import Companions
from device.errors import ProfileError
from device.events import FRAME_SECONDS, Frame, Prediction, Preview, Utterance, UtteranceFeatures, most_probable
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MelSpectrogram, spectrogram_image
from device.front_end.tokens import Tokens
from device.outputs.base import Speech
from device.recognition.context import ConversationFilter, conversation_filter
from device.recognition.end_of_utterance import COMPARED_FRAMES, speaks_on, voice_falls
from device.recognition.explanation import ALWAYS, AUTO, SLOW_CALL_S, Explainer, ProbabilityModel
from device.recognition.preview import PreviewLight, PreviewSchedule
from device.recognition.transcriber import Transcriber, Transcription

_LOG = logging.getLogger(__name__)


class SpeechMonitor(Protocol):
    """What follows frames and speech as they happen: `device.outputs.fan_out.Outputs`, or one of its monitors."""

    @property
    def watching(self) -> bool:
        """Whether anything is to be passed on now."""

    @property
    def previewing(self) -> bool:
        """Whether `preview` does anything now."""

    @property
    def shows_previews(self) -> bool:
        """Whether each preview is shown, and not only the light that one may change."""

    def preview(self, preview: Preview) -> None:
        """Take in what is predicted of an utterance that goes on; see `device.outputs.base.Light`."""

    def frame(self, frame: Frame) -> None:
        """Take in a frame, after everything that it causes; see `device.outputs.base.Monitor`."""

    def speech(self, speech: Speech) -> None:
        """Take in an utterance that goes on; see `device.outputs.base.Monitor`."""


class VoiceModel(ProbabilityModel, Protocol):
    """Rates the classes and adapts to voices: `device.adaptation.adapted_classifier.AdaptedClassifier`."""

    @property
    def adapted(self) -> bool:
        """Whether examples change the probabilities."""

    def rate(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[dict[str, float], UtteranceFeatures]:
        """Compute the probability of each class, and what can be learnt from the utterance."""

    def add_unlabelled(self, utterance: UtteranceFeatures) -> None:
        """Note an utterance whose class nobody named."""

    def load_if_changed(self) -> bool:
        """Adapt to the profile again if another process has changed it.

        Raises:
            ProfileError: it cannot be used any more.
        """


@dataclass(frozen=True, eq=False)
class _Result:
    """The network's result for the audio so far, and its input."""

    text: str
    image: NDArray[np.float32]
    ids: NDArray[np.int32]
    probabilities: dict[str, float]
    features: UtteranceFeatures
    adapted: bool


@dataclass(eq=False)
class _OpenUtterance:
    """An utterance that is not over; what monitors may see of it is `device.outputs.base.Speech`."""

    transcription: Transcription
    spectrogram: MelSpectrogram
    front_end: FrontEnd
    start_s: float
    """Where it begins in the stream, seconds."""
    recent: deque[Frame]
    """The latest frames, speech and the pause after it, whose sound decides how long a pause must be."""
    gain: float = 1.0
    """Factor of the samples for the transcription, the same for the complete utterance."""
    result: _Result | None = None
    """Computed during the pause that is expected to end the utterance, so that nothing is left to do when it does."""
    pending: list[Frame] = field(default_factory=list)
    """Frames since then that Vosk has not received; they hold no words unless someone speaks on."""
    schedule: PreviewSchedule = field(default_factory=PreviewSchedule)
    light: PreviewLight = field(default_factory=PreviewLight)

    def words(self) -> str:
        return self.transcription.so_far()

    def image(self) -> NDArray[np.float32]:
        return spectrogram_image(self.spectrogram.power(), self.front_end)

    def columns(self, first: int) -> NDArray[np.float32]:
        return self.spectrogram.columns(first)

    def power(self) -> NDArray[np.float32]:
        return self.spectrogram.power()


class Pipeline:
    """Makes a prediction for each utterance in one stream of frames; a new stream needs a new object.

    Args:
        endpointer: finds the utterances; for this stream alone.
        transcriber: transcribes their words.
        classifier: rates the classes, and adapts to the voices in this stream.
        companions: labels, vocabulary and front end that the classifier's network was trained with.
        confidences: probability by class below which a prediction of the class has a low confidence; a prediction of
            a class that is missing never has. With a context, filtered probabilities are compared. Changes of this
            mapping take effect at the next prediction.
        low_confidence_label: the class that is shown for such a prediction; None for no light.
        context_s: pause in seconds after which earlier utterances have no influence any more; 0 if they have none.
        explain: whether `Prediction.explained` runs the network for audio alone and for words alone: one of
            `device.recognition.explanation.EXPLAIN`.
        gain: returns by how much the samples of the microphone must be amplified for the transcriber now.
        monitor: follows frames and speech as they happen, while it watches; None where nothing shows it.
        live: whether there is time between utterances, in which the recogniser for the next one is prepared; no such
            time is in a recording, which is processed as fast as possible.

    Raises:
        SettingsError: earlier utterances are to have an influence, and the model has no class transitions.
    """

    def __init__(
        self,
        endpointer: Endpointer,
        transcriber: Transcriber,
        classifier: VoiceModel,
        companions: Companions,
        *,
        confidences: Mapping[str, float] | None = None,
        low_confidence_label: str | None = None,
        context_s: float = 0.0,
        explain: str = AUTO,
        gain: Callable[[], float] = lambda: 1.0,
        monitor: SpeechMonitor | None = None,
        live: bool = False,
    ) -> None:
        self._endpointer = endpointer
        self._transcriber = transcriber
        self._classifier = classifier
        self._front_end = companions.front_end
        self._tokens = Tokens(companions.vocabulary, self._front_end)
        self._confidences = {} if confidences is None else confidences
        self._low_confidence_label = low_confidence_label
        self._gain = gain
        self._monitor = monitor
        self._context = conversation_filter(context_s, companions)
        self._explain = explain
        self._explainer = Explainer(classifier, self._front_end)
        self._fastest_call_s = float("inf")
        self._open: _OpenUtterance | None = None
        self._reported: set[str] = set()
        self._live = live
        if live:
            transcriber.prepare()

    @property
    def batch_size(self) -> int:
        """How many blocks of the microphone may be delivered together now without making any prediction later."""
        return self._endpointer.batch_size

    def predictions(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Yield one prediction per utterance, as soon as the utterance is over.

        Args:
            frames: the stream, such as `device.audio.audio_file.Recording.frames()`, or one of
                `device.audio.reconnecting.ReconnectingMicrophone.streams()`.
        """
        for frame in frames:
            yield from self._process(self._endpointer.push(frame, self._sounds_like_end))
            if self._monitor is not None and self._monitor.watching:  # last, so that no light waits for it
                self._monitor.frame(frame)
        yield from self._process(self._endpointer.finish())

    def _sounds_like_end(self, speech_end_s: float) -> bool:
        frames = () if self._open is None else self._open.recent
        # Half a frame of tolerance: the times are sums of fractions.
        spoken = [frame.samples for frame in frames if frame.start_s + FRAME_SECONDS / 2 < speech_end_s]
        return bool(spoken) and voice_falls(np.concatenate(spoken))

    def _process(self, update: EndpointerUpdate) -> Iterator[Prediction]:
        if update.frames and self._open is None:
            self._open = _OpenUtterance(
                self._transcriber.begin(),
                MelSpectrogram(self._front_end),
                self._front_end,
                update.frames[0].start_s,
                deque(maxlen=COMPARED_FRAMES + self._endpointer.judged_frames),
                self._gain(),
            )
        if self._open is None:
            return
        current = self._open
        for frame in update.frames:
            current.spectrogram.feed(frame.samples)
        current.pending += update.frames
        current.recent.extend(update.frames)
        ended_as_expected = update.utterance is not None and update.utterance.ending == "silence"
        if current.result is None or not (update.expected or ended_as_expected):
            # Someone speaks, or speaks on.
            for frame in current.pending:
                gain = current.gain
                current.transcription.feed(frame.samples if gain == 1 else amplified(frame.samples, gain))
            current.pending.clear()
            current.result = None
            if update.utterance is None and not update.expected and self._monitor is not None:
                self._preview(current, update, self._monitor)
                if self._monitor.watching:
                    self._monitor.speech(current)
        if update.expected and current.result is None:
            current.result = self._classify(current)
            if speaks_on(current.result.text):
                self._endpointer.require_longest_pause()
            if self._monitor is not None:
                self._preview(current, update, self._monitor)
        if update.utterance is not None:
            self._open = None
            result = self._classify(current)
            yield self._prediction(update.utterance, result)
            # Last, so that no light waits for it.
            self._follow_voices(result)
            del current  # a recogniser that is replaced must have no other users
            if self._live:
                self._transcriber.prepare()

    def _classify(self, current: _OpenUtterance) -> _Result:
        before = current.result
        text = current.transcription.text() if before is None else before.text
        image = current.image()
        # Edges that are as quiet as a pause are cut off, so that a longer pause gives the same image.
        if before is not None and np.array_equal(before.image, image):
            return before
        ids = self._tokens.ids(text)
        probabilities, features = self._rate(image, ids)
        return _Result(text, image, ids, probabilities, features, self._classifier.adapted)

    def _rate(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[dict[str, float], UtteranceFeatures]:
        started = time.monotonic()
        rated = self._classifier.rate(image, ids)
        # The fastest of all calls: another program may slow a single one down.
        self._fastest_call_s = min(self._fastest_call_s, time.monotonic() - started)
        return rated

    def _previews(self, monitor: SpeechMonitor) -> bool:
        """Whether the network may be run while someone speaks: something shows it, and no call was slow.

        The first call shows how fast it is.
        """
        return monitor.previewing and (self._fastest_call_s < SLOW_CALL_S or self._fastest_call_s == float("inf"))

    def _preview(self, current: _OpenUtterance, update: EndpointerUpdate, monitor: SpeechMonitor) -> None:
        """Classify an utterance that goes on, if it is time for that; nothing is learnt from it."""
        if not self._previews(monitor):
            return
        if current.result is not None:  # its end is expected, and that costs no call
            text, probabilities = current.result.text, self._preview_filtered(current.result.probabilities, current)
            current.light.settle(probabilities, self._confidences)
        else:
            seconds = _end_s(update) - current.start_s
            if not monitor.shows_previews and not current.light.undecided(seconds=seconds, pause_s=update.pause_s):
                return
            due = current.schedule.due(update.pause_s, current.words)
            if due is None:
                return
            text = due
            raw, _ = self._rate(current.image(), self._tokens.ids(text))
            probabilities = self._preview_filtered(raw, current)
            current.light.update(probabilities, self._confidences, seconds=seconds, pause_s=update.pause_s)
        label, light = most_probable(probabilities), current.light.label
        monitor.preview(Preview(label, probabilities, text, current.start_s, _end_s(update), light))

    def _preview_filtered(self, raw: dict[str, float], current: _OpenUtterance) -> dict[str, float]:
        """Let earlier utterances influence a preview, which influences nothing."""
        if self._context is None:
            return raw
        filtered = self._context.filtered(np.array(list(raw.values())), current.start_s)
        return dict(zip(raw, filtered.tolist(), strict=True))

    def _follow_voices(self, result: _Result) -> None:
        self._classifier.add_unlabelled(result.features)
        try:
            self._classifier.load_if_changed()
        except ProfileError as error:
            if error.message not in self._reported:
                self._reported.add(error.message)
                _LOG.warning("the voice profile is not used any more: %s", error)

    def _prediction(self, utterance: Utterance, result: _Result) -> Prediction:
        raw = result.probabilities
        probabilities = raw if self._context is None else self._filtered(self._context, raw, utterance)
        label = most_probable(probabilities)
        return Prediction(
            datetime.now().astimezone(),
            label,
            probabilities,
            result.text,
            utterance,
            probabilities[label] >= self._confidences.get(label, 0.0),
            self._low_confidence_label,
            result.image,
            raw_probabilities=None if self._context is None else raw,
            adapted=result.adapted,
            features=result.features,
            explain=partial(self._explainer.modalities, result.image, result.ids, raw) if self._explains() else None,
        )

    @staticmethod
    def _filtered(context: ConversationFilter, raw: dict[str, float], utterance: Utterance) -> dict[str, float]:
        filtered = context.update(np.array(list(raw.values())), utterance.start_s, utterance.end_s)
        return dict(zip(raw, filtered.tolist(), strict=True))

    def _explains(self) -> bool:
        if self._explain == AUTO:
            return self._fastest_call_s < SLOW_CALL_S
        return self._explain == ALWAYS


def _end_s(update: EndpointerUpdate) -> float:
    """Where the frames of an update end in the stream, seconds."""
    return update.frames[-1].start_s + FRAME_SECONDS
