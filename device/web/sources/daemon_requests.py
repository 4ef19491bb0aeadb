"""Requests to the running daemon that change something, or read its status: each waits in a thread."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from device.daemon.control import correct_last, set_muted, show_light
from device.daemon.status import running_daemon
from device.errors import StatusError

_WAIT_S = 10.0
_STATUS_AGE_S = 1.0


class DaemonRequests:
    """What pages request from the daemon, one at a time.

    Args:
        mute: mutes or unmutes, see `device.daemon.control.set_muted`.
        correct: corrects the latest prediction, see `device.daemon.control.correct_last`.
        light: shows the light of a class for a while, see `device.daemon.control.show_light`.
        status: returns the status as a table; None without a daemon.
    """

    def __init__(
        self,
        mute: Callable[[bool], Any] = set_muted,
        correct: Callable[[str], Any] = correct_last,
        light: Callable[[str], Any] = show_light,
        status: Callable[[], dict[str, Any] | None] | None = None,
    ) -> None:
        self._mute = mute
        self._correct = correct
        self._light = light
        self._read_status = status or _status
        self._changing = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._status: tuple[float, dict[str, Any] | None] = (-_STATUS_AGE_S, None)

    async def mute(self, muted: bool) -> None:
        """Mute or unmute the device.

        Raises:
            StatusError: it cannot be done.
        """
        await self._change(self._mute, muted)

    async def correct(self, label: str) -> None:
        """Correct the latest prediction.

        Raises:
            StatusError: it cannot be done.
            ProfileError: the daemon does not learn it.
        """
        await self._change(self._correct, label)

    async def light(self, label: str) -> None:
        """Show the light of a class for a while.

        Raises:
            StatusError: it cannot be done.
        """
        await self._change(self._light, label)

    async def status(self) -> dict[str, Any] | None:
        """The status of the daemon, at most a second old; None if there is none."""
        async with self._reading:
            if time.monotonic() - self._status[0] >= _STATUS_AGE_S:
                status = await asyncio.to_thread(self._read_status)
                self._status = (time.monotonic(), status)  # a daemon that hangs delays a group of requests once
            return self._status[1]

    async def _change(self, change: Callable[..., Any], value: Any) -> None:
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._changing.acquire()
        except TimeoutError:
            raise StatusError("the device is busy with another request", fix="try again in a moment") from None
        try:
            await asyncio.to_thread(change, value)
        finally:
            self._changing.release()


def _status() -> dict[str, Any] | None:
    status = running_daemon()
    return None if status is None else asdict(status)
