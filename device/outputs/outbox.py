"""A queue between one who must not wait and one who may take long. What is delivered, and how, it does not know."""

import threading
from collections import deque
from collections.abc import Callable

from device.outputs.publishers import Table


class Outbox:
    """Delivers in a thread of its own, one after the other, in order; of too many the oldest are dropped.

    Args:
        name: of the publisher, in what is told.
        deliver: takes as long as it likes; returns whether it went well enough to go on. It must not raise.
        announce: is told, in a line, how many were dropped; by the thread that delivers.
        bound: how many may wait.
        held: see `hold`.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[Table], bool],
        announce: Callable[[str], None],
        *,
        bound: int,
        held: bool = False,
    ) -> None:
        self._name = name
        self._deliver = deliver
        self._announce = announce
        self._waiting: deque[Table] = deque(maxlen=bound)
        self._changed = threading.Condition()
        self._closing = False
        self._held = held
        self._thread: threading.Thread | None = None
        self._told_drops = 0
        self.dropped = 0
        """Since the start."""

    def open(self) -> None:
        """Begin to deliver."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def put(self, table: Table) -> None:
        """Have it delivered. Does not wait."""
        with self._changed:
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(table)
            self._changed.notify()

    def hold(self, *, held: bool) -> None:
        """Begin no delivery until told that it is not held any more. Does not wait."""
        with self._changed:
            self._held = held
            self._changed.notify()

    def close(self, limit_s: float) -> bool:
        """Deliver what waits, unless it is held, as far as the limit allows.

        Returns:
            Whether nothing is being delivered any more.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(max(0.0, limit_s))
        if self._waiting:
            self._announce(f"{self._name}: {len(self._waiting)} answers were left at the end")
        return not self._thread.is_alive()

    def _run(self) -> None:
        well = True
        while well and (table := self._next()) is not None:
            well = self._deliver(table)
            if self.dropped >= max(1, 2 * self._told_drops):  # once, and again each time that there are twice as many
                self._tell_drops()
        if self.dropped > self._told_drops:
            self._tell_drops()

    def _next(self) -> Table | None:
        """The one to deliver; None when there will be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or (self._waiting and not self._held))
            return self._waiting.popleft() if self._waiting and not self._held else None

    def _tell_drops(self) -> None:
        self._told_drops = self.dropped
        self._announce(f"{self._name}: {self._told_drops} answers were dropped so far, the oldest of too many")
