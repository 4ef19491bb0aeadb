"""The history behind the page: all its work is done in one thread, and whatever fails there, the page goes on."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from device.errors import EdgeMcnnError, HistoryError, UnusablePredictionError, UnwritableHistoryError
from device.history.store import History
from device.web.sources.live import Event

_LOG = logging.getLogger(__name__)
_MOST_WAITING = 1000
"""Number of events that wait while the history is slow or does not work; then the oldest are lost."""
_RETRY_S = 30.0
_FIRST_RETAIN_S, _RETAIN_S = 600.0, 3600.0
"""The clock of a Raspberry Pi may be wrong for some minutes after the start, see `History.retain`."""
_Result = TypeVar("_Result")


class HistoryThread:
    """Writes events into the history and reads it, in a thread of its own.

    Args:
        open_history: opens the history, in that thread; None if no history is to be stored.
        clock: seconds that never jump.
    """

    def __init__(self, open_history: Callable[[], History] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_history = open_history
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._history: History | None = None
        self._retry_at = 0.0
        self._retain_at = clock() + _FIRST_RETAIN_S
        self._waiting: deque[tuple[Event, str]] = deque(maxlen=_MOST_WAITING)
        self._writing: asyncio.Task[None] | None = None
        self._stores = True
        """Whether the latest event could be stored."""
        self.message = self.fix = ""
        """What is wrong with the history, and the fix; empty while it works."""

    @property
    def is_on(self) -> bool:
        """Whether a history is stored."""
        return self._open_history is not None

    def as_dict(self) -> dict[str, Any]:
        """The state of the history for templates and for JSON."""
        return {"on": self.is_on, "message": self.message, "fix": self.fix}

    def write(self, event: Event, boot: str) -> None:
        """Let a prediction, a correction or the health be stored; returns at once.

        Args:
            event: an event `prediction`, `corrected` or `health`.
            boot: boot ID of the kernel in which the daemon runs.
        """
        if self.is_on:
            self._waiting.append((event, boot))
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_waiting())

    async def read(self, work: Callable[[History], _Result]) -> _Result:
        """Call `work` with the history, in its thread.

        Raises:
            HistoryError: the history is off, or does not work.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_history, work)

    async def close(self) -> None:
        """Write what waits, and close the history."""
        if self._writing is not None:
            await self._writing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _write_waiting(self) -> None:
        while self._waiting:
            event, boot = self._waiting.popleft()
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._store, event, boot)
            except EdgeMcnnError:  # the page shows it; the next event, which comes in 10 s at most, begins again
                # Health that waited would push the predictions out within hours. What waits is stored as repeated
                # events are: not if the history was erased meanwhile.
                waiting = [each for each in [(event, boot), *self._waiting] if each[0]["event"] != "health"]
                self._waiting = deque((({**event, "replayed": True}, boot) for event, boot in waiting), _MOST_WAITING)
                return

    def _store(self, event: Event, boot: str) -> None:
        """Store an event, and note whether that works before anything else is read, which may work nevertheless."""
        self._stores = False
        self._with_history(partial(_write, event=event, boot=boot))
        self._stores = True
        self.message = self.fix = ""

    def _with_history(self, work: Callable[[History], _Result]) -> _Result:
        try:
            if self._history is not None and self._history.is_removed():
                self._close()
            if self._history is None:
                self._history = self._opened()
            if self._clock() >= self._retain_at:
                self._retain_at = self._clock() + _RETAIN_S
                self._history.retain()
            result = work(self._history)
        except EdgeMcnnError as error:
            if self.is_on and error.message != self.message:
                _LOG.warning("the history does not work: %s", error)
                self.message, self.fix = error.message, error.fix
            if not isinstance(error, UnwritableHistoryError):
                self._close()
            raise
        if self._stores:  # else the disk is full, for example, which can be read
            self.message = self.fix = ""
        return result

    def _opened(self) -> History:
        if self._open_history is None:
            raise HistoryError("no history is stored", fix="set keep_days under [history] in the settings file")
        if self.message and self._clock() < self._retry_at:
            raise HistoryError(self.message, fix=self.fix)
        self._retry_at = self._clock() + _RETRY_S
        return self._open_history()

    def _close(self) -> None:
        history, self._history = self._history, None
        if history is not None:
            history.close()


def _write(history: History, event: Event, boot: str) -> None:
    """Store an event.

    Raises:
        HistoryError: that cannot be done.
    """
    if event["event"] == "prediction":
        try:
            history.add(event, boot)
        except UnusablePredictionError as error:
            _LOG.warning("%s", error)
    elif event["event"] == "health":
        history.add_health(event)
    else:
        number = event.get("number")
        history.correct(str(event.get("daemon")), number if isinstance(number, int) else -1, str(event.get("label")))
