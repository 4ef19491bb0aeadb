"""The values that travel through the pipeline: `Frame`, `Utterance`, `Preview`, `Prediction`; the units of audio."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the status and the settings need the constants where numpy may be missing
    import numpy as np
    from numpy.typing import NDArray

Probabilities = Mapping[str, float]
"""Softmax per class, in the order of the model's labels."""

SAMPLE_RATE = 16_000
"""Sample rate that Vosk, the voice activity detector and the front end expect, Hz."""
FRAME_LENGTH = 512
"""Samples in one frame: 32 ms, the length that the voice activity detector expects."""
FRAME_SECONDS = FRAME_LENGTH / SAMPLE_RATE
"""Seconds in one frame."""
BLOCK_SECONDS = 4 * FRAME_SECONDS
"""Seconds of audio that a microphone delivers at a time (128 ms).

Each block wakes threads of the sound system and of this process, which is what listening to a quiet room costs; with
this length a prediction is, on average, half a block later than with the shortest blocks.
"""

Ending = Literal["silence", "longest", "end_of_stream"]
"""Why an utterance ended: a pause, the length limit, or the end of the microphone's stream or the recording."""


@dataclass(frozen=True, eq=False)
class Frame:
    """32 ms of audio."""

    samples: "NDArray[np.int16]"
    """Samples, shape (512,), mono, 16 kHz."""
    start_s: float
    """Seconds of audio between the start of the stream and this frame."""
    arrived_at: float
    """`time.monotonic()` when the frame's last sample arrived."""


@dataclass(frozen=True)
class Utterance:
    """A stretch of audio in which someone speaks; it is known when it is over, its frames were passed on before."""

    start_s: float
    """Where it begins in the stream, pre-roll included, seconds."""
    speech_end_s: float
    """Where its last voiced frame ends in the stream, seconds."""
    end_s: float
    """Where it ends in the stream, hang-over included, seconds."""
    arrived_at: float
    """`time.monotonic()` when its last sample arrived: from here on the speaker waits for the light."""
    ending: Ending
    """Why it is over."""


def most_probable(probabilities: Probabilities) -> str:
    """Return the most probable class; the first of those that are equally probable."""
    return max(probabilities, key=lambda label: probabilities[label])


@dataclass(frozen=True, eq=False)
class UtteranceFeatures:
    """What an adaptation to a voice needs of an utterance: a few dozen numbers, which contain no words."""

    features: "NDArray[np.float64]"
    """Features of the speaker variation, shape (n,)."""
    logits: "NDArray[np.float64]"
    """Logarithms of the probabilities without adaptation, shape (classes,)."""
    silent: bool = False
    """Whether the network was run without audio: nothing about a voice can be learnt from such an utterance."""


@dataclass(frozen=True)
class Preview:
    """What the network predicts of an utterance that goes on; the prediction when it is over may be another one."""

    label: str
    """The most probable class."""
    probabilities: Probabilities
    """Softmax per class, in the order of the model's labels."""
    text: str
    """The words so far, which may still change."""
    start_s: float
    """Where the utterance begins in the stream, pre-roll included, seconds."""
    end_s: float
    """Where the audio ends in the stream that was classified, seconds."""
    light: str | None = None
    """The class whose light is on until the utterance is over; None while none is certain enough."""


@dataclass(frozen=True)
class Prediction:
    """The result for one utterance."""

    time: datetime
    """When the prediction was made, with time zone."""
    label: str
    """The most probable class."""
    probabilities: Probabilities
    """Softmax per class, in the order of the model's labels; they add up to 1, also when the confidence is low."""
    text: str
    """Transcript of the utterance; empty if Vosk recognised no words."""
    utterance: Utterance
    """The utterance that was classified."""
    confident: bool = True
    """Whether `label` reaches the probability that the settings require of it (`confidence` under `[classifier]`)."""
    low_confidence_label: str | None = None
    """The class whose light shows a low-confidence prediction; None for no light."""
    image: "NDArray[np.float32] | None" = field(default=None, compare=False, repr=False)
    """Spectrogram image that the network classified, shape (height, width, 3), 0 to 1; None if it is not available."""
    raw_probabilities: Probabilities | None = None
    """Softmax of the network for this utterance alone, where `probabilities` also depend on the utterances before it
    (`context_s` under `[classifier]`); None where they do not."""
    audio_only: Probabilities | None = None
    """Probabilities for the same audio without words; None if there is no audio, or if they were not computed."""
    text_only: Probabilities | None = None
    """Probabilities for the same words without audio; None if there are no words, or if they were not computed."""
    adapted: bool = False
    """Whether the examples of a voice profile change the probabilities."""
    features: UtteranceFeatures | None = field(default=None, compare=False, repr=False)
    """What the network computed of the utterance, with which its class can be learnt; None if it is not available."""
    explain: Callable[[], tuple[Probabilities | None, Probabilities | None]] | None = field(
        default=None, compare=False, repr=False
    )
    """Computes `audio_only` and `text_only`; None once they are computed. See `explained`."""

    def explained(self) -> "Prediction":
        """Return this prediction with `audio_only` and `text_only`, for which the network may run twice.

        Only the thread that runs the pipeline may call it, and only after the light is on: no light waits for it.
        """
        if self.explain is None:
            return self
        audio_only, text_only = self.explain()
        return replace(self, audio_only=audio_only, text_only=text_only, explain=None)

    @property
    def light(self) -> str | None:
        """The class whose light this prediction switches on, where it changes the lights; None if all go dark."""
        return self.label if self.confident else self.low_confidence_label

    def ms_since_endpoint(self, now: float) -> float:
        """Milliseconds of work from the utterance's last sample to `now` (`time.monotonic()`)."""
        return 1000 * (now - self.utterance.arrived_at)

    def ms_since_speech(self, now: float) -> float:
        """Milliseconds from the last voiced audio to `now`: the hang-over and the work."""
        return self.ms_since_endpoint(now) + 1000 * (self.utterance.end_s - self.utterance.speech_end_s)
