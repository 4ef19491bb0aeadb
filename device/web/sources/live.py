"""What the device does now: reads the daemon's events, keeps the current state, and passes every event on."""

import asyncio
import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from device.audio.liveness import State
from device.outputs.event_stream.messages import PROTOCOL
from device.system.display import displayable, on_one_line
from device.system.permissions import AUDIO_GROUP, how_to_join

Event = Mapping[str, Any]
"""An event of the daemon as docs/events.md describes it."""

LATEST = 64
"""Number of predictions that a page gets when it is opened."""
_LARGEST_LINE = 1 << 20
_SILENCE_LIMIT_S = 30.0
"""Seconds without an event after which the daemon is taken for stopped; it sends its health every 10 s."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.5, 5.0
_REPLACED = ("hello", "state", "mute", "level", "health")
"""Events of which the latest is the current state."""
_PASSED = (*_REPLACED, "speech", "words", "prediction", "corrected")
_NEEDED: Mapping[str, Mapping[str, type]] = {
    "state": {"state": str},
    "prediction": {"number": int, "daemon": str, "time": str, "label": str, "probabilities": dict},
    "corrected": {"number": int, "daemon": str, "label": str},
}
"""Keys without which an event means nothing, with their types."""
_OF_MODALITY = {"label": str, "probabilities": dict}
_FLASHING = (State.SILENT, State.LOST, State.MUTED)
"""States of the microphone in which the LEDs show that, or nothing, instead of the latest prediction."""
_MOST_BRACKETS = 500
"""Of a line: what is nested deeper could be read but not written again."""
_MOST_DIGITS = 15
"""Of an integer: what a float holds exactly, as in a browser."""
_START = "start the device: edge-mcnn listen"


class LiveState:
    """The device at this moment, as the events describe it.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.connected = False
        """Whether the daemon's events are received."""
        self.message = "the device does not run"
        """Why not; empty while they are."""
        self.fix = _START
        """What the user can do about it; may be empty."""
        self.current: dict[str, Event] = {}
        """The latest event of each kind in `hello`, `state`, `mute`, `level`, `health`.

        There is no `state` and no `level` without a connection.
        """
        self.latest: deque[dict[str, Any]] = deque(maxlen=LATEST)
        """The latest predictions, the newest last, each with the key `corrected`: the right class, or None."""
        self._light: tuple[str, float] | None = None

    @property
    def labels(self) -> list[str]:
        """Classes of the model; empty before the daemon was reached."""
        labels = self.current.get("hello", {}).get("labels")
        return [str(label) for label in labels] if isinstance(labels, list) else []

    @property
    def boot(self) -> str:
        """The kernel's boot ID in which the daemon runs; empty before it was reached."""
        return str(self.current.get("hello", {}).get("boot", ""))

    @property
    def light(self) -> dict[str, Any] | None:
        """The class whose light is on and when it goes out (`until`, seconds since the epoch); None if it is dark."""
        if self._light is None or self._light[1] <= self._clock() or not self.connected:
            return None
        return {"label": self._light[0], "until": self._light[1]}

    def apply(self, event: Event) -> bool:
        """Take an event into account.

        Returns:
            Whether pages should get it: it is known, and no repetition of a prediction.
        """
        name = event.get("event")
        if name not in _PASSED:
            return False
        if name in _REPLACED:
            if self._puts_the_light_out(event):
                self._light = None
            self.current[name] = event
        elif name == "prediction":
            return self._add(event)
        elif name == "corrected":
            return self._correct(event)
        return True

    def lost(self, message: str, fix: str = "") -> None:
        """The connection to the daemon has ended, or could not be made."""
        self.connected, self.message, self.fix = False, message, fix
        for name in ("state", "level"):  # nobody knows how the microphone is now
            self.current.pop(name, None)

    def found(self) -> None:
        """The daemon has sent its first event."""
        self.connected, self.message, self.fix = True, "", ""

    def connection(self) -> Event:
        """An event of the web server itself: whether the daemon is reached, and if not, why and the fix."""
        return {"event": "connection", "connected": self.connected, "message": self.message, "fix": self.fix}

    def picture(self) -> Iterator[Event]:
        """Events that bring a new page up to date."""
        yield self.connection()
        for name in _REPLACED:
            if name in self.current:
                yield self.current[name]
        for prediction in self.latest:
            yield {**prediction, "replayed": True}

    def as_dict(self) -> dict[str, Any]:
        """The state for templates and for JSON; `latest` begins with the newest prediction."""
        return {
            "connected": self.connected,
            "message": self.message,
            "fix": self.fix,
            **{name: self.current.get(name) for name in _REPLACED},
            "latest": list(reversed(self.latest)),
            "light": self.light,
        }

    def _puts_the_light_out(self, event: Event) -> bool:
        """Whether the light of a prediction goes out with a `hello` or a `state`, as the LEDs do."""
        before = self.current.get(str(event.get("event")))
        if event.get("event") == "hello":
            return before is not None and event.get("daemon") != before.get("daemon")
        if event.get("event") != "state":
            return False
        state = event.get("state")
        if before is None:  # the first one on a connection may be old, so that of a working microphone means nothing
            return state in _FLASHING
        return state in (State.HEALTHY, *_FLASHING) or before.get("state") == State.MUTED

    def _add(self, event: Event) -> bool:
        key = _key(event)
        if any(_key(known) == key for known in self.latest):
            return False
        self.latest.append({**event, "corrected": None})
        light = event.get("light")
        if light and not event.get("lights_stay"):
            now = self._clock()
            self._shine(str(light), min(_seconds(event.get("time"), now), now) if event.get("replayed") else now)
        elif not event.get("lights_stay"):
            self._light = None
        return True

    def _correct(self, event: Event) -> bool:
        for prediction in self.latest:
            if _key(prediction) == _key(event):
                known = prediction["corrected"] == event.get("label")
                prediction["corrected"] = event.get("label")
                if prediction is self.latest[-1] and not event.get("replayed") and not known:
                    self._shine(str(event.get("label")), self._clock())
                return not known
        return False

    def _shine(self, label: str, started: float) -> None:
        hold_s = self.current.get("hello", {}).get("hold_s")
        self._light = (label, started + (hold_s if isinstance(hold_s, int | float) else 0.0))


def _key(event: Event) -> tuple[str, str]:
    """Identify a prediction."""
    return str(event.get("daemon")), str(event.get("number"))


def _seconds(text: object, default: float) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return default


class EventsTask:
    """Reads the events of the running daemon, and connects again whenever the connection ends.

    Args:
        paths: sockets to try, the first that responds is used.
        state: gets every event.
        passed_on: called with each event that pages should get, and with the state's `connection` when it changes.
        stored: called with each `prediction`, `corrected` and `health`, also with repetitions.
    """

    def __init__(
        self,
        paths: Callable[[], Sequence[Path]],
        state: LiveState,
        passed_on: Callable[[Event], None],
        stored: Callable[[Event], None],
    ) -> None:
        self._paths = paths
        self._state = state
        self._passed_on = passed_on
        self._stored = stored

    async def run(self) -> None:
        """Read events until the task is cancelled."""
        wait_s = _FIRST_RETRY_S
        while True:
            connection, message, fix = await self._connect()
            if connection is not None:
                reader, writer = connection
                try:
                    message, fix = await self._read(reader)
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
            if self._state.connected:
                wait_s = _FIRST_RETRY_S
            changed = self._state.connected or message != self._state.message
            self._state.lost(message, fix)
            if changed:
                self._passed_on(self._state.connection())
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_RETRY_S)

    async def _connect(self) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, str, str]:
        message, fix = "the device does not run", _START
        for path in self._paths():
            try:
                return await asyncio.open_unix_connection(path, limit=_LARGEST_LINE), "", ""
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except PermissionError:
                message = f"{displayable(path)}: permission denied"
                fix = f"only members of the group {AUDIO_GROUP} may read the events; {how_to_join(AUDIO_GROUP)}"
            except OSError as error:
                message, fix = f"{displayable(path)}: {on_one_line(error.strerror or error)}", "restart the device"
        return None, message, fix

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, str]:
        """Read events until there are no more; return why, and the fix."""
        while True:
            try:
                async with asyncio.timeout(_SILENCE_LIMIT_S):
                    line = await reader.readline()
            except TimeoutError:
                return f"the device has sent nothing for {_SILENCE_LIMIT_S:.0f} s", "restart the device"
            except (ValueError, OSError):  # a line without end, or a broken connection
                return "the connection to the device is broken", ""
            if not line.endswith(b"\n"):
                if not self._state.connected:  # as `EventReader` takes it: a reader too many gets no event at all
                    return "too many programs read the events now", "end one of them, and try again"
                return "the device has ended", _START
            event = decoded(line)
            if event is None or not (self._state.connected or _is_hello(event)):
                return "the device's events are not of this version", "update edge-mcnn, and restart the device"
            if event.get("event") == "end":
                return "the device has ended", _START
            if not _is_usable(event):
                continue
            newly = not self._state.connected
            new = self._state.apply(event)
            if newly:
                self._state.found()
                self._passed_on(self._state.connection())
            if new:
                self._passed_on(event)
            if event.get("event") in ("prediction", "corrected", "health"):
                self._stored(event)


def _is_hello(event: Event) -> bool:
    return event.get("event") == "hello" and event.get("protocol") == PROTOCOL


def _is_usable(event: Event) -> bool:
    """Whether an event has what pages and the history need of it; all other values may be missing or wrong."""
    modalities = (event.get("audio_only"), event.get("text_only"))
    return _has(event, _NEEDED.get(event["event"], {})) and all(
        each is None or (isinstance(each, dict) and _has(each, _OF_MODALITY)) for each in modalities
    )


def _has(table: Mapping[str, Any], needed: Mapping[str, type]) -> bool:
    return all(isinstance(table.get(name), kind) for name, kind in needed.items())


def decoded(line: bytes) -> Event | None:
    """The event in a line; None if it holds none. Numbers that no browser reads, or not exactly, become None."""
    if line.count(b"[") + line.count(b"{") > _MOST_BRACKETS:
        return None
    try:
        event = json.loads(line, parse_constant=lambda _: None, parse_float=_finite, parse_int=_exact)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _exact(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None
