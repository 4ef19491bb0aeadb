"""Decides when an utterance that goes on is classified, and when its class is certain enough for a light.

The constants were chosen on recordings of RAVDESS's actors 1 to 10 and on synthetic voices with train texts of MELD;
`python -m benchmarks.response.preview` measures them on others.
"""

from collections.abc import Callable, Mapping

from device.events import FRAME_SECONDS, Probabilities, most_probable

_LOOK_S = 0.128
"""Seconds of audio between two looks at the words while someone speaks: a block of the microphone."""
_LONGEST_S = 0.5
"""Seconds of audio after which the network is run although there is no new word."""
_PAUSES_S = (0.064, 0.096, 0.192, 0.288)
"""Lengths of a pause, seconds, at which the network is run: the last words become complete in it.

The first is longer than most closures within words.
"""
_LEAST_S, _LEAST_BEFORE_PAUSE_S = 1.3, 0.5
"""Seconds of an utterance, pre-roll included, before which no light comes on: while someone speaks, and in a pause."""
_LEAD, _LEAD_IN_PAUSE = 0.6, 0.2
"""How much more probable than any other class the first one must be, likewise."""
_IN_A_ROW = 2
"""Number of queries with the same class that are needed while someone speaks."""
_HALF_FRAME_S = FRAME_SECONDS / 2
"""Tolerance: the times are sums of fractions."""


class PreviewSchedule:
    """Decides, frame by frame, whether the network is run for an utterance that goes on; one object per utterance."""

    def __init__(self) -> None:
        self._audio_s = self._looked_s = self._queried_s = self._pause_s = 0.0
        self._text = ""

    def due(self, pause_s: float, words: Callable[[], str]) -> str | None:
        """Take the next frame into account.

        Args:
            pause_s: seconds since the last voiced frame; 0 in a voiced one.
            words: returns the words so far; called only when they are needed, because that costs time.

        Returns:
            The words with which the network is to be run now; None if it is not.
        """
        self._audio_s += FRAME_SECONDS
        due = any(self._pause_s < each - _HALF_FRAME_S <= pause_s for each in _PAUSES_S)
        self._pause_s = pause_s
        if not due and self._audio_s - self._looked_s < _LOOK_S - _HALF_FRAME_S:
            return None
        self._looked_s = self._audio_s
        text = words()
        if not due and text == self._text and self._audio_s - self._queried_s < _LONGEST_S - _HALF_FRAME_S:
            return None
        self._text, self._queried_s = text, self._audio_s
        return text


class PreviewLight:
    """The class whose light is on while someone speaks; one object per utterance.

    The first class gets its light when it leads clearly. After that only a pause that is expected to end the utterance
    changes it: in between, more words would often change it back.
    """

    def __init__(self) -> None:
        self.label: str | None = None
        """The class; None as long as none was certain enough."""
        self._latest: str | None = None
        self._in_a_row = 0

    def update(
        self, probabilities: Probabilities, required: Mapping[str, float], *, seconds: float, pause_s: float
    ) -> None:
        """Take the result of a query into account.

        Args:
            probabilities: probability of each class.
            required: probability by class below which its light does not come on; 0 for a class that is missing.
            seconds: length of the utterance so far.
            pause_s: seconds since the last voiced frame; 0 in a voiced one.
        """
        label = most_probable(probabilities)
        self._in_a_row = self._in_a_row + 1 if label == self._latest else 1
        self._latest = label
        if self.label is not None or probabilities[label] < required.get(label, 0.0):
            return
        lead = probabilities[label] - max(
            (value for other, value in probabilities.items() if other != label), default=0
        )
        if _is_pause(pause_s):
            certain = seconds >= _LEAST_BEFORE_PAUSE_S and lead >= _LEAD_IN_PAUSE
        else:
            certain = seconds >= _LEAST_S and lead >= _LEAD and self._in_a_row >= _IN_A_ROW
        if certain:
            self.label = label

    def settle(self, probabilities: Probabilities, required: Mapping[str, float]) -> None:
        """Take the result for the complete utterance into account, when its end is expected; arguments as above."""
        label = most_probable(probabilities)
        if probabilities[label] >= required.get(label, 0.0):
            self.label = label

    def undecided(self, *, seconds: float, pause_s: float) -> bool:
        """Whether a query now may let a light come on, at once or together with the next one; arguments as above.

        Where nothing but the light is shown, no other query is needed.
        """
        least = _LEAST_BEFORE_PAUSE_S if _is_pause(pause_s) else _LEAST_S - _LONGEST_S
        return self.label is None and seconds >= least


def _is_pause(pause_s: float) -> bool:
    return pause_s > _PAUSES_S[0] - _HALF_FRAME_S
