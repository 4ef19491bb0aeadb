"""The protocol of every output: the one way in which predictions and the state of the microphone leave the daemon."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from device.audio.liveness import Liveness

# `service install` imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from device.events import Frame, Prediction, Preview


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

    def preview(self, preview: "Preview") -> None:
        """Show `preview.light` while someone speaks, until `prediction` or `microphone` is called.

        Called where that changes the light, and for a monitor that watches at each preview.
        """

    def show(self, label: str) -> None:
        """Show this class although nothing was predicted, such as to test the lights."""


class Monitor(Light, Protocol):
    """A light that also follows speech as it happens; nothing of that is computed while no monitor watches."""

    def corrected(self, label: str, *, lights_stay: bool = False, later: int = 0) -> None:
        """Show this class instead of that of the latest prediction; see `Light.corrected`.

        Args:
            label: the class.
            lights_stay: whether the lights stay as they are, because they show the state of the microphone, or a later
                prediction.
            later: number of predictions since the one that is corrected; 0 for the latest.
        """

    @property
    def watching(self) -> bool:
        """Whether `frame` and `speech` do anything now; read for every frame, so it must be quick."""

    @property
    def batch_size(self) -> int:
        """How many blocks of audio may be delivered together while it watches: fewer arrive earlier, and cost more."""

    @property
    def shows_previews(self) -> bool:
        """Whether the network runs for it more often than a light needs while someone speaks, which costs CPU time."""

    def prediction(self, prediction: "Prediction", lit_at: float, *, lights_stay: bool = False) -> None:
        """Pass on the prediction for an utterance; see `Output.prediction`.

        Args:
            prediction: the prediction, every one, also those that do not change the lights.
            lit_at: `time.monotonic()` when its light was on.
            lights_stay: whether the lights stay as they are; see `device.outputs.calm.Calm`.
        """

    def frame(self, frame: "Frame") -> None:
        """Show the level of a frame; called after everything that the frame causes, so that no light waits for it."""

    def speech(self, speech: "Speech") -> None:
        """Show an utterance that goes on; `prediction` follows when it is over, if there is one."""


class Speech(Protocol):
    """An utterance that goes on; the same object for all of it.

    All methods cost CPU time, and only the listening thread may call them.
    """

    def words(self) -> str:
        """Return the words so far, which may still change. Only for use within `Monitor.speech`."""

    def image(self) -> "NDArray[np.float32]":
        """Return the image that the network would classify if the utterance ended here, shape as `Prediction.image`."""

    def columns(self, first: int) -> "NDArray[np.float32]":
        """Return the columns of the mel spectrogram that are complete, from the index `first` on.

        Returns:
            Mel power, shape (n_mels, columns), lowest band first.
        """

    def power(self) -> "NDArray[np.float32]":
        """Return the mel spectrogram as if the utterance ended here; shape as for `columns`, which it begins with."""


@runtime_checkable
class Meter(Protocol):
    """An output that also follows how loud it is; nothing is computed for it unless `metered` is true."""

    @property
    def metered(self) -> bool:
        """Whether `level` does anything."""

    def level(self, dbfs: float) -> None:
        """Note the level of a frame, dB relative to full scale; called as `Output.prediction` is."""


@runtime_checkable
class Previewer(Protocol):
    """An output that also passes on what is predicted of an utterance that goes on, if `previewed` is true."""

    @property
    def previewed(self) -> bool:
        """Whether `preview` does anything."""

    def preview(self, preview: "Preview") -> None:
        """Pass on a preview; called as `Output.prediction` is."""
