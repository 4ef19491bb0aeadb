"""What a service tells systemd: that it is ready, how it is, and that it still lives (sd_notify(3)).

Outside systemd all of it does nothing. Whether the daemon is ready or lives, this module does not know.
"""

import os
import socket
from collections.abc import Mapping


class Systemd:
    """The service manager that started this process, if one did.

    Args:
        environment: where it says how to be reached.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte of an abstract address.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watched = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(microseconds) / 1e6 if watched and microseconds.isdigit() else None
        """Seconds without `alive` after which it ends this process; None if it does not watch."""

    def ready(self) -> None:
        """The service works."""
        self._tell("READY=1")

    def status(self, line: str) -> None:
        """What `systemctl status` shows."""
        self._tell(f"STATUS={' '.join(line.split())}")

    def alive(self) -> None:
        """The watchdog may wait once more."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The service is about to end."""
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as messenger:
            messenger.settimeout(1)  # a daemon that waits for systemd is deaf meanwhile
            try:
                messenger.sendto(message.encode(), self._address)
            except OSError:
                return  # it restarts, perhaps; the next message will reach it
