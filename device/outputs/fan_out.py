"""Passes predictions on to every output, the light first.

The light is the purpose of the device: when it fails, so does the daemon, and a service starts again. Any other output
that fails is left out, and delays no other.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from device.audio.liveness import Liveness, State
from device.errors import EdgeMcnnError, LightsError
from device.outputs.base import Light, Meter, Monitor, Output, Previewer, Speech
from device.outputs.calm import Calm
from device.settings.schema import LightsSettings
from device.system.display import displayable

# `service install` imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    from device.events import Frame, Prediction, Preview

_LOG = logging.getLogger(__name__)
_GRACE_S = 0.15
"""Shortest time that an output has to close, and the time that it has after its limit to kill what it waits for."""


class Outputs:
    """All outputs of a daemon.

    Args:
        light: switched before anything else happens with a prediction; None where no light is driven.
        monitors: outputs that follow speech as it happens.
        others: every other output, in the order in which they get a prediction.
        calm: decides which predictions change the lights; None if each does.
        previews: whether lights follow while someone speaks.
        muted: returns whether the microphone is muted, or about to be; read for each frame, so it must be quick.
    """

    def __init__(
        self,
        light: Light | None = None,
        monitors: Sequence[Monitor] = (),
        others: Sequence[Output] = (),
        calm: Calm | None = None,
        *,
        previews: bool = True,
        muted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._calm = Calm(LightsSettings()) if calm is None else calm
        self._light = None if light is None else _Light(light)
        self._monitors = [_GuardedMonitor(monitor) for monitor in monitors]
        self._others = [_guarded(output) for output in others]
        self._meters = [each for each in self._others if isinstance(each, _GuardedMeter)]
        self._previewers = [each for each in self._others if isinstance(each, _GuardedPreviewer)]
        self._lights_follow = previews and self._calm.follows_previews
        self._muted = muted
        self._microphone_shown = False
        """Whether the lights show the state of the microphone."""
        self._previewed: str | None = None
        """The class that a preview of the present utterance has lit."""

    @property
    def watching(self) -> bool:
        """Whether any output follows speech now; see `Monitor.watching`."""
        return any(monitor.watching for monitor in self._monitors)

    @property
    def batch_size(self) -> int | None:
        """How many blocks of audio may be delivered together for those that watch; None if none does."""
        return min((monitor.batch_size for monitor in self._monitors if monitor.watching), default=None)

    def frame(self, frame: "Frame") -> None:
        """Pass a frame on to the outputs that follow speech now; see `Monitor.frame`."""
        for monitor in self._monitors:
            if monitor.watching:
                monitor.frame(frame)

    def speech(self, speech: Speech) -> None:
        """Pass an utterance that goes on to the outputs that follow speech now; see `Monitor.speech`."""
        for monitor in self._monitors:
            if monitor.watching:
                monitor.speech(speech)

    @property
    def previewing(self) -> bool:
        """Whether anything shows what is predicted of an utterance that goes on.

        Not while the microphone is muted, or the lights show its state: that is what they are for then.
        """
        if self._microphone_shown or self._muted():
            return False
        return bool(self._previewers) or (self._lights_follow and (self._light is not None or self.watching))

    @property
    def shows_previews(self) -> bool:
        """Whether anything shows each preview, and not only the light that one may change."""
        return bool(self._previewers) or any(each.watching and each.shows_previews for each in self._monitors)

    def preview(self, preview: "Preview") -> None:
        """Let the lights follow an utterance that goes on, and pass it on to the outputs that show that.

        Raises:
            EdgeMcnnError: the light fails.
        """
        if not self.previewing:  # any more
            return
        if not self._lights_follow:
            preview = replace(preview, light=None)
        if self._light is not None and preview.light not in (None, self._previewed):
            self._light.preview(preview)
        self._previewed = preview.light
        for monitor in self._monitors if self._lights_follow else ():
            if monitor.watching:
                monitor.preview(preview)
        for output in self._previewers:
            output.preview(preview)

    @property
    def meter(self) -> Callable[[float], None] | None:
        """Passes the level of a frame, dB relative to full scale, to the outputs that follow it; None without any."""
        return self._level if self._meters else None

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
        self._previewed = None
        lights_stay = not self._calm.changes_lights(prediction)
        if self._light is not None and not lights_stay:
            self._light.prediction(prediction, time.monotonic())
        lit_at = time.monotonic()
        if self._others or self.watching:
            prediction = prediction.explained()
        for monitor in self._monitors:
            monitor.prediction(prediction, lit_at, lights_stay=lights_stay)
        for output in self._others:
            output.prediction(prediction, lit_at)
        return lit_at

    def corrected(self, label: str, *, lights_stay: bool = False, later: int = 0) -> None:
        """Show the right class of the latest prediction, which a person has named.

        Args:
            label: the class.
            lights_stay: whether the lights stay as they are, because they show the state of the microphone.
            later: number of predictions since the corrected one; if there are any, the lights stay as they are, too.

        Raises:
            EdgeMcnnError: the light fails.
        """
        lights_stay = lights_stay or later > 0
        if not lights_stay:
            self._calm.corrected(label)
            if self._light is not None:
                self._light.corrected(label)
        for monitor in self._monitors:
            monitor.corrected(label, lights_stay=lights_stay, later=later)

    def show(self, label: str) -> None:
        """Show the light of a class although nothing was predicted.

        Raises:
            EdgeMcnnError: the light fails.
        """
        self._calm.corrected(label)
        for output in self._lights():
            output.show(label)

    def microphone(self, liveness: Liveness) -> None:
        """Pass on that the state of the microphone has changed.

        Raises:
            EdgeMcnnError: the light fails.
        """
        self._calm.reset()
        self._microphone_shown, self._previewed = liveness.state != State.HEALTHY, None
        for output in self._all():
            output.microphone(liveness)

    def close(self, limit_s: float) -> None:
        """Close every output, all at the same time, so that one that hangs takes no time from the others.

        Monitors come last: what the others report while they close is shown on the screen.

        Args:
            limit_s: seconds after which an output that still hangs is left behind.
        """
        end = time.monotonic() + limit_s
        _close_together([output for output in self._all() if output not in self._monitors], limit_s)
        _close_together(self._monitors, end - time.monotonic())

    def _level(self, dbfs: float) -> None:
        for each in self._meters:
            each.level(dbfs)

    def _lights(self) -> "list[_GuardedLight]":
        return [*([] if self._light is None else [self._light]), *self._monitors]

    def _all(self) -> "list[_Guarded]":
        return [*self._lights(), *self._others]


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


class _GuardedLight(_Guarded):
    """The same for a light."""

    def __init__(self, light: Light) -> None:
        super().__init__(light)
        self._as_light = light

    def corrected(self, label: str) -> None:
        self._call(lambda: self._as_light.corrected(label))

    def preview(self, preview: "Preview") -> None:
        self._call(lambda: self._as_light.preview(preview))

    def show(self, label: str) -> None:
        self._call(lambda: self._as_light.show(label))


class _Light(_GuardedLight):
    """The light, whose first exception is raised as an error of ours."""

    def _fail(self, error: Exception) -> None:
        self._failed = True
        if isinstance(error, EdgeMcnnError):
            raise error
        raise LightsError(
            f"{self.name}: failed ({_described(error)})",
            fix="check the wiring with `edge-mcnn lights test`, and run edge-mcnn doctor",
        ) from error


class _GuardedMonitor(_GuardedLight):
    """The same for a monitor, which does not watch any more once it has failed."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(monitor)
        self._to = monitor

    def prediction(self, prediction: "Prediction", lit_at: float, *, lights_stay: bool = False) -> None:
        self._call(lambda: self._to.prediction(prediction, lit_at, lights_stay=lights_stay))

    def corrected(self, label: str, *, lights_stay: bool = False, later: int = 0) -> None:
        self._call(lambda: self._to.corrected(label, lights_stay=lights_stay, later=later))

    @property
    def watching(self) -> bool:
        return not self._failed and self._to.watching

    @property
    def batch_size(self) -> int:
        return self._to.batch_size

    @property
    def shows_previews(self) -> bool:
        return self._to.shows_previews

    def frame(self, frame: "Frame") -> None:
        self._call(lambda: self._to.frame(frame))

    def speech(self, speech: Speech) -> None:
        self._call(lambda: self._to.speech(speech))


class _GuardedMeter(_Guarded):
    """The same for an output that follows the level."""

    def __init__(self, output: Output, meter: Meter) -> None:
        super().__init__(output)
        self._meter = meter

    def level(self, dbfs: float) -> None:
        self._call(lambda: self._meter.level(dbfs))


class _GuardedPreviewer(_Guarded):
    """The same for an output that also passes on previews."""

    def __init__(self, output: Output, previewer: Previewer) -> None:
        super().__init__(output)
        self._previewer = previewer

    def preview(self, preview: "Preview") -> None:
        self._call(lambda: self._previewer.preview(preview))


def _guarded(output: Output) -> _Guarded:
    if isinstance(output, Meter) and output.metered:
        return _GuardedMeter(output, output)
    if isinstance(output, Previewer) and output.previewed:
        return _GuardedPreviewer(output, output)
    return _Guarded(output)


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
