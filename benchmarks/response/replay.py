"""Replays audio through the real pipeline, faster than real time, and reports when each thing happens in the audio.

    models = LoadedModels.load(Settings())
    for timed in replay(lambda _update: models.pipeline(), scene(clip).samples):
        print(timed.audio_s, timed.compute_ms, timed.prediction.label)

Times are seconds of audio: an event happens at the end of the frame that caused it. So they do not depend on the
machine; what it takes to compute is measured separately.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame, Prediction
from device.pipeline import Pipeline

Update = Callable[[str | None], None]
"""To be called with the class that would be lit now, None for no light; see `replay`."""
OnUpdate = Callable[[float, str | None], None]
"""Called with seconds of audio and the class, at each call of an `Update`."""


@dataclass(frozen=True, eq=False)
class TimedPrediction:
    """A final prediction, and when it came."""

    audio_s: float
    """End of the frame that caused it, seconds of audio."""
    compute_ms: float
    """Milliseconds of computing from that frame to the prediction."""
    prediction: Prediction

    @property
    def latency_s(self) -> float:
        """Seconds from the end of the last frame that the voice detector rated as speech to the prediction."""
        return self.since_s(self.prediction.utterance.speech_end_s)

    def since_s(self, sound_s: float) -> float:
        """Seconds from a moment in the audio to the prediction, computing included.

        Args:
            sound_s: the moment, such as `benchmarks.response.recordings.Scene.last_sound_s`, seconds of audio.
        """
        return self.audio_s - sound_s + self.compute_ms / 1000


class _Clock:
    """The time in the audio."""

    def __init__(self) -> None:
        self.audio_s = 0.0

    def frames(self, samples: NDArray[np.int16]) -> Iterator[Frame]:
        for number in range(len(samples) // FRAME_LENGTH):
            start = number * FRAME_LENGTH
            self.audio_s = (number + 1) * FRAME_SECONDS
            yield Frame(samples[start : start + FRAME_LENGTH], number * FRAME_SECONDS, time.monotonic())


def replay(
    build: Callable[[Update], Pipeline], samples: NDArray[np.int16], on_update: OnUpdate | None = None
) -> list[TimedPrediction]:
    """Replay audio, and return its final predictions in order.

    Args:
        build: makes the pipeline for this stream. It is called with a function which what shows lights before the end
            of an utterance may call, at any time while frames are processed.
        samples: shape (n,), mono, 16 kHz; a last piece that is shorter than a frame is left out.
        on_update: called at each of these calls, with the time in the audio.
    """
    clock = _Clock()

    def update(label: str | None) -> None:
        if on_update is not None:
            on_update(clock.audio_s, label)

    found = []
    for prediction in build(update).predictions(clock.frames(samples)):
        compute_ms = prediction.ms_since_endpoint(time.monotonic())
        found.append(TimedPrediction(clock.audio_s, compute_ms, prediction))
    return found
