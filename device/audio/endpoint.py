"""Where an utterance begins and ends in a stream of frames.

Frames are passed on while the person still speaks, so that the work on them is done by the time the endpoint falls.
What is speech, this module asks a detector; what is done with an utterance, it does not know.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from device.events import FRAME_SECONDS, Frame, Utterance
from device.settings.schema import EndpointSettings

_HYSTERESIS = 0.15
"""How much less sure the detector may be inside an utterance than at its start."""
_FORESEEN_S = 0.25
"""Before the end of a pause that will be the endpoint, unless someone speaks on; at most half of the pause.

Two blocks of sound: with less, blocks that come two at once bring the expected end and the true one in one go.
"""


class Detector(Protocol):
    """What tells speech from other sound: `device.audio.silero_vad.VoiceDetector`."""

    def probability(self, samples: NDArray[np.int16]) -> float:
        """Probability of speech, 0 to 1, in one frame of shape (512,), 16 kHz."""

    def reset(self) -> None:
        """Forget what was heard."""


@dataclass(frozen=True, eq=False)
class EndpointerUpdate:
    """What one more frame brought."""

    frames: tuple[Frame, ...] = ()
    """Frames of an utterance that were not passed on before, oldest first; at its start they include the pre-roll."""
    utterance: Utterance | None = None
    """The utterance that is over with these frames."""
    expected: bool = False
    """Whether the pause has lasted so long that the utterance is about to be over, if nobody speaks on."""


class Endpointer:
    """Finds utterances; one object listens to one stream."""

    def __init__(self, settings: EndpointSettings, detector: Detector) -> None:
        self._settings = settings
        self._detector = detector
        self._onset = max(1, round(settings.onset_s / FRAME_SECONDS))
        self._before: deque[Frame] = deque(maxlen=self._onset + round(settings.pre_roll_s / FRAME_SECONDS))
        self._voiced_run = 0
        self._start_s: float | None = None
        self._speech_end_s = 0.0
        self._last: Frame | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._start_s is not None

    def push(self, frame: Frame) -> EndpointerUpdate:
        """Take the next frame of the stream."""
        self._last = frame
        needed = self._settings.speech_probability - (_HYSTERESIS if self.speaking else 0)
        voiced = self._detector.probability(frame.samples) >= needed
        end_s = frame.start_s + FRAME_SECONDS
        if self._start_s is None:
            self._before.append(frame)
            self._voiced_run = self._voiced_run + 1 if voiced else 0
            if self._voiced_run < self._onset:
                return EndpointerUpdate()
            frames = tuple(self._before)
            self._start_s, self._speech_end_s = frames[0].start_s, end_s
            return EndpointerUpdate(frames)
        if voiced:
            self._speech_end_s = end_s
        # Half a frame of tolerance: the times are sums of fractions.
        pause_s = end_s - self._speech_end_s + FRAME_SECONDS / 2
        if pause_s > self._settings.hang_over_s:
            return EndpointerUpdate((frame,), self._end(self._start_s, frame, "silence"))
        if end_s - self._start_s > self._settings.longest_s - FRAME_SECONDS / 2:
            return EndpointerUpdate((frame,), self._end(self._start_s, frame, "longest"))
        hang_over_s = self._settings.hang_over_s
        return EndpointerUpdate((frame,), expected=pause_s > hang_over_s - min(_FORESEEN_S, hang_over_s / 2))

    def finish(self) -> EndpointerUpdate:
        """The stream is over: what is still open ends here."""
        if self._last is None or self._start_s is None:
            return EndpointerUpdate()
        return EndpointerUpdate((), self._end(self._start_s, self._last, "end_of_stream"))

    def _end(self, start_s: float, last: Frame, ending: Literal["silence", "longest", "end_of_stream"]) -> Utterance:
        utterance = Utterance(start_s, self._speech_end_s, last.start_s + FRAME_SECONDS, last.arrived_at, ending)
        self._start_s = None
        self._voiced_run = 0
        self._before.clear()  # these frames are in the utterance that just ended
        if ending != "longest":  # someone speaks on: the detector's memory of the voice is still right
            self._detector.reset()
        return utterance
