"""Notifies systemd that the service is ready, of its status, and that it is still alive (sd_notify(3)).

Outside systemd all methods do nothing. Whether the daemon is ready or alive is decided by the caller.
"""

import os
import socket
from collections.abc import Mapping

from device.system.display import on_one_line


class Systemd:
    """The service manager that started this process, if one did.

    Args:
        environment: variables in which systemd passes the address of its socket and the watchdog's period.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte of an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watched = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(microseconds) / 1e6 if watched and microseconds.isdigit() else None
        """Seconds without `alive` after which systemd kills this process; None if there is no watchdog."""

    def ready(self) -> None:
        """Report that the service works."""
        self._notify("READY=1")

    def status(self, line: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._notify(f"STATUS={on_one_line(line)}")

    def alive(self) -> None:
        """Restart the period of the watchdog."""
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the service is about to end."""
        self._notify("STOPPING=1")

    def _notify(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notification:
            notification.settimeout(1)  # no audio is processed while this waits
            try:
                notification.sendto(message.encode(), self._address)
            except OSError:
                return  # systemd may be restarting; the next message will reach it
