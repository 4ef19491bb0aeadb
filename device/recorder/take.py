"""One utterance as samples and transcript, detected in the stream of frames exactly as the daemon detects it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from device.audio.endpoint import Endpointer, SpeechDetector
from device.events import SAMPLE_RATE, Frame
from device.settings.schema import EndpointSettings

FULL_SCALE = 32768


class Transcription(Protocol):
    """Transcribes one utterance; implemented by `device.recognition.transcriber.Transcription`."""

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Transcribe the next samples, shape (n,), 16 kHz."""

    def text(self) -> str:
        """The words so far."""


class Transcriber(Protocol):
    """Transcribes utterances; implemented by `device.recognition.transcriber.Transcriber`."""

    def begin(self) -> Transcription:
        """Begin an utterance."""


@dataclass(frozen=True, eq=False)
class Take:
    """The utterance that follows a prompt."""

    samples: NDArray[np.int16]
    """Shape (n,), int16, mono, 16 kHz, with pre-roll and hang-over."""
    text: str
    """Vosk's transcript; empty if there are no words in it, or without a transcriber."""
    ending: Literal["silence", "longest", "end_of_stream"]
    """Why the utterance ended."""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def clipped(self) -> bool:
        """Whether its peaks are cut off because it was too loud for the microphone."""
        return bool(np.any((self.samples >= FULL_SCALE - 1) | (self.samples <= -FULL_SCALE)))

    def description(self, *, with_words: bool) -> str:
        """Return its duration, its words if these matter, and what is wrong with it, on one line."""
        transcript = f"\u201c{self.text}\u201d" if self.text else "no words recognised"
        parts = [f"{self.seconds:.1f} s", *([transcript] if with_words else [])]
        if self.clipped:
            parts.append("too loud, its peaks are cut off: move away from the microphone")
        if self.ending == "longest":
            parts.append("cut here because there was no pause")
        return ", ".join(parts)


class TakeListener:
    """Detects utterances in a stream of frames and collects their samples; one object per stream.

    Args:
        settings: endpoint settings of the daemon.
        detector: voice activity detector.
        transcriber: transcribes the utterances; None for no transcripts.
    """

    def __init__(self, settings: EndpointSettings, detector: SpeechDetector, transcriber: Transcriber | None) -> None:
        self._settings = settings
        self._detector = detector
        self._transcriber = transcriber
        self.restart()

    def restart(self) -> None:
        """Discard an utterance that has not ended; the next one begins with the frames from now on."""
        self._detector.reset()
        self._endpointer = Endpointer(self._settings, self._detector)
        self._samples: list[NDArray[np.int16]] = []
        self._transcription: Transcription | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return self._endpointer.speaking

    def push(self, frame: Frame) -> Take | None:
        """Process the next frame; returns the utterance that ends with it, if one does."""
        update = self._endpointer.push(frame)
        if update.frames and not self._samples and self._transcriber is not None:
            self._transcription = self._transcriber.begin()
        for each in update.frames:
            self._samples.append(each.samples)
            if self._transcription is not None:
                self._transcription.feed(each.samples)
        if update.utterance is None:
            return None
        text = "" if self._transcription is None else self._transcription.text()
        take = Take(np.concatenate(self._samples), text, update.utterance.ending)
        self._samples, self._transcription = [], None
        return take
