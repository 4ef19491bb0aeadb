"""Requests to the running daemon that change something, read its status, or check it: each waits in a thread."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from device.daemon.control import check_device, correct_last, set_muted, show_light
from device.daemon.self_check import Checked, Finding, summary
from device.daemon.status import running_daemon
from device.errors import StatusError

_WAIT_S = 10.0
_STATUS_AGE_S = 1.0


@dataclass(frozen=True)
class LastCheck:
    """The result of the last check of every part."""

    time: str
    """When it ended: local time with offset, such as `2026-01-31T10:00:00+01:00`."""
    findings: Sequence[Finding]

    @property
    def summary(self) -> str:
        """The result in a sentence."""
        return summary(self.findings)


class DaemonRequests:
    """What pages request from the daemon, one at a time; a check of every part, which takes long, beside the others.

    Args:
        mute: mutes or unmutes, see `device.daemon.control.set_muted`.
        correct: corrects the latest prediction, see `device.daemon.control.correct_last`.
        light: shows the light of a class for a while, see `device.daemon.control.show_light`.
        status: returns the status as a table; None without a daemon.
        check: checks every part, see `device.daemon.control.check_device`.
    """

    def __init__(
        self,
        mute: Callable[[bool], tuple[bool, str]] = set_muted,
        correct: Callable[[str], Any] = correct_last,
        light: Callable[[str], Any] = show_light,
        status: Callable[[], dict[str, Any] | None] | None = None,
        check: Callable[[], Checked] = check_device,
    ) -> None:
        self._mute = mute
        self._correct = correct
        self._light = light
        self._read_status = status or _status
        self._changing = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._status: tuple[float, dict[str, Any] | None] = (-_STATUS_AGE_S, None)
        self._check = check
        self._checking: asyncio.Task[LastCheck] | None = None
        self.last_check: LastCheck | None = None
        """The result of the last check that succeeded; None before the first."""
        self.on_check: Callable[[], None] = lambda: None
        """Called when a check begins, and when it has ended."""

    async def mute(self, muted: bool) -> str:
        """Mute or unmute the device.

        Returns:
            A line for people about the microphone, which another program may use, or which may be lost.

        Raises:
            StatusError: it cannot be done.
        """
        _, message = await self._change(self._mute, muted)
        return str(message)

    async def correct(self, label: str, require: Callable[[], None] = lambda: None) -> None:
        """Correct the latest prediction.

        Args:
            label: the right class.
            require: called when the requests before this one are done; may raise an error, and nothing is corrected.

        Raises:
            StatusError: it cannot be done.
            ProfileError: the daemon does not learn it.
        """
        await self._change(self._correct, label, require)

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

    @property
    def is_checking(self) -> bool:
        """Whether a check runs."""
        return self._checking is not None

    async def check(self) -> LastCheck:
        """Check every part of the device; those who request it while a check runs get the result of that one.

        Raises:
            StatusError: it cannot be done.
        """
        if self._checking is None:
            self._checking = asyncio.create_task(self._run_check())
        return await asyncio.shield(self._checking)  # it goes on when one of those who wait has gone

    async def _run_check(self) -> LastCheck:
        try:
            self.on_check()
            checked = await _in_thread(self._check)
            ended = datetime.now().astimezone() - timedelta(seconds=checked.age_s)
            self.last_check = LastCheck(ended.isoformat(timespec="seconds"), checked.findings)
            return self.last_check
        finally:
            self._checking = None
            self.on_check()

    async def _change(self, change: Callable[..., Any], value: Any, require: Callable[[], None] = lambda: None) -> Any:
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._changing.acquire()
        except TimeoutError:
            raise StatusError("the device is busy with another request", fix="try again in a moment") from None
        try:
            require()
            return await asyncio.to_thread(change, value)
        finally:
            self._changing.release()


async def _in_thread(function: Callable[[], Checked]) -> Checked:
    """Call a function in a thread that the end of this process does not wait for, unlike `asyncio.to_thread`."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Checked] = loop.create_future()

    def deliver(set_result: Callable[[Any], None], value: object) -> None:
        if not result.done():  # cancelled
            set_result(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = (result.set_result, function())
        except Exception as error:  # noqa: BLE001  # raised where the result is awaited
            outcome = (result.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            loop.call_soon_threadsafe(deliver, *outcome)

    threading.Thread(target=run, name="check", daemon=True).start()
    return await result


def _status() -> dict[str, Any] | None:
    status = running_daemon()
    return None if status is None else asdict(status)
