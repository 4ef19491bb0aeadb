"""Sessions of browsers that have logged in: random cookies, of which only hashes are stored."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from device.errors import WebError
from device.web.access.folder import read_table, write_table

FILE = "web-sessions"
LIFETIME_S = 30 * 24 * 3600.0
MOST = 100
"""Number of sessions; a further one replaces the oldest."""
_RANDOM_BYTES = 32
_LOG = logging.getLogger(__name__)


def hashed(secret: str) -> str:
    """What is stored of a random secret, which needs no salt and no slow hash: it cannot be guessed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Sessions:
    """The sessions of one password, which a restart of the server keeps.

    Args:
        folder: folder of the file.
        password: fingerprint of the password; sessions of another one are dropped.
        clock: seconds since the epoch.
    """

    def __init__(self, folder: Path, password: str, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / FILE
        self._password = password
        self._clock = clock
        self._saving = asyncio.Lock()
        self._ends: dict[str, float] = self._read()

    def __len__(self) -> int:
        return len(self._ends)

    def create(self) -> str:
        """Start a session, and return the secret that the browser keeps; `store` writes it."""
        self._drop_old()
        while len(self._ends) >= MOST:
            del self._ends[min(self._ends, key=self._ends.__getitem__)]
        secret = secrets.token_urlsafe(_RANDOM_BYTES)
        self._ends[hashed(secret)] = self._clock() + LIFETIME_S
        return secret

    def find(self, secret: str) -> str | None:
        """The name of the session with this secret, which is no secret; None if there is none."""
        name = hashed(secret)
        return name if self._clock() < self._ends.get(name, 0.0) else None

    def end(self, name: str) -> None:
        """End a session; `store` writes it."""
        self._ends.pop(name, None)

    async def store(self) -> None:
        """Write the file. If that fails, the sessions last until the server ends."""
        async with self._saving:
            await asyncio.to_thread(self._write, {"password": self._password, "sessions": dict(self._ends)})

    def _write(self, table: Mapping[str, Any]) -> None:
        try:
            write_table(self._path, table)
        except WebError as error:
            _LOG.warning("sessions are not stored: %s", error)

    def _read(self) -> dict[str, float]:
        try:
            table = read_table(self._path)
        except WebError as error:
            _LOG.warning("sessions are lost: %s", error)
            return {}
        found = table.get("sessions")
        if table.get("password") != self._password or not isinstance(found, dict):
            return {}
        latest = self._clock() + LIFETIME_S
        ends = {name: float(end) for name, end in found.items() if isinstance(end, int | float)}
        return {name: min(end, latest) for name, end in list(ends.items())[:MOST]}

    def _drop_old(self) -> None:
        now = self._clock()
        self._ends = {name: end for name, end in self._ends.items() if end > now}
