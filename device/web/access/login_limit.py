"""The limit on attempts to log in: so many a minute from one address, and so many from all of them."""

import ipaddress
import time
from collections import deque
from collections.abc import Callable

PER_ADDRESS, IN_ALL = 5, 20
WINDOW_S = 60.0
LOOPBACK = "loopback"
"""The `network` of this machine itself, whose addresses are too many to count each."""


class LoginLimit:
    """Counts attempts; it remembers only those of the last minute that were allowed, so it cannot grow.

    Args:
        clock: seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        return len(self._attempts)

    def wait_s(self, address: str) -> float:
        """Count an attempt from an address if it is allowed.

        Returns:
            0 if it is allowed, else the seconds until the next one is.
        """
        now = self._clock()
        while self._attempts and self._attempts[0][0] <= now - WINDOW_S:
            self._attempts.popleft()
        client = network(address)
        own = [at for at, each in self._attempts if each == client]
        for attempts, most in ((own, PER_ADDRESS), ([at for at, _ in self._attempts], IN_ALL)):
            if len(attempts) >= most:
                return max(attempts[0] + WINDOW_S - now, 1e-3)
        self._attempts.append((now, client))
        return 0.0


def network(address: str) -> str:
    """What one machine cannot change as it likes: of an IPv6 address only the first half."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    if parsed.is_loopback:
        return LOOPBACK
    return str(ipaddress.ip_network((parsed, 64), strict=False) if parsed.version == 6 else parsed)
