"""One utterance as samples and words, found in the stream of frames exactly as the daemon finds it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from device.audio.endpoint import Detector, Endpointer
from device.events import SAMPLE_RATE, Frame
from device.settings.schema import EndpointSettings

FULL_SCALE = 32768


class Words(Protocol):
    """The words of one utterance: `device.recognition.transcriber.Transcription`."""

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Take the next samples, shape (n,), 16 kHz."""

    def text(self) -> str:
        """The words so far."""


class WritesDown(Protocol):
    """What tells the words: `device.recognition.transcriber.Transcriber`."""

    def begin(self) -> Words:
        """Begin an utterance."""


@dataclass(frozen=True, eq=False)
class Take:
    """What was said after a prompt."""

    samples: NDArray[np.int16]
    """Shape (n,), mono, 16 kHz; pre-roll and hang-over included."""
    text: str
    """What Vosk heard; empty if it could tell no words, or was not asked."""
    ending: Literal["silence", "longest", "end_of_stream"]
    """Why it is over."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def clipped(self) -> bool:
        """Whether its loudest parts are cut off, since it was too loud for the microphone."""
        return bool(np.any((self.samples >= FULL_SCALE - 1) | (self.samples <= -FULL_SCALE)))


class TakeListener:
    """Waits for an utterance and gathers it; one object hears one stream.

    Args:
        settings: of the daemon.
        detector: tells speech from other sound.
        transcriber: hears the words; None if nobody wants to know them.
    """

    def __init__(self, settings: EndpointSettings, detector: Detector, transcriber: WritesDown | None) -> None:
        self._settings = settings
        self._detector = detector
        self._transcriber = transcriber
        self.restart()

    def restart(self) -> None:
        """Forget what is not over: the next utterance begins with what is heard from now on."""
        self._detector.reset()
        self._endpointer = Endpointer(self._settings, self._detector)
        self._samples: list[NDArray[np.int16]] = []
        self._words: Words | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._endpointer.speaking

    def push(self, frame: Frame) -> Take | None:
        """Take the next frame; gives the utterance that is over with it."""
        step = self._endpointer.push(frame)
        if step.frames and not self._samples and self._transcriber is not None:
            self._words = self._transcriber.begin()
        for each in step.frames:
            self._samples.append(each.samples)
            if self._words is not None:
                self._words.feed(each.samples)
        if step.utterance is None:
            return None
        text = "" if self._words is None else self._words.text()
        take = Take(np.concatenate(self._samples), text, step.utterance.ending)
        self._samples, self._words = [], None
        return take
