"""Runs the web server: opens its address, reports it, and ends it in order."""

import asyncio
import errno
import ipaddress
import os
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from device.daemon.systemd import Systemd
from device.errors import WebError
from device.history.history_path import history_path
from device.history.store import History
from device.settings.schema import HistorySettings, Settings, WebSettings
from device.system.display import displayable, on_one_line
from device.web.access.access import Access
from device.web.access.folder import state_folder
from device.web.access.passwords import read_password
from device.web.access.tokens import read_tokens
from device.web.app import create_app, own_names
from device.web.connections import Connections
from device.web.services import Services
from device.web.sources.daemon_requests import DaemonRequests
from device.web.sources.history_thread import HistoryThread
from device.web.sources.live import LiveState
from device.web.stream import Hub

_BACKLOG = 128
_HIGHEST_PORT = 65535
_FIRST_PASSED = 3
"""Number of the first file that systemd passes to a process."""
_END_LIMIT_S = 3.0
_BUSY_S = 2.0
"""Seconds that storing waits while another program writes the history: a page that is opened then waits for it."""
_WORKERS = 3
"""Threads for what may take long: a hash of a password, a request to the daemon, and reading its status."""
_FIXES = {
    errno.EADDRNOTAVAIL: "use 127.0.0.1, 0.0.0.0 or an address of this machine",
    errno.EACCES: "choose a port from 1024 on, such as: edge-mcnn web --port 8350",
}
"""Fixes by the number of the error, where the fix is not another port."""


@dataclass(frozen=True)
class Address:
    """Where the page is served."""

    host: str
    port: int
    family: socket.AddressFamily

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_any(self) -> bool:
        """Whether it stands for all addresses of the machine."""
        return ipaddress.ip_address(self.host).is_unspecified


def serve(
    settings: Settings,
    announce: Callable[[str], None],
    *,
    settings_file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Args:
        settings: the settings; `web` and `history` are used, all are shown.
        announce: called with a line about where the page is, and when it ends.
        settings_file: where the settings are from; None for the defaults.
        environment: variables with the folder for the password, and systemd's.

    Raises:
        WebError: the address cannot be opened, needs a password, or the certificate cannot be used.
    """
    passed = passed_socket(environment)
    address = resolved(settings.web) if passed is None else address_of(passed)
    tls = tls_context(settings.web)
    folder = state_folder(environment)

    read_password(folder)  # damaged ones are refused now; later nobody could log in
    read_tokens(folder)

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_WORKERS, thread_name_prefix="web"))
        access = Access(folder, login_needed=not address.is_loopback, secure=tls is not None)
        require_login(address, access)
        services = Services(
            settings=settings,
            settings_file=settings_file,
            access=access,
            live=LiveState(),
            hub=Hub(),
            history=HistoryThread(_history(settings.history, environment)),
            daemon=DaemonRequests(),
            names=own_names(settings.web.names),
        )
        await _serve(create_app(services), address, tls, announce, Systemd(environment), passed)

    asyncio.run(run())


def _history(settings: HistorySettings, environment: Mapping[str, str]) -> Callable[[], History] | None:
    """What opens the history; None if none is to be stored."""
    if not settings.keep_days:
        return None
    return lambda: History(
        history_path(environment),
        keep_days=settings.keep_days,
        max_mb=settings.max_mb,
        words=settings.words,
        busy_s=_BUSY_S,
    )


def resolved(settings: WebSettings) -> Address:
    """The address in the settings.

    Raises:
        WebError: it is not one of this machine.
    """
    try:
        found = socket.getaddrinfo(settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = on_one_line(getattr(error, "strerror", None) or error)
        raise WebError(
            f"web.address is {displayable(settings.address)}, which is not known ({reason})",
            fix="use 127.0.0.1, 0.0.0.0 or an address of this machine",
        ) from None
    family, _, _, _, where = found[0]
    return Address(str(where[0]), settings.port, family)


def passed_socket(environment: Mapping[str, str]) -> socket.socket | None:
    """Return the listening socket that systemd opened for this process; None if there is none.

    With it the server needs no network of its own, see `sd_listen_fds(3)`.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=_FIRST_PASSED)


def address_of(listener: socket.socket) -> Address:
    """Where a listening socket can be reached."""
    host, port = listener.getsockname()[:2]
    return Address(host, port, socket.AddressFamily(listener.family))


def require_login(address: Address, access: Access) -> None:
    """Check that the page has a password or a token if other machines can reach it.

    Raises:
        WebError: it has none.
    """
    if not address.is_loopback and not access.has_password and not access.has_tokens:
        raise WebError(
            f"web.address is {address.host}, which other machines can reach, and no password is set",
            fix="set one: edge-mcnn web --set-password",
        )


def tls_context(settings: WebSettings) -> ssl.SSLContext | None:
    """The certificate in the settings; None without one.

    Raises:
        WebError: it cannot be used.
    """
    if not settings.certificate_file and not settings.key_file:
        return None
    for name in ("certificate_file", "key_file"):
        path = getattr(settings, name)
        if not path:
            raise WebError(f"web.{name} is missing", fix="set both certificate_file and key_file, or neither")
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise WebError(
                f"web.{name}: {displayable(path)} cannot be read ({error.strerror})", fix="name a PEM file"
            ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file, password=_no_passphrase)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise WebError(
            f"web.certificate_file and web.key_file cannot be used ({on_one_line(reason)})",
            fix="use a certificate (PEM) and its private key, without a passphrase",
        ) from None
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")  # OpenSSL would prompt for it


def listening_socket(address: Address) -> socket.socket:
    """Open the address.

    Raises:
        WebError: it is in use, or not one of this machine.
    """
    listener = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not address.is_any)
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        other = address.port + 1 if address.port < _HIGHEST_PORT else address.port - 1
        in_use = f"end the program that uses it, or choose another: edge-mcnn web --port {other}"
        fix = _FIXES.get(error.errno or 0, in_use)
        raise WebError(f"{address.host} port {address.port} cannot be opened ({error.strerror})", fix=fix) from None
    return listener


def url(address: Address, *, tls: bool) -> str:
    """What to type into a browser."""
    name = address.host
    if address.is_any:
        name = f"{socket.gethostname().partition('.')[0]}.local"
    return f"http{'s' if tls else ''}://{f'[{name}]' if ':' in name else name}:{address.port}/"


async def _serve(
    app: web.Application,
    address: Address,
    tls: ssl.SSLContext | None,
    announce: Callable[[str], None],
    systemd: Systemd,
    passed: socket.socket | None,
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    listener = passed or listening_socket(address)
    runner = web.AppRunner(app, shutdown_timeout=_END_LIMIT_S)
    try:
        await runner.setup()
        assert runner.server is not None  # noqa: S101  # set up one line above
        async with Connections(runner.server, tls).accepting(listener):
            announce(f"the page is at {url(address, tls=tls is not None)}{'' if passed else ' (Ctrl-C ends it)'}")
            systemd.ready()
            period_s = systemd.watchdog_s / 2 if systemd.watchdog_s else None
            while not ended.is_set():
                try:
                    async with asyncio.timeout(period_s):
                        await ended.wait()
                except TimeoutError:
                    systemd.alive()
            systemd.stopping()
    finally:
        listener.close()
        await runner.cleanup()
