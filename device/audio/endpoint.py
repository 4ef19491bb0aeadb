"""Where an utterance begins and ends in a stream of frames.

Frames are passed on while the person still speaks, so that the work on them is done by the time the utterance ends. A
detector decides what is speech; this module is independent of what is done with an utterance.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.events import BLOCK_SECONDS, FRAME_SECONDS, Ending, Frame, Utterance
from device.settings.schema import EndpointSettings

_HYSTERESIS = 0.15
"""Subtracted from the required probability of speech inside an utterance."""
_EXPECTED_S = 0.25
"""Seconds before the end of a pause from which on the end of the utterance is expected; at most half of the pause.

Two blocks of audio: with less, blocks that arrive in pairs bring the expected end and the end itself at once.
"""
_DECIDED_S = 0.13
"""Seconds before the end of the shortest pause at which it is decided whether a pause may be that short; at most half.

More than a block of audio, so that the result is computed before the block arrives in which the pause ends. Not more,
since the last word is often transcribed only a quarter of a second after its end, and people speak on in most pauses.
"""
_LONG_PAUSE_S = 0.25
"""Length of a pause in an utterance from which on its next pauses are not shortened: someone speaks slowly."""
_LARGEST_BATCH = 4
"""Blocks that are delivered together at most (512 ms)."""
_LEAST_SPEECH_S = 0.35
"""Seconds of speech without which no pause is shortened: after "well" or "um" people often speak on.

It also keeps the batches of a quiet room as large as they are with a fixed pause, see `_largest_harmless_batch`.
"""


class SpeechDetector(Protocol):
    """Distinguishes speech from other sounds: `device.audio.silero_vad.VoiceDetector`."""

    def probability(self, samples: NDArray[np.int16]) -> float:
        """Return the probability of speech, 0 to 1, in one frame of shape (512,), 16 kHz."""

    def reset(self) -> None:
        """Forget earlier frames."""


SoundsLikeEnd = Callable[[float], bool]
"""Whether speech that ended at this time, seconds in the stream, sounds complete; see `Endpointer.push`."""


@dataclass(frozen=True, eq=False)
class EndpointerUpdate:
    """What one more frame changed."""

    frames: tuple[Frame, ...] = ()
    """Frames of an utterance that were not passed on before, oldest first; at its start they include the pre-roll."""
    utterance: Utterance | None = None
    """The utterance that is over with these frames; None while there is none or it goes on."""
    expected: bool = False
    """Whether the pause has lasted so long that the end of the utterance is expected, unless someone speaks on."""
    pause_s: float = 0.0
    """Seconds since the last voiced frame of an utterance that goes on; 0 while someone speaks."""


class Endpointer:
    """Finds utterances in one stream; a new stream needs a new object.

    Args:
        settings: the times that define an utterance, and the probability of speech that begins one.
        detector: rates each frame.
    """

    def __init__(self, settings: EndpointSettings, detector: SpeechDetector) -> None:
        self._settings = settings
        self._detector = detector
        self._shortest_s = settings.hang_over_s - min(settings.earlier_end_s, settings.hang_over_s / 2)
        self._decided_after_s = self._shortest_s - min(_DECIDED_S, self._shortest_s / 2)
        self._onset = max(1, round(settings.onset_s / FRAME_SECONDS))
        self._before: deque[Frame] = deque(maxlen=self._onset + round(settings.pre_roll_s / FRAME_SECONDS))
        self._idle_batch_size = self._largest_harmless_batch()
        self._voiced_run = 0
        self._start_s: float | None = None
        self._onset_s = self._speech_end_s = 0.0
        self._longest_pause_s = 0.0
        self._hang_over_s: float | None = None
        self._last: Frame | None = None

    @property
    def judged_frames(self) -> int:
        """Frames of a pause, at most, that were passed on when `sounds_like_end` is called."""
        return math.ceil(self._decided_after_s / FRAME_SECONDS)

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._start_s is not None

    @property
    def batch_size(self) -> int:
        """How many blocks of the microphone may be delivered together now without making any prediction later.

        It is 1 from the first voiced frame, which may begin an utterance, until the utterance is over. In between more
        blocks may be delivered together, which saves wake-ups; how many depends on how soon the end of an utterance can
        be expected that begins in such a batch.
        """
        return 1 if self.speaking or self._voiced_run else self._idle_batch_size

    def push(self, frame: Frame, sounds_like_end: SoundsLikeEnd | None = None) -> EndpointerUpdate:
        """Process the next frame of the stream.

        Args:
            frame: the frame.
            sounds_like_end: called at most once in each pause, with the frames before this one passed on. Where it
                returns True the pause may be shorter by `earlier_end_s`. Without it every pause must be the longest.
        """
        self._last = frame
        required = self._settings.speech_probability - (_HYSTERESIS if self.speaking else 0)
        voiced = self._detector.probability(frame.samples) >= required
        end_s = frame.start_s + FRAME_SECONDS
        if self._start_s is None:
            self._before.append(frame)
            self._voiced_run = self._voiced_run + 1 if voiced else 0
            if self._voiced_run < self._onset:
                return EndpointerUpdate()
            frames = tuple(self._before)
            self._start_s, self._speech_end_s = frames[0].start_s, end_s
            self._onset_s, self._longest_pause_s = end_s - self._onset * FRAME_SECONDS, 0.0
            return EndpointerUpdate(frames)
        if voiced:
            self._longest_pause_s = max(self._longest_pause_s, frame.start_s - self._speech_end_s)
            self._speech_end_s, self._hang_over_s = end_s, None
        # Half a frame of tolerance: the times are sums of fractions.
        pause_s = end_s - self._speech_end_s + FRAME_SECONDS / 2
        hang_over_s = self._required_pause(pause_s, sounds_like_end)
        if pause_s > hang_over_s:
            return EndpointerUpdate((frame,), self._end(self._start_s, frame, "silence"))
        if end_s - self._start_s > self._settings.longest_s - FRAME_SECONDS / 2:
            return EndpointerUpdate((frame,), self._end(self._start_s, frame, "longest"))
        expected = pause_s > _expected_after(hang_over_s)
        return EndpointerUpdate((frame,), expected=expected, pause_s=end_s - self._speech_end_s)

    def require_longest_pause(self) -> None:
        """Let the utterance end only after a pause of `hang_over_s`, if it is in a pause that may be shorter."""
        if self._hang_over_s is not None:
            self._hang_over_s = self._settings.hang_over_s

    def finish(self) -> EndpointerUpdate:
        """End the stream, and with it an utterance that is still open."""
        if self._last is None or self._start_s is None:
            return EndpointerUpdate()
        return EndpointerUpdate((), self._end(self._start_s, self._last, "end_of_stream"))

    def _required_pause(self, pause_s: float, sounds_like_end: SoundsLikeEnd | None) -> float:
        """How long this pause must be to end the utterance, seconds; decided shortly before the shortest would end."""
        longest_s = self._settings.hang_over_s
        if self._hang_over_s is None and pause_s > self._decided_after_s:
            self._hang_over_s = longest_s
            speech_s = self._speech_end_s - self._onset_s + FRAME_SECONDS / 2
            may_be_shorter = speech_s > _LEAST_SPEECH_S and self._longest_pause_s < _LONG_PAUSE_S
            if sounds_like_end is not None and self._shortest_s < longest_s and may_be_shorter:
                self._hang_over_s = self._shortest_s if sounds_like_end(self._speech_end_s) else longest_s
        return longest_s if self._hang_over_s is None else self._hang_over_s

    def _end(self, start_s: float, last: Frame, ending: Ending) -> Utterance:
        utterance = Utterance(start_s, self._speech_end_s, last.start_s + FRAME_SECONDS, last.arrived_at, ending)
        self._start_s = None
        self._voiced_run = 0
        self._hang_over_s = None
        self._before.clear()  # these frames are in the utterance that just ended
        if ending != "longest":  # after a cut someone speaks on: what the detector remembers of the voice still holds
            self._detector.reset()
        return utterance

    def _largest_harmless_batch(self) -> int:
        """The largest batch that delays neither the expected end nor the end of an utterance that begins in it.

        The worst case begins with the first frame of the batch, which the batch's first sample may complete. The work
        for a prediction starts at the expected end, `frames` later, or at the cut of an utterance that is too long. A
        batch that is delivered with the block in which that moment falls delays nothing. The end of a pause that may be
        shorter is no worse case: more speech than the first blocks of a batch hold comes before it.
        """
        to_expected_end = _frames(_expected_after(self._settings.hang_over_s))
        to_cut = max(1, _frames(self._settings.longest_s) - (self._before.maxlen or 0))
        frames = self._onset - 1 + min(to_expected_end, to_cut)
        return min(_LARGEST_BATCH, int(frames * FRAME_SECONDS / BLOCK_SECONDS) + 1)


def _expected_after(hang_over_s: float) -> float:
    """The length of a pause from which on its end is expected, seconds."""
    return hang_over_s - min(_EXPECTED_S, hang_over_s / 2)


def _frames(seconds: float) -> int:
    """The first number of frames that is longer than `seconds` with the tolerance of `Endpointer.push`."""
    return max(1, math.ceil(seconds / FRAME_SECONDS - 0.5 - 1e-6))
