"""Passes predictions on to every output, the light first.

The light is the purpose of the device: when it fails, so does the daemon, and a service starts again. Any other output
that fails is left out, and delays no other.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from device.audio.liveness import Liveness
from device.errors import EdgeMcnnError, LightsError
from device.outputs.base import Light, Monitor, Output
from device.outputs.calm import Calm
from device.settings.schema import LightsSettings
from device.system.display import displayable

# `service install` imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from device.events import Frame, Prediction

_LOG = logging.getLogger(__name__)
_GRACE_S = 0.15
"""Shortest time that an output has to close, and the time that it has after its limit to kill what it waits for."""


class Outputs:
    """All outputs of a daemon.

    Args:
        light: switched before anything else happens with a prediction; None where no light is driven.
        monitor: follows speech as it happens; None if no output does.
        others: every other output, in the order in which they get a prediction.
        calm: decides which predictions change the lights; None if each does.
    """

    def __init__(
        self,
        light: Light | None = None,
        monitor: Monitor | None = None,
        others: Sequence[Output] = (),
        calm: Calm | None = None,
    ) -> None:
        self._calm = Calm(LightsSettings()) if calm is None else calm
        self._light = None if light is None else _Light(light)
        self._monitor = None if monitor is None else _GuardedMonitor(monitor)
        self._others = [_Guarded(output) for output in others]

    @property
    def monitor(self) -> Monitor | None:
        """The output that follows speech as it happens."""
        return self._monitor

    def open(self, labels: Sequence[str]) -> None:
        """Open every output for the classes of the model.

        Raises:
            EdgeMcnnError: one of them cannot work, or the light fails.
        """
        for output in self._all():
            output.open(labels)

    def prediction(self, prediction: "Prediction") -> float:
        """Switch the light, then explain the prediction and pass it on to every other output, if there is any.

        Returns:
            `time.monotonic()` when the light was on, or when it was clear that the lights stay as they are.

        Raises:
            EdgeMcnnError: the light fails.
        """
        lights_stay = not self._calm.changes_lights(prediction)
        if self._light is not None and not lights_stay:
            self._light.prediction(prediction, time.monotonic())
        lit_at = time.monotonic()
        if self._monitor is not None or self._others:
            prediction = prediction.explained()
        if self._monitor is not None:
            self._monitor.prediction(prediction, lit_at, lights_stay=lights_stay)
        for output in self._others:
            output.prediction(prediction, lit_at)
        return lit_at

    def corrected(self, label: str) -> None:
        """Show the right class of the latest prediction, which a person has named.

        Raises:
            EdgeMcnnError: the light fails.
        """
        self._calm.corrected(label)
        for output in (self._light, self._monitor):
            if output is not None:
                output.corrected(label)

    def microphone(self, liveness: Liveness) -> None:
        """Pass on that the state of the microphone has changed.

        Raises:
            EdgeMcnnError: the light fails.
        """
        self._calm.reset()
        for output in self._all():
            output.microphone(liveness)

    def close(self, limit_s: float) -> None:
        """Close every output, all at the same time, so that one that hangs takes no time from the others.

        The monitor comes last: what the others report while they close is shown on it.

        Args:
            limit_s: seconds after which an output that still hangs is left behind.
        """
        end = time.monotonic() + limit_s
        _close_together([output for output in self._all() if output is not self._monitor], limit_s)
        if self._monitor is not None:
            _close_together([self._monitor], end - time.monotonic())

    def _all(self) -> "list[_Guarded]":
        return [output for output in (self._light, self._monitor, *self._others) if output is not None]


class _Guarded:
    """An output whose first exception is logged, and which is only closed after that."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._failed = False

    @property
    def name(self) -> str:
        return self._output.name

    def open(self, labels: Sequence[str]) -> None:
        try:
            self._output.open(labels)
        except EdgeMcnnError:
            raise
        except Exception as error:  # noqa: BLE001  # any error of an output must not end the others
            self._fail(error)

    def prediction(self, prediction: "Prediction", lit_at: float) -> None:
        self._call(lambda: self._output.prediction(prediction, lit_at))

    def microphone(self, liveness: Liveness) -> None:
        self._call(lambda: self._output.microphone(liveness))

    def close(self, limit_s: float) -> None:
        try:
            self._output.close(limit_s)
        except Exception as error:  # noqa: BLE001  # see `open`
            self._leave_out(error)

    def _call(self, function: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            function()
        except Exception as error:  # noqa: BLE001  # see `open`
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._leave_out(error)

    def _leave_out(self, error: Exception) -> None:
        if self._failed:
            return
        self._failed = True
        _LOG.warning(
            "%s: failed and is left out from now on (%s); %s",
            self.name,
            error.message if isinstance(error, EdgeMcnnError) else _described(error),
            getattr(error, "fix", "") or "restart edge-mcnn, and run edge-mcnn doctor if it happens again",
            exc_info=_LOG.isEnabledFor(logging.INFO),  # the traceback with --verbose alone
        )


class _Light(_Guarded):
    """The light, whose first exception is raised as an error of ours."""

    def __init__(self, light: Light) -> None:
        super().__init__(light)
        self._to = light

    def corrected(self, label: str) -> None:
        self._call(lambda: self._to.corrected(label))

    def _fail(self, error: Exception) -> None:
        self._failed = True
        if isinstance(error, EdgeMcnnError):
            raise error
        raise LightsError(
            f"{self.name}: failed ({_described(error)})",
            fix="check the wiring with `edge-mcnn lights test`, and run edge-mcnn doctor",
        ) from error


class _GuardedMonitor(_Guarded):
    """The same for a monitor."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(monitor)
        self._to = monitor

    def prediction(self, prediction: "Prediction", lit_at: float, *, lights_stay: bool = False) -> None:
        self._call(lambda: self._to.prediction(prediction, lit_at, lights_stay=lights_stay))

    def corrected(self, label: str) -> None:
        self._call(lambda: self._to.corrected(label))

    def frame(self, frame: "Frame") -> None:
        self._call(lambda: self._to.frame(frame))

    def speech(self, words: Callable[[], str], image: "Callable[[], NDArray[np.float32]]") -> None:
        self._call(lambda: self._to.speech(words, image))


def _described(error: Exception) -> str:
    return displayable(" ".join(f"{type(error).__name__}: {error}".split()))


def _close_together(outputs: Sequence[_Guarded], limit_s: float) -> None:
    limit_s = max(limit_s, _GRACE_S)
    threads = [threading.Thread(target=each.close, args=(limit_s,), name=each.name, daemon=True) for each in outputs]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit_s + _GRACE_S
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0.0))
