"""The three values that travel from station to station with a sentence: `Frame`, `Utterance`, `Prediction`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz; what Vosk, the voice activity detector and the front end hear."""
FRAME_LENGTH = 512
"""Samples in one frame: 32 ms, what the voice activity detector takes."""
FRAME_SECONDS = FRAME_LENGTH / SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Frame:
    """32 ms of sound."""

    samples: NDArray[np.int16]
    """Shape (512,), mono, 16 kHz."""
    start_s: float
    """Seconds of sound before it since the microphone or recording was opened."""
    arrived_at: float
    """`time.monotonic()` when its last sample arrived."""


@dataclass(frozen=True)
class Utterance:
    """A stretch of sound in which someone speaks, known when it is over; its frames were passed on as they came."""

    start_s: float
    """Where it begins in the sound, pre-roll included, seconds."""
    speech_end_s: float
    """Where the last voiced frame in it ends, seconds."""
    end_s: float
    """Where it ends, hang-over included, seconds."""
    arrived_at: float
    """`time.monotonic()` when its last sample arrived: from here on someone waits for the light."""
    ending: Literal["silence", "longest", "end_of_stream"]
    """Why it is over."""


@dataclass(frozen=True)
class Prediction:
    """The answer to one utterance."""

    time: datetime
    """When the answer was known, with time zone."""
    label: str
    """The most probable class."""
    probabilities: Mapping[str, float]
    """Softmax per class, in the order of the model's labels; they add up to 1, also when the confidence is low."""
    text: str
    """What Vosk understood; empty if it could tell no words."""
    utterance: Utterance
    confident: bool = True
    """Whether `label` reaches the probability that the settings require (`confidence` under `[classifier]`)."""
    low_confidence_label: str | None = None
    """The class whose light shows a low-confidence prediction; None for no light."""
    image: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Spectrogram image that the network classified, shape (height, width, 3), 0 to 1; None if it is not available."""

    @property
    def light(self) -> str | None:
        """The class whose light comes on; None if all stay dark."""
        return self.label if self.confident else self.low_confidence_label

    def ms_since_endpoint(self, now: float) -> float:
        """Milliseconds of work from the utterance's last sample to `now` (`time.monotonic()`)."""
        return 1000 * (now - self.utterance.arrived_at)

    def ms_since_speech(self, now: float) -> float:
        """Milliseconds from the last voiced sound to `now`: the hang-over and the work."""
        return self.ms_since_endpoint(now) + 1000 * (self.utterance.end_s - self.utterance.speech_end_s)
