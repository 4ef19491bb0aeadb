"""Requests to correct the latest prediction, as outputs receive them: keys of a terminal, messages of a broker."""

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from device.errors import ProfileError
from device.system.display import counted, displayable

# `service install` imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    from device.adaptation.adapted_classifier import Learnt

Correct = Callable[[str], "Learnt"]
"""Learns that the latest prediction should have been this class; may take a second, and may be called by any thread.

Raises:
    ProfileError: there is no such class, nothing was predicted yet, or the profile cannot be used or written.
"""
_MOST_WAITING = 10


class CorrectionRequests:
    """Corrects predictions in its own thread, one after the other, so that no caller waits.

    Args:
        name: name of the thread.
        correct: learns the class of the latest prediction.
        learnt: called in that thread with each class that was learnt, and what came of it.
        failed: called in that thread with each error.
    """

    def __init__(
        self,
        name: str,
        correct: Correct,
        learnt: "Callable[[str, Learnt], object]",
        failed: Callable[[ProfileError], object],
    ) -> None:
        self._name = name
        self._correct = correct
        self._learnt = learnt
        self._failed = failed
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._runs = False

    def put(self, label: str) -> None:
        """Request a correction. Does not wait; while too many requests wait, it is dropped."""
        with self._lock:
            if len(self._waiting) == _MOST_WAITING:
                return
            self._waiting.append(label)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        try:
            while (label := self._next()) is not None:
                try:
                    learnt = self._correct(label)
                except ProfileError as error:
                    self._failed(error)
                else:
                    self._learnt(label, learnt)
        except BaseException:
            with self._lock:
                self._runs = False  # the next request starts another thread
            raise

    def _next(self) -> str | None:
        with self._lock:
            self._runs = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None


def outcome(label: str, learnt: "Learnt") -> str:
    """Return a line about what came of a correction."""
    used = "used" if learnt.used else "not used yet"
    return f"learnt: that was {displayable(label)} ({counted(learnt.examples, 'example')}, {used})"
