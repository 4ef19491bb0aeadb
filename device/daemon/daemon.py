"""The daemon: listens in a thread, so that the main thread can answer signals and the watchdog at any moment.

A call into Vosk, PortAudio or the interpreter may take seconds, or for ever; Python handles a signal only between two
steps of the main thread, which therefore does nothing but wait. What is heard and shown, other modules know.
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
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from device.audio.liveness import Liveness, LivenessMachine, State
from device.audio.microphone import Microphone
from device.audio.reconnecting import OpenMicrophone, ReconnectingMicrophone
from device.daemon.status import LOW_CONFIDENCE, Status, StatusServer
from device.daemon.systemd import Systemd
from device.errors import AudioError, StatusError
from device.events import Prediction
from device.loading import LoadedModels
from device.outputs.base import Observer, Trouble
from device.outputs.json_lines import as_table
from device.outputs.lights import Lights
from device.outputs.publishers import Publisher
from device.pipeline import Pipeline
from device.settings.schema import Settings
from device.system.signals import stopped_by_signals

_LOG = logging.getLogger(__name__)
_STOP_LIMIT_S = 1.5
"""For the listening thread to end in good order; the process is to be gone within two seconds."""
_LEAVE_LIMIT_S = 0.2
_TICK_S = 10.0
_REMEMBERED = 100
_TROUBLES = {State.LOST: Trouble.LOST, State.SILENT: Trouble.SILENT, State.HEALTHY: None}


class Daemon:
    """Listens until SIGTERM or SIGINT.

    Args:
        settings: of every stage.
        load: loads what understands; may take seconds.
        show: opens the lights for the classes of the model.
        tell: is given the table of `device.outputs.json_lines` for each prediction, after its light is on.
        announce: is told, in a line, when sound arrives and when it is lost.
        patient: wait for a microphone that is not there at the start, instead of raising.
        systemd: the service manager.
        status_socket: where to tell the status; None for nowhere.
        publishers: are given the same table as `tell`.
        observer: is told what is heard as it is heard, if there is one.
        open_microphone: by its name.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], LoadedModels],
        show: Callable[[Sequence[str]], Lights],
        tell: Callable[[dict[str, Any]], None],
        announce: Callable[[str], None],
        *,
        patient: bool,
        systemd: Systemd,
        status_socket: Path | None,
        publishers: Sequence[Publisher] = (),
        observer: Observer | None = None,
        open_microphone: Callable[[str], OpenMicrophone] = Microphone,
    ) -> None:
        self._settings = settings
        self._load = load
        self._show = show
        self._tell = tell
        self._announce = announce
        self._patient = patient
        self._systemd = systemd
        self._status_socket = status_socket
        self._publishers = publishers
        self._observer = observer
        self._started = self._turned = time.monotonic()
        self._over = threading.Event()
        self._told_to_stop = False
        self._error: BaseException | None = None
        self._models: LoadedModels | None = None
        self._pipeline: Pipeline | None = None
        self._lights: Lights | None = None
        self._liveness = LivenessMachine(settings.liveness, time.monotonic, self._on_liveness)
        self._microphone = ReconnectingMicrophone(
            settings.microphone.name,
            self._liveness,
            settings.liveness.stuck_limit_s,
            turn=self._turn,
            urgent=self._urgent,
            patient=patient,
            open_microphone=open_microphone,
        )
        self._announced: str | None = None
        self._ready = self._hearing = False
        self._losses = 0
        self._utterances = 0
        self._last_label = ""
        self._latencies: deque[float] = deque(maxlen=_REMEMBERED)
        self._reported_drops = 0

    def run(self) -> None:
        """Listen; returns when told to stop by a signal.

        Raises:
            EdgeMcnnError: what makes listening impossible.
        """
        thread = threading.Thread(target=self._listen, name="listening", daemon=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(stopped_by_signals(self._stop))
            if self._status_socket is not None:
                try:
                    stack.enter_context(StatusServer(self._status_socket, self.status))
                except StatusError as error:
                    _LOG.warning("%s", error)
            thread.start()
            watchdog_s = self._systemd.watchdog_s
            period = _TICK_S if watchdog_s is None else min(_TICK_S, watchdog_s / 4)
            while not self._over.wait(period):
                if watchdog_s is None or time.monotonic() - self._turned < watchdog_s / 2:
                    self._systemd.alive()
                self._report_drops()
            end = time.monotonic() + _STOP_LIMIT_S
            self._systemd.stopping()
            self._microphone.stop()
            thread.join(_STOP_LIMIT_S)
            for publisher in self._publishers:
                publisher.close(end - time.monotonic())
        if thread.is_alive() or self._liveness.now.state == State.FAILED:
            self._leave()
        if self._error is not None:
            raise self._error

    def status(self) -> Status:
        """How it is, now."""
        now = time.monotonic()
        liveness = self._liveness.now
        latencies = list(self._latencies)
        loaded = self._models is not None
        return Status(
            state=liveness.state if loaded else "starting",
            reason=liveness.reason if loaded else "",
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
            memory_mb=_memory_mb(),
            threads=_count("/proc/self/task"),
            open_files=_count("/proc/self/fd"),
            pid=os.getpid(),
            versions=self._versions(),
        )

    def _versions(self) -> dict[str, str]:
        packages = ["edge-mcnn", "vosk"]
        if self._models is not None:
            packages.append(self._models.classifier.runtime)
        return {"python": platform.python_version(), **{package: version(package) for package in packages}}

    def _listen(self) -> None:
        """The listening thread."""
        with contextlib.suppress(OSError):  # its name for `top -H` and debuggers, which Python 3.14 sets by itself
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("listening")
        try:
            self._models = models = self._load()
            # Closed here if an answer cannot be told: when Python ends is too late to close a microphone.
            listening = contextlib.closing(self._microphone.streams())
            with self._show(models.classifier.labels) as self._lights, listening as streams:
                for publisher in self._publishers:
                    publisher.open()
                for frames in streams:
                    # A listener of its own: an utterance does not go on beyond a loss.
                    self._pipeline = models.pipeline(self._observer)
                    for prediction in self._pipeline.predictions(frames):
                        self._on_prediction(prediction, self._lights)
        except BaseException as error:  # noqa: BLE001  # raised in the main thread
            self._error = error
        finally:
            self._over.set()

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _urgent(self) -> bool:
        """Someone speaks, or watches the level move."""
        return self._observer is not None or (self._pipeline is not None and self._pipeline.hearing)

    def _on_prediction(self, prediction: Prediction, lights: Lights) -> None:
        lights.show(prediction)
        lit_at = time.monotonic()
        if self._observer is not None:
            self._observer.answer(prediction)
        self._utterances += 1
        self._last_label = prediction.label if prediction.confident else LOW_CONFIDENCE
        self._latencies.append(round(prediction.ms_since_endpoint(lit_at), 1))
        table = as_table(prediction, lit_at)
        for publisher in self._publishers:
            publisher.publish(table)
        self._tell(table)
        self._say_status()

    def _on_liveness(self, liveness: Liveness) -> None:
        """The state of the microphone changed: say it, show it, and count it."""
        state = liveness.state
        if self._observer is not None:
            self._observer.microphone(liveness, liveness.microphone, liveness.rate)
        if state in _TROUBLES and self._lights is not None:
            self._lights.trouble(_TROUBLES[state])
        if state == State.RECOVERING:
            return  # good or bad, what comes of it will be told
        if state == State.LOST and self._hearing:
            self._losses += 1
        self._hearing = state in (State.HEALTHY, State.SILENT)
        for publisher in self._publishers:
            publisher.microphone(heard=state == State.HEALTHY)
        if liveness.reason != self._announced:
            self._announced = liveness.reason
            self._announce(self._line())
        if (state == State.HEALTHY or self._patient) and not self._ready:
            self._ready = True
            self._systemd.ready()
        self._say_status()

    def _say_status(self) -> None:
        line = self._line().partition(";")[0]
        if self._last_label:
            line += f"; {self._utterances} answered, the last {self._last_label}"
        if self._reported_drops:
            line += f"; {self._reported_drops} blocks of sound dropped, this machine is too slow"
        self._systemd.status(line)

    def _line(self) -> str:
        liveness = self._liveness.now
        if liveness.state == State.HEALTHY:
            return f"listening to {liveness.microphone} at {liveness.rate} Hz; speak, or end with Ctrl-C"
        waiting = "" if liveness.state == State.FAILED else ", waiting for it"
        return f"microphone {liveness.state}{waiting}: {liveness.reason}"

    def _report_drops(self) -> None:
        dropped = self._microphone.dropped_blocks
        if dropped > self._reported_drops:
            _LOG.warning("%d blocks of sound were dropped so far: this machine is too slow", dropped)
            self._reported_drops = dropped
            self._say_status()

    def _leave(self) -> None:
        """End the process although a thread hangs in C, which no exit in good order would outlast."""
        ends: list[Callable[[], object]] = []
        if self._lights is not None:
            ends.append(partial(self._lights.__exit__, None, None, None))
        if self._observer is not None:
            ends.append(self._observer.close)
        # Perhaps it is one of these that hangs: no waiting for them either.
        threads = [threading.Thread(target=end, daemon=True) for end in ends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_LEAVE_LIMIT_S)
        if isinstance(self._error, AudioError):
            self._announce(f"edge-mcnn: {self._error}")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(0 if self._told_to_stop else 1)

    def _stop(self) -> None:
        self._told_to_stop = True
        self._over.set()


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _count(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())
