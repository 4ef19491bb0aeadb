"""What can be watched while the daemon listens, and in which order it is told; what is done with it, nobody here knows.

Where nobody watches, nothing of it is computed.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.audio.liveness import Liveness
from device.events import Frame, Prediction


class Observer(Protocol):
    """Is told by the thread that listens, which a light waits for: no call may take long, or wait for anything."""

    def microphone(self, liveness: Liveness, name: str, rate: int) -> None:
        """How the microphone is has changed; its name and rate in Hz, empty and 0 where none is open."""

    def frame(self, frame: Frame) -> None:
        """A frame was heard, and all that it brings is done."""

    def speech(self, words: Callable[[], str], picture: Callable[[], NDArray[np.float32]]) -> None:
        """Someone speaks on, and `answer` will follow.

        Args:
            words: gives those so far, which may still change; costs CPU time, as `picture` does. To be called within
                this call alone.
            picture: gives what the network would see if the utterance ended here, shape as `Prediction.image`.
        """

    def answer(self, prediction: Prediction) -> None:
        """An utterance is answered, and its light is on."""

    def close(self) -> None:
        """The end: give back what was taken. May be called more than once."""


class Trouble(StrEnum):
    """Something that is wrong for a while."""

    LOST = "lost"
    """There is no microphone, or it gives nothing."""
    SILENT = "silent"
    """It gives nothing but zeros."""
