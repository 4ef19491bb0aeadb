"""Patterns of light: how bright each pin of some LEDs is, and one pattern after the other for a time each."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

Pattern = tuple[float, ...]
"""Light of each pin, 0 to 1, as the eye sees it."""
Step = tuple[Pattern, float | None]
"""A pattern, and seconds for which it stays; None for as long as nothing else is asked for."""

_GAMMA = 2.2


def duty(pattern: Pattern) -> Pattern:
    """Share of the time that each pin is on, 0 to 1: half the time looks like three quarters of the light (sRGB)."""
    return tuple(light**_GAMMA for light in pattern)


class Player:
    """Plays patterns on LEDs: the first at once, the others in a thread of its own.

    Args:
        leds: what gpiozero gives for some LEDs: its `value` is a tuple with the duty of each.
    """

    def __init__(self, leds: Any) -> None:
        self._leds = leds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def play(self, steps: Iterable[Step]) -> None:
        """Play these and leave the LEDs dark after the last; what was played before is over. Does not wait."""
        self._end()
        left = iter(steps)
        pattern, seconds = next(left)
        self._leds.value = duty(pattern)
        self._stopping = threading.Event()
        # A daemon: one that hangs in the driver keeps no process alive.
        self._thread = threading.Thread(
            target=self._go_on, args=(left, seconds, self._stopping), name="lights", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """All dark."""
        self._end()
        self._leds.off()

    def _end(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self, left: Iterator[Step], seconds: float | None, stopping: threading.Event) -> None:
        for pattern, following in left:
            if stopping.wait(seconds):
                return
            self._leds.value = duty(pattern)
            seconds = following
        if not stopping.wait(seconds):
            self._leds.off()
