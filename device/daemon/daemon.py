"""The daemon: listens in a thread, so that the main thread can respond to signals and the watchdog at any moment.

A call into Vosk, PortAudio or the interpreter may take seconds, or never return; Python handles a signal only between
two steps of the main thread, which therefore does nothing but wait. `device.pipeline` turns audio into predictions, and
`device.outputs` shows and publishes them.
"""

import contextlib
import logging
import os
import platform
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

from device.audio.level import level_dbfs
from device.audio.liveness import Liveness, LivenessMachine, Muting, State
from device.audio.microphone import Microphone
from device.audio.reconnecting import ReconnectingMicrophone
from device.bundle import DEFAULT_BUNDLE, shipped_name
from device.daemon.control import ControlServer
from device.daemon.controls import Controls
from device.daemon.opening_ahead import OpeningAhead, WaitingMicrophone
from device.daemon.self_check import SelfCheck
from device.daemon.status import LOW_CONFIDENCE_LABEL, Status, StatusServer
from device.daemon.systemd import Systemd
from device.errors import EdgeMcnnError, StatusError
from device.events import Frame, Prediction
from device.loading import LoadedModels
from device.outputs.commands import Diagnostics
from device.outputs.fan_out import Outputs
from device.outputs.json_lines import LOW_CONFIDENCE_TEXT
from device.pipeline import Pipeline
from device.settings.schema import Settings
from device.system.display import displayable
from device.system.signals import stopped_by_signals
from device.system.unix_server import UnixServer

_LOG = logging.getLogger(__name__)
_STOP_LIMIT_S = 1.5
"""Seconds in which the listening thread and the outputs must end; the process must be gone within two."""
_TICK_S = 10.0
_MUTE_LIMIT_S = 25.0
"""Seconds in which a microphone must be closed or open, for a client that waits; opening may take 20 s."""
_LONGEST_SHOWN = 40
"""Characters of a foreign text that a message shows."""
_REMEMBERED = 100
"""Number of utterances over which the latency statistics go."""


class Daemon:
    """Listens until SIGTERM or SIGINT.

    Args:
        settings: settings of every stage.
        load: loads the models; may take seconds.
        outputs: where predictions and the state of the microphone go.
        announce: prints a line when audio arrives and when the microphone is lost.
        patient: wait for a microphone that is missing at the start, instead of raising.
        open_ahead: whether the microphone is opened while `load` runs, to listen sooner; not if that may take minutes.
        systemd: the service manager.
        status_socket: path of the socket at which the status is published; None for no socket.
        controls: what users may change meanwhile; None if nobody else can.
        control_socket: path of the socket at which they can; None for no socket.
        open_microphone: opens a microphone by its name; by default as the settings say.
        self_check: checks every part of the device on request; None if that is not possible.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], LoadedModels],
        outputs: Outputs,
        announce: Callable[[str], None],
        *,
        patient: bool,
        open_ahead: bool = False,
        systemd: Systemd,
        status_socket: Path | None,
        controls: Controls | None = None,
        control_socket: Path | None = None,
        open_microphone: Callable[[str], WaitingMicrophone] | None = None,
        self_check: SelfCheck | None = None,
    ) -> None:
        self._load = load
        self._outputs = outputs
        self._announce = announce
        self._patient = patient
        self._systemd = systemd
        self._status_socket = status_socket
        self._control_socket = control_socket
        self._self_check = self_check
        self._controls = Controls() if controls is None else controls
        self._started = self._last_tick = time.monotonic()
        self._over = threading.Event()
        self._stopped_by_signal = False
        self._error: BaseException | None = None
        self._models: LoadedModels | None = None
        self._pipeline: Pipeline | None = None
        self._model = displayable(Path(settings.classifier.model).name) or shipped_name(DEFAULT_BUNDLE) or ""
        self._liveness = LivenessMachine(settings.liveness, time.monotonic, self._on_liveness)
        self._microphone_name = settings.microphone.name
        self._open_ahead = open_ahead
        self._opening = OpeningAhead(open_microphone or partial(Microphone, channels=settings.microphone.channels))
        self._microphone = ReconnectingMicrophone(
            settings.microphone.name,
            self._liveness,
            settings.liveness.stuck_limit_s,
            tick=self._tick,
            batch_size=self._batch_size,
            patient=patient,
            channels=settings.microphone.channels,
            open_microphone=self._opening.open,
        )
        self._state_changed = threading.Condition()
        self._announced: str | None = None
        self._ready = self._receiving = False
        self._losses = 0
        self._utterances = 0
        self._last_label = ""
        self._latencies: deque[float] = deque(maxlen=_REMEMBERED)
        self._reported_drops = 0
        self._shown: str | None = None
        """The class whose light is to be shown on request."""

    def run(self) -> None:
        """Listen until a signal or `stop` ends it.

        Raises:
            EdgeMcnnError: listening is impossible.
            BaseException: the error that `stop` was called with.
        """
        thread = threading.Thread(target=self._listen, name="listening", daemon=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(stopped_by_signals(self._on_signal))
            servers: list[UnixServer] = []
            if self._status_socket is not None:
                servers.append(StatusServer(self._status_socket, self.status))
            if self._control_socket is not None:
                check = None if self._self_check is None else self._self_check.result
                servers.append(
                    ControlServer(self._control_socket, self._controls, self.set_muted, self.hold, self.show, check)
                )
            for server in servers:
                try:
                    stack.enter_context(server)
                except StatusError as error:
                    _LOG.warning("%s", error)
            if self._self_check is not None:
                stack.callback(self._self_check.close)  # before the servers, whose clients wait for it
            self._controls.attach(self._mute, self._diagnostics)
            thread.start()
            watchdog_s = self._systemd.watchdog_s
            period = _TICK_S if watchdog_s is None else min(_TICK_S, watchdog_s / 4)
            while not self._over.wait(period):
                if watchdog_s is None or time.monotonic() - self._last_tick < watchdog_s / 2:
                    self._systemd.alive()
                self._report_drops()
            end = time.monotonic() + _STOP_LIMIT_S
            self._systemd.stopping()
            self._microphone.stop()
            thread.join(_STOP_LIMIT_S)
            self._outputs.close(end - time.monotonic())
        if thread.is_alive() or self._liveness.now.state == State.FAILED:
            self._leave()
        if self._error is not None:
            raise self._error

    def stop(self, error: BaseException) -> None:
        """End the daemon with an error; may be called from any thread."""
        if self._error is None:
            self._error = error
        self._over.set()

    def set_muted(self, muted: bool | None) -> str:
        """Mute or unmute, and wait until the microphone is closed or delivers audio; may be called from any thread.

        Args:
            muted: whether it should be muted; None to change it.

        Returns:
            A line for people about the microphone now: whether it is closed, and if not, what it does.
        """
        wanted = self._controls.mute(muted)
        self._await_muting()
        if self._models is None:
            return f"{'muted' if wanted else 'unmuted'}; the models are being loaded"
        return self._liveness.now.description_and_fix

    def show(self, label: str) -> None:
        """Show the light of a class for the hold time, to test the lights; may be called from any thread.

        Raises:
            StatusError: the model has no such class, or the lights show the state of the microphone.
        """
        models, liveness = self._models, self._liveness.now
        if models is None:
            raise StatusError("the models are being loaded", fix="try again in a moment")
        labels = models.classifier.labels
        if label not in labels:
            raise StatusError(
                f"{displayable(label)[:_LONGEST_SHOWN]} is not a class of the model",
                fix=f"use one of {', '.join(map(displayable, labels))}",
            )
        if liveness.state != State.HEALTHY:
            raise StatusError(
                f"the lights show the state of the microphone ({liveness.state})",
                fix=liveness.fix or "try again when it delivers audio",
            )
        self._shown = label

    @contextlib.contextmanager
    def hold(self, process: int) -> Iterator[None]:
        """While the context lasts, the microphone is closed for another process; see `Controls.hold`.

        May be entered in any thread; returns once the microphone is closed.
        """
        with self._controls.hold(process):
            self._await_muting()
            yield

    def _await_muting(self) -> None:
        """Wait until the microphone is closed, or open, as it should be; it is not opened before the models are loaded.

        One that was opened ahead may still be closing.
        """
        if self._controls.muting is not None:
            self._opening.end(_MUTE_LIMIT_S)
        if self._models is None:
            return

        def done() -> bool:
            state = self._liveness.now.state
            if self._controls.muting is not None:
                return state == State.MUTED
            return state not in (State.MUTED, State.RECOVERING)

        with self._state_changed:
            self._state_changed.wait_for(done, _MUTE_LIMIT_S)

    def status(self) -> Status:
        """A snapshot of the daemon."""
        now = time.monotonic()
        liveness = self._liveness.now
        latencies = list(self._latencies)
        loaded = self._models is not None
        adapted = None if self._models is None else self._models.adapted_classifier
        return Status(
            state=liveness.state if loaded else "starting",
            reason=liveness.reason if loaded else "",
            fix=liveness.fix if loaded else "",
            state_duration_s=round(now - (liveness.since if loaded else self._started), 1),
            uptime_s=round(now - self._started, 1),
            microphone=liveness.microphone,
            rate=liveness.rate,
            blocks_received=self._microphone.received_blocks,
            blocks_dropped=self._microphone.dropped_blocks,
            microphone_losses=self._losses,
            utterances=self._utterances,
            last_label=self._last_label,
            latency_ms=latencies[-1] if latencies else 0.0,
            latency_median_ms=round(statistics.median(latencies), 1) if latencies else 0.0,
            latency_worst_ms=max(latencies, default=0.0),
            examples=0 if adapted is None else len(adapted.profile.examples),
            examples_used=adapted is not None and adapted.uses_examples,
            adapted=adapted is not None and adapted.adapted,
            memory_mb=_memory_mb(),
            threads=_count("/proc/self/task"),
            open_files=_count("/proc/self/fd"),
            pid=os.getpid(),
            versions=self._versions(),
        )

    def _diagnostics(self) -> Diagnostics:
        """What outputs publish of the status; without what takes long to find."""
        uptime_s = time.monotonic() - self._started
        return Diagnostics(_memory_mb(), uptime_s, self._microphone.dropped_blocks, self._losses, self._model)

    def _versions(self) -> dict[str, str]:
        packages = ["edge-mcnn", "vosk"]
        if self._models is not None:
            packages.append(self._models.classifier.runtime)
        return {"python": platform.python_version(), **{package: version(package) for package in packages}}

    def _listen(self) -> None:
        """Run the listening thread."""
        with contextlib.suppress(OSError):  # its name for `top -H` and debuggers, which Python 3.14 sets by itself
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("listening")
        try:
            if self._open_ahead:  # a muted device does not touch sound cards: `_mute` was called
                self._opening.begin(self._microphone_name)
            self._models = models = self._load()
            self._controls.loaded(models.adapted_classifier, models.confidences)
            self._outputs.open(models.classifier.labels)
            # Closed here: when Python ends is too late to close a microphone.
            with contextlib.closing(self._microphone.streams()) as streams:
                for frames in streams:
                    # A new pipeline for each stream: an utterance does not go on after the microphone was lost.
                    self._pipeline = models.pipeline(self._outputs, live=True)
                    if (meter := self._outputs.meter) is not None:
                        frames = _metered(frames, meter)
                    for prediction in self._pipeline.predictions(frames):
                        # Muted in the middle of a sentence: a muted device shows no prediction of it.
                        if self._controls.muting is None:
                            self._on_prediction(prediction)
        except BaseException as error:  # noqa: BLE001  # raised in the main thread
            self.stop(error)
        finally:
            self._opening.end()
            self._over.set()

    def _mute(self, muting: Muting | None) -> None:
        self._microphone.mute(muting)  # first, so that one which is closed below is not opened again
        if muting is not None:
            self._opening.close()
        with self._state_changed:  # who waits for the opposite need not wait any more
            self._state_changed.notify_all()

    def _tick(self) -> None:
        self._last_tick = time.monotonic()
        # Here, because only the listening thread may use the outputs. A light that shows a lost microphone stays.
        lights_stay = self._liveness.now.state != State.HEALTHY
        for each in self._controls.corrections.take_corrected():
            self._outputs.corrected(each.label, lights_stay=lights_stay, later=each.later)
        shown, self._shown = self._shown, None
        if shown is not None and not lights_stay:
            self._outputs.show(shown)

    def _batch_size(self) -> int:
        """How many blocks of audio may be delivered together now: fewer while an output shows the level."""
        if self._pipeline is None:
            return 1
        watched = self._outputs.batch_size
        return self._pipeline.batch_size if watched is None else min(watched, self._pipeline.batch_size)

    def _on_prediction(self, prediction: Prediction) -> None:
        self._controls.corrections.predicted(prediction)
        lit_at = self._outputs.prediction(prediction)
        self._utterances += 1
        self._last_label = prediction.label if prediction.confident else LOW_CONFIDENCE_LABEL
        self._latencies.append(round(prediction.ms_since_endpoint(lit_at), 1))
        self._publish_status()

    def _on_liveness(self, liveness: Liveness) -> None:
        """The state of the microphone has changed: pass it on, announce it and count it."""
        state = liveness.state
        self._outputs.microphone(liveness)
        with self._state_changed:
            self._state_changed.notify_all()
        if state == State.RECOVERING:
            return  # it is about to be healthy or lost, and that is announced
        if state == State.LOST and self._receiving:
            self._losses += 1
        self._receiving = state in (State.HEALTHY, State.SILENT)
        if liveness.reason != self._announced:
            self._announced = liveness.reason
            self._announce_state(liveness)
        if (state in (State.HEALTHY, State.MUTED) or self._patient) and not self._ready:
            self._ready = True
            self._systemd.ready()
        self._publish_status()

    def _announce_state(self, liveness: Liveness) -> None:
        if liveness.state == State.MUTED:  # nothing is wrong that would need a fix
            self._announce(liveness.description_and_fix)
            return
        hint = "; speak, or end with Ctrl-C" if liveness.state == State.HEALTHY else ""
        self._announce(f"{liveness.description}{hint}")
        if liveness.fix:
            self._announce(f"  fix: {liveness.fix}")

    def _publish_status(self) -> None:
        line = self._liveness.now.description_and_fix
        if self._last_label:
            latest = LOW_CONFIDENCE_TEXT if self._last_label == LOW_CONFIDENCE_LABEL else self._last_label
            line += f"; predictions: {self._utterances}, latest: {latest}"
        if self._reported_drops:
            line += f"; {self._reported_drops} blocks of audio dropped, this machine is too slow"
        self._systemd.status(line)

    def _report_drops(self) -> None:
        dropped = self._microphone.dropped_blocks
        if dropped > self._reported_drops:
            _LOG.warning("%d blocks of audio were dropped so far: this machine is too slow", dropped)
            self._reported_drops = dropped
            self._publish_status()

    def _leave(self) -> None:
        """End the process although a thread hangs in C, for which Python's normal exit would wait."""
        if isinstance(self._error, EdgeMcnnError):
            self._announce(f"edge-mcnn: {self._error.message}")
            if self._error.fix:
                self._announce(f"  fix: {self._error.fix}")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(0 if self._stopped_by_signal else 1)

    def _on_signal(self) -> None:
        self._stopped_by_signal = True
        self._over.set()


def _metered(frames: Iterable[Frame], meter: Callable[[float], None]) -> Iterator[Frame]:
    """Pass the level of each frame to a meter, after everything that the frame causes, so that no light waits."""
    for frame in frames:
        yield frame
        meter(level_dbfs(frame.samples))


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _count(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())
