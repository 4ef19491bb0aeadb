"""The protocol of every output: the one way in which predictions and the state of the microphone leave the daemon."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from device.audio.liveness import Liveness

# `service install` imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from device.events import Frame, Prediction


class Output(Protocol):
    """Where predictions go.

    All methods but `close` are called by the listening thread, which a light waits for: none of them may take long or
    wait for anything. An output that may block puts its work into an `Outbox`.
    """

    @property
    def name(self) -> str:
        """What messages about this output call it."""

    def open(self, labels: Sequence[str]) -> None:
        """Start; called once, before the microphone is opened.

        Args:
            labels: classes of the model.

        Raises:
            EdgeMcnnError: the output cannot work; this ends the daemon.
        """

    def prediction(self, prediction: "Prediction", lit_at: float) -> None:
        """Pass on the prediction for an utterance.

        Args:
            prediction: the prediction.
            lit_at: `time.monotonic()` when its light was on; for the light itself, when it was switched.
        """

    def microphone(self, liveness: Liveness) -> None:
        """Pass on that the state of the microphone has changed."""

    def close(self, limit_s: float) -> None:
        """Deliver what is waiting, as far as the limit in seconds allows, and release every resource.

        May be called from any thread, more than once, and before `open`.
        """


class Light(Output, Protocol):
    """An output that shows the class of a prediction for a while; `prediction` is called where that changes it."""

    def corrected(self, label: str) -> None:
        """Show this class instead of that of the latest prediction, because a person has named it."""


class Monitor(Light, Protocol):
    """A light that also follows speech as it happens; nothing of that is computed when there is no monitor."""

    def prediction(self, prediction: "Prediction", lit_at: float, *, lights_stay: bool = False) -> None:
        """Pass on the prediction for an utterance; see `Output.prediction`.

        Args:
            prediction: the prediction, every one, also those that do not change the lights.
            lit_at: `time.monotonic()` when its light was on.
            lights_stay: whether the lights stay as they are; see `device.outputs.calm.Calm`.
        """

    def frame(self, frame: "Frame") -> None:
        """Show the level of a frame; called after everything that the frame causes, so that no light waits for it."""

    def speech(self, words: Callable[[], str], image: "Callable[[], NDArray[np.float32]]") -> None:
        """Show an utterance that goes on; `prediction` follows when it is over.

        Args:
            words: returns the words so far, which may still change. It costs CPU time, as `image` does, and may only
                be called within this method.
            image: returns the spectrogram image that the network would classify if the utterance ended here; shape as
                `Prediction.image`.
        """
