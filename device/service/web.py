"""Installs the page of `edge-mcnn web` as a service beside that of the daemon, and removes it.

The page is a process of its own, with its own user and sandbox: the daemon does not notice whether it runs. systemd
opens its port, so that it needs no network.
"""

import contextlib
import importlib.util
import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from device.errors import ServiceError
from device.history.history_path import SERVICE_HISTORY
from device.service.changes import ServiceChange, file_change
from device.service.systemctl import (
    UNIT_FILE,
    WEB_NAME,
    WEB_SOCKET_NAME,
    is_active,
    is_enabled,
    restart,
    systemctl,
)
from device.service.unit import web_socket_text, web_unit_text
from device.settings.schema import Settings, WebSettings
from device.system.display import displayable

WEB_UNIT_FILE = UNIT_FILE.with_name(WEB_NAME)
WEB_SOCKET_FILE = UNIT_FILE.with_name(WEB_SOCKET_NAME)
WEB_STATE = SERVICE_HISTORY.parent
"""Folder of the history, the password and the sessions of the service."""
PASSWORD_NAME = "web-password"  # noqa: S105  # the name of a file
_PRIVATE_STATE = Path("/var/lib/private", WEB_STATE.name)
"""Where systemd puts that folder, because the user of the service exists only while it runs."""
_PACKAGES = ("aiohttp", "jinja2")


def is_web_installed() -> bool:
    """Whether the page is installed as a service."""
    return WEB_UNIT_FILE.exists()


def plan_web(config: Path, settings: WebSettings) -> list[ServiceChange]:
    """Plan to install the page, or to bring it up to date; nothing is changed.

    Args:
        config: settings file of the daemon.
        settings: `[web]` in it.

    Raises:
        ServiceError: it cannot be installed, such as for a missing password.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ServiceError(
            f"the page needs {' and '.join(missing)}, not installed here", fix="run: pip install 'edge-mcnn[web]'"
        )
    socket_text = web_socket_text(config, settings)
    if not _is_loopback(settings.address) and not (WEB_STATE / PASSWORD_NAME).exists():
        raise ServiceError(
            f"{config}: web.address is {settings.address}, so that others can open the page, and it has no password",
            fix="set one: sudo edge-mcnn web --set-password",
        )
    changes = [
        file_change(WEB_SOCKET_FILE, socket_text.encode(), "page: socket unit"),
        file_change(WEB_UNIT_FILE, web_unit_text(config, settings).encode(), "page: unit"),
    ]
    units = (WEB_SOCKET_NAME, WEB_NAME)
    if any(change.apply for change in changes) or not all(is_active(each) and is_enabled(each) for each in units):
        changes += [
            ServiceChange(
                f"enable {WEB_NAME}: it starts with this machine", lambda: systemctl("enable", "--quiet", *units)
            ),
            ServiceChange(f"start {WEB_NAME}", lambda: restart(WEB_NAME, WEB_SOCKET_NAME)),
        ]
    return changes


def plan_web_removal(*, purge: bool) -> list[ServiceChange]:
    """Plan to remove the page; nothing is changed. Empty if it is not installed and left nothing.

    Args:
        purge: remove the history and the password as well.
    """
    changes: list[ServiceChange] = []
    if WEB_UNIT_FILE.exists() or WEB_SOCKET_FILE.exists():
        units = (WEB_SOCKET_NAME, WEB_NAME)
        changes = [
            ServiceChange(f"stop and disable {WEB_NAME}", lambda: systemctl("disable", "--now", "--quiet", *units)),
            ServiceChange(f"remove {WEB_UNIT_FILE} and {WEB_SOCKET_FILE}", _remove_units),
        ]
    if os.path.lexists(WEB_STATE) or os.path.lexists(_PRIVATE_STATE):
        if purge:
            changes.append(ServiceChange(f"remove {WEB_STATE}", _remove_state))
        else:
            what = f"keep {displayable(WEB_STATE)}, the history and the password of the page"
            changes.append(ServiceChange(f"{what}; --purge removes it, too"))
    return changes


def about_page(settings: Settings) -> Iterator[str]:
    """Yield lines about how the page is opened, what it keeps, and how to change that."""
    yield f"The page: {page_address(settings.web)}"
    if _is_loopback(settings.web.address):
        yield (
            'To open it on your phone: write address = "0.0.0.0" under [web] in /etc/edge-mcnn/config.toml, then run: '
            "sudo edge-mcnn web --set-password && sudo edge-mcnn service install --web"
        )
    if not settings.history.keep_days:
        yield (
            "It keeps no history. To keep one: write keep_days = 30 under [history] there, then run: sudo systemctl "
            "restart edge-mcnn-web"
        )


def page_address(settings: WebSettings) -> str:
    """Return the address of the page, as people type it into a browser."""
    everywhere = settings.address in ("0.0.0.0", "::")  # noqa: S104  # nothing is bound here
    host = f"{socket.gethostname()}.local" if everywhere else settings.address
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.certificate_file else 'http'}://{host}:{settings.port}"


def _is_loopback(address: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return address == "localhost"


def _remove_units() -> None:
    for path in (WEB_UNIT_FILE, WEB_SOCKET_FILE):
        path.unlink(missing_ok=True)
    systemctl("daemon-reload")
    with contextlib.suppress(ServiceError):  # it had never failed
        systemctl("reset-failed", WEB_NAME)


def _remove_state() -> None:
    if WEB_STATE.is_symlink():
        WEB_STATE.unlink()
    for folder in (WEB_STATE, _PRIVATE_STATE):
        if folder.exists():
            shutil.rmtree(folder)
