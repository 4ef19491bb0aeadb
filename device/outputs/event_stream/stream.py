"""The output that turns what happens into events, for the programs that read them."""

import contextlib
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.adaptation.profile_path import NO_PROFILE
from device.audio.level import LOWEST_DBFS, level_dbfs
from device.audio.liveness import Liveness
from device.errors import StatusError
from device.front_end.parameters import FrontEnd
from device.outputs.base import Speech
from device.outputs.commands import Commands
from device.outputs.event_stream.messages import DB_LOWEST, PROTOCOL, encoded_columns, line
from device.outputs.event_stream.server import PAST, EventServer
from device.outputs.json_lines import as_table, preview_table, without_words
from device.settings.schema import Settings
from device.system.throttling import read_temperature, read_throttling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from device.events import Frame, Prediction, Preview

_LOG = logging.getLogger(__name__)
_PACE_S = 0.2
"""Shortest time between two messages with the level, and between two with columns of the spectrogram."""
_LEVEL_FRAMES = 8
"""Frames whose loudest one is published together: two blocks, so that a message has all frames that arrived with it."""
_BATCH_SIZE = 2
"""Blocks that are delivered together in a quiet room while programs read: as often as the level is published."""
_HEALTH_S = 10.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class EventStream:
    """Publishes events; a context manager, in which programs can connect, also while the models are being loaded.

    Nothing but predictions costs anything while no program reads; those are remembered for the next one.

    Args:
        path: the socket.
        settings: settings of the daemon.
        commands: whether the daemon is muted, and how it is.
        clock: monotonic time, seconds.
    """

    name = "events"
    batch_size = _BATCH_SIZE
    shows_previews = False  # the web server reads all the time

    def __init__(
        self, path: Path, settings: Settings, commands: Commands, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._commands = commands
        self._clock = clock
        self._words = settings.events.words
        self._server = EventServer(path, self._tick, _HEALTH_S)
        self._running = contextlib.ExitStack()
        self._daemon = secrets.token_hex(16)
        self._front_end = FrontEnd()
        self._muted: bool | None = None
        self._mute_lock = threading.Lock()
        self._number = 0
        self._past: deque[bytes] = deque(maxlen=PAST)
        """The latest predictions as later readers get them, without corrections."""
        self._loudest, self._frames = LOWEST_DBFS, 0
        self._level_at = self._speech_at = -float("inf")
        self._speech: Speech | None = None
        """The utterance that goes on."""
        self._joined = self._sent = 0
        """Number of readers that have these columns of it, and of the columns."""
        self._text = ""
        self._publish_hello(())
        self._server.publish(line("state", state="starting", reason="", fix="", microphone="", rate=0), current="state")
        self._publish_mute()

    def __enter__(self) -> "EventStream":
        try:
            self._running.enter_context(self._server)
        except StatusError as error:
            _LOG.warning("%s", error)
        return self

    def __exit__(self, *_: object) -> None:
        self.close(0)
        self._running.close()

    @property
    def watching(self) -> bool:
        """Whether any program reads; see `Monitor.watching`."""
        return self._server.watched

    def loaded(self, front_end: FrontEnd) -> None:
        """The model is loaded; this is its front end. Called before `open`."""
        self._front_end = front_end

    def open(self, labels: Sequence[str]) -> None:
        """Publish the classes of the model, and how the daemon is; see `Output.open`."""
        self._publish_hello(labels)
        self._tick()  # for readers that have been connected since before this was known

    def microphone(self, liveness: Liveness) -> None:
        """Publish the state of the microphone, and whether it is muted; see `Output.microphone`."""
        self._speech = None  # an utterance does not go on after that
        self._server.publish(
            line(
                "state", state=liveness.state, reason=liveness.reason, fix=liveness.fix,
                microphone=liveness.microphone, rate=liveness.rate,
            ),
            current="state",
        )  # fmt: skip
        self._publish_mute()

    def frame(self, frame: "Frame") -> None:
        """Publish how loud it is; see `Monitor.frame`."""
        self._loudest = max(self._loudest, level_dbfs(frame.samples))
        self._frames += 1
        now = self._clock()
        if self._frames >= _LEVEL_FRAMES and now - self._level_at >= _PACE_S:
            self._server.publish(line("level", dbfs=round(self._loudest, 1)))
            self._loudest, self._frames, self._level_at = LOWEST_DBFS, 0, now

    def speech(self, speech: Speech) -> None:
        """Publish what is new in an utterance that goes on; see `Monitor.speech`."""
        if speech is not self._speech:
            self._speech, self._sent, self._text = speech, 0, ""
        now = self._clock()
        if now - self._speech_at < _PACE_S:
            return
        self._speech_at = now
        self._publish_columns(speech.columns)
        if self._words and (text := speech.words()) != self._text:
            self._text = text
            self._server.publish(line("words", text=text), joined=self._joined)

    def prediction(self, prediction: "Prediction", lit_at: float, *, lights_stay: bool = False) -> None:
        """Publish the rest of the utterance, and the prediction for it; see `Monitor.prediction`."""
        speech, self._speech = self._speech, None
        if speech is not None and self.watching:
            self._publish_columns(lambda first: speech.power()[:, first:])
        self._number += 1
        table = as_table(prediction, lit_at)
        event = line(
            "prediction", number=self._number, daemon=self._daemon, lights_stay=lights_stay, replayed=False,
            **(table if self._words else without_words(table)),
        )  # fmt: skip
        self._past.append(event.replace(b'"replayed":false', b'"replayed":true', 1))
        self._server.publish_past(event, self._past[-1])

    def preview(self, preview: "Preview") -> None:
        """Publish what is predicted of an utterance that goes on; see `Light.preview`."""
        table = preview_table(preview)
        self._server.publish(line("preview", **(table if self._words else without_words(table))))

    def corrected(self, label: str, *, lights_stay: bool = False, later: int = 0) -> None:
        """Publish the right class of a prediction; see `Monitor.corrected`."""
        del lights_stay  # it is learnt in any case
        if later >= self._number:
            return
        event = line("corrected", number=self._number - later, daemon=self._daemon, label=label)
        if later < len(self._past):
            self._server.publish_past(event, self._past[-1 - later] + event, replaces=later)
        else:  # no later reader gets that prediction
            self._server.publish(event)

    def show(self, label: str) -> None:
        """Do nothing: a test of the lights is no event."""

    def close(self, limit_s: float) -> None:
        """Publish the end, and disconnect all programs; see `Output.close`."""
        self._server.publish(line("end"))
        self._server.finish(limit_s)

    def _publish_hello(self, labels: Sequence[str]) -> None:
        settings, front_end = self._settings, self._front_end
        hello = line(
            "hello",
            protocol=PROTOCOL,
            version=version("edge-mcnn"),
            daemon=self._daemon,
            boot=_boot_id(),
            labels=list(labels),
            gate_dbfs=settings.endpoint.gate_dbfs,
            hold_s=settings.lights.hold_s,
            mel_bands=front_end.n_mels,
            column_s=front_end.hop_length / front_end.sample_rate,
            db_floor=front_end.db_floor,
            db_lowest=DB_LOWEST,
            words=self._words,
            learns=settings.classifier.profile != NO_PROFILE,
        )
        self._server.publish(hello, current="hello")

    def _publish_mute(self) -> None:
        with self._mute_lock:  # two threads call this
            if (muted := self._commands.muted) != self._muted:
                self._muted = muted
                self._server.publish(line("mute", muted=muted), current="mute")

    def _publish_columns(self, columns_from: "Callable[[int], NDArray[np.float32]]") -> None:
        """Publish the columns that are new; all of them, if a program has begun to read since the last message."""
        if self._joined != (joined := self._server.joined):
            self._joined, self._sent, self._text = joined, 0, ""
        columns = columns_from(self._sent)
        if columns.shape[1]:
            self._server.publish(
                line("speech", first=self._sent, columns=encoded_columns(columns)), joined=self._joined
            )
            self._sent += columns.shape[1]

    def _tick(self) -> None:
        """Publish what changes by itself."""
        self._publish_mute()  # it may change while the models are loaded, when nothing is reported
        if (found := self._commands.diagnostics()) is None:
            return
        throttling = read_throttling(program=False)
        temperature = read_temperature()
        board: dict[str, Any] = {
            "temperature_c": None if temperature is None else round(temperature, 1),
            "low_voltage": None if throttling is None else throttling.low_voltage,
            "slowed": None if throttling is None else throttling.slowed,
        }
        health = {
            "memory_mb": found.memory_mb,
            "uptime_s": round(found.uptime_s, 1),
            "blocks_dropped": found.blocks_dropped,
            "microphone_losses": found.microphone_losses,
            "model": found.model,
        }
        self._server.publish(line("health", **health, **board), current="health")


def _boot_id() -> str:
    """Return the kernel's number of this start of the machine; empty if it cannot be read."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
