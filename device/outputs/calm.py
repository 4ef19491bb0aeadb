"""Decides which predictions change the lights, so that these do not flicker between classes.

A prediction either switches the light of its class on, or leaves the lights as they are: then the light that is on
goes out at the time at which it would have gone out anyway, neither later, because its class was not predicted again,
nor earlier, because that would be the flicker that the settings are to prevent.
"""

import time
from collections import deque
from collections.abc import Callable

from device.events import Prediction
from device.settings.schema import LightsSettings

MEMORY_S = 30.0
"""Seconds without speech after which earlier predictions have no vote any more: it is another conversation."""


class Calm:
    """Follows the lights, for `cooldown_s` and `smooth` under `[lights]`.

    A light that comes on starts a cooldown, in which no light of another class comes on, and none goes out early. The
    light of its own class may go out after the hold time and come on again, which starts no other cooldown: otherwise
    two classes in turn would show the first of them only.

    Each prediction has a vote: for its class, or, if its confidence is low, for no class. With `smooth` = N, a
    prediction changes the lights if, with its own, N of the last 2 N - 1 votes are the same, which is more than half of
    them. A prediction of the class whose light is on always prolongs it, because that changes nothing.

    Args:
        settings: settings under `[lights]`.
        clock: monotonic time, seconds.
    """

    def __init__(self, settings: LightsSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._hold_s = settings.hold_s
        self._cooldown_s = settings.cooldown_s
        self._needed = settings.smooth
        self._clock = clock
        self._votes: deque[str | None] = deque(maxlen=2 * settings.smooth - 1)
        self._speech_end_s = 0.0
        self._light: str | None = None
        """The class whose light came on last; None before the first, and after the lights went dark."""
        self._lit_until = self._calm_until = -float("inf")

    @property
    def follows_previews(self) -> bool:
        """Whether lights may follow an utterance that goes on.

        Not with a cooldown, nor with votes: the prediction for the utterance decides, and within a cooldown it could
        not correct a light that came on too soon.
        """
        return self._cooldown_s == 0 and self._needed == 1

    def changes_lights(self, prediction: Prediction) -> bool:
        """Take the next prediction into account.

        Returns:
            Whether the lights now show `prediction.light` for the hold time, or go dark if it is None. If not, they
            stay as they are.
        """
        now = self._clock()
        if prediction.utterance.start_s - self._speech_end_s > MEMORY_S:
            self._votes.clear()
        self._speech_end_s = prediction.utterance.end_s
        vote = prediction.label if prediction.confident else None
        self._votes.append(vote)
        same = prediction.light is not None and prediction.light == self._light
        prolongs = same and now < self._lit_until
        if not prolongs and (self._votes.count(vote) < self._needed or (now < self._calm_until and not same)):
            return False
        self._show(prediction.light, now)
        return True

    def corrected(self, label: str) -> None:
        """The light of a class comes on because a person has named it. Earlier predictions have no vote any more."""
        now = self._clock()
        self._votes.clear()
        self._show(label, now)
        self._calm_until = now + self._cooldown_s  # its own, also if it was on, or came on in another cooldown

    def reset(self) -> None:
        """All lights are off, or show the state of the microphone: begin again."""
        self._votes.clear()
        self._light = None
        self._lit_until = self._calm_until = -float("inf")

    def _show(self, light: str | None, now: float) -> None:
        comes_on = light is not None and (light != self._light or now >= self._lit_until)
        if comes_on and now >= self._calm_until:
            self._calm_until = now + self._cooldown_s
        self._light = light
        self._lit_until = -float("inf") if light is None else now + self._hold_s
