"""A bounded queue between the listening thread, which must not wait, and a delivery that may take long."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_MOST_PASSING = 10
"""Items that may wait in front of one of passing interest, so that it is queued at all."""


class Outbox(Generic[Item]):
    """Delivers items in its own thread, one after the other, in order. When it is full, the oldest are dropped.

    Args:
        name: name of the output, for messages.
        deliver: delivers one item, however long it takes, and returns whether to continue with the next one. It must
            not raise.
        announce: prints a line about predictions that were dropped or are left at the end; called from any thread.
        bound: how many items may wait.
        held: see `hold`.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[Item], bool],
        announce: Callable[[str], None],
        *,
        bound: int,
        held: bool = False,
    ) -> None:
        self._name = name
        self._deliver = deliver
        self._announce = announce
        self._bound = bound
        self._waiting: deque[tuple[Item, bool]] = deque()
        """Each with whether it is of passing interest."""
        self._changed = threading.Condition()
        self._closing = False
        self._held = held
        self._thread: threading.Thread | None = None
        self._reported_drops = 0
        self.dropped = 0
        """Number of items dropped since the start."""

    def open(self) -> None:
        """Start to deliver."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def put(self, item: Item, *, passing: bool = False) -> None:
        """Queue an item for delivery. Does not wait.

        Args:
            item: the item.
            passing: whether it is of passing interest: left out where many items wait already, and never counted.
        """
        with self._changed:
            if passing and len(self._waiting) >= _MOST_PASSING:
                return
            if len(self._waiting) >= self._bound:
                _, was_passing = self._waiting.popleft()
                self.dropped += not was_passing
            self._waiting.append((item, passing))
            self._changed.notify()

    def hold(self, *, held: bool) -> None:
        """Start no delivery while `held` is true. Does not wait."""
        with self._changed:
            self._held = held
            self._changed.notify()

    def clear(self) -> None:
        """Drop the waiting items without a report: no item can be delivered any more."""
        with self._changed:
            self._waiting.clear()

    def close(self, limit_s: float) -> bool:
        """Deliver the waiting items, unless they are held, as far as the limit in seconds allows.

        Returns:
            Whether no delivery is in progress any more.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(max(0.0, limit_s))
        with self._changed:
            left = sum(not passing for _, passing in self._waiting)
        if left:
            self._announce(f"{self._name}: predictions not delivered before the end: {left}")
        return not self._thread.is_alive()

    def _run(self) -> None:
        working = True
        while working and (item := self._next()) is not None:
            working = self._deliver(item)
            if self.dropped >= max(1, 2 * self._reported_drops):  # once, and whenever the number has doubled
                self._report_drops()
        if self.dropped > self._reported_drops:
            self._report_drops()

    def _next(self) -> Item | None:
        """Wait for the next item; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or (self._waiting and not self._held))
            return self._waiting.popleft()[0] if self._waiting and not self._held else None

    def _report_drops(self) -> None:
        self._reported_drops = self.dropped
        self._announce(f"{self._name}: predictions dropped so far, the oldest of too many: {self._reported_drops}")
