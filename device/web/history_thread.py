"""The history behind the page: all its work is done in one thread, and whatever fails there, the page goes on."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from device.errors import EdgeMcnnError
from device.web.live import Event

_LOG = logging.getLogger(__name__)
_MOST_WAITING = 1000
_RETRY_S = 30.0
_RETAIN_S = 3600.0
_Result = TypeVar("_Result")


class Store(Protocol):
    """What the page needs of `device.history.store.History`."""

    def add(self, prediction: Mapping[str, Any], boot: str) -> bool: ...  # noqa: D102  # see History
    def correct(self, daemon: str, number: int, label: str) -> bool: ...  # noqa: D102  # see History
    def add_health(self, health: Mapping[str, Any]) -> None: ...  # noqa: D102  # see History
    def retain(self) -> int: ...  # noqa: D102  # see History
    def close(self) -> None: ...  # noqa: D102  # see History


class HistoryThread:
    """Writes events into the history and reads it, in a thread of its own.

    Args:
        open_store: opens the history, in that thread; None if no history is to be stored.
        clock: seconds that never jump.
    """

    def __init__(self, open_store: Callable[[], Any] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_store = open_store
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._store: Any = None
        self._retry_at = self._retain_at = 0.0
        self._waiting: deque[tuple[Event, str]] = deque(maxlen=_MOST_WAITING)
        self._writing: asyncio.Task[None] | None = None
        self.message = self.fix = ""
        """What is wrong with the history, and the fix; empty while it works."""

    @property
    def is_on(self) -> bool:
        """Whether a history is stored."""
        return self._open_store is not None

    def as_dict(self) -> dict[str, Any]:
        """The state of the history for templates and for JSON."""
        return {"on": self.is_on, "message": self.message, "fix": self.fix}

    def write(self, event: Event, boot: str) -> None:
        """Let a prediction, a correction or the health be stored; returns at once."""
        if self._open_store is None:
            return
        self._waiting.append((event, boot))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())

    async def read(self, work: Callable[[Any], _Result]) -> _Result:
        """Call `work` with the history, in its thread.

        Raises:
            EdgeMcnnError: the history is off, or does not work.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_store, work)

    async def close(self) -> None:
        """Write what waits, and close the history."""
        if self._writing is not None:
            await self._writing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close_store)
        self._thread.shutdown()

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch = list(self._waiting)
            self._waiting.clear()
            with contextlib.suppress(EdgeMcnnError):  # the page shows it
                await self.read(lambda store, batch=batch: _write(store, batch))  # type: ignore[misc]  # a default

    def _with_store(self, work: Callable[[Any], _Result]) -> _Result:
        try:
            if self._store is None:
                self._store = self._opened()
            if self._clock() >= self._retain_at:
                self._retain_at = self._clock() + _RETAIN_S
                self._store.retain()
            result = work(self._store)
        except EdgeMcnnError as error:
            if self._open_store is not None and error.message != self.message:
                _LOG.warning("the history does not work: %s", error)
                self.message, self.fix = error.message, error.fix
            self._close_store()
            raise
        self.message = self.fix = ""
        return result

    def _opened(self) -> Any:
        if self._open_store is None:
            raise HistoryOffError("no history is stored", fix="set keep_days under [history] in the settings file")
        if self.message and self._clock() < self._retry_at:
            raise HistoryOffError(self.message, fix=self.fix)
        self._retry_at = self._clock() + _RETRY_S
        return self._open_store()

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with contextlib.suppress(EdgeMcnnError):
                store.close()


class HistoryOffError(EdgeMcnnError):
    """No history is stored, or it did not work a moment ago."""


def _write(store: Store, batch: list[tuple[Event, str]]) -> None:
    for event, boot in batch:
        if event["event"] == "prediction":
            store.add(event, boot)
        elif event["event"] == "corrected":
            store.correct(str(event.get("daemon")), int(event.get("number", 0)), str(event.get("label")))
        else:
            store.add_health(event)
