"""`edge-mcnn web`. From Python: `device.web.serve`."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_mcnn.options import Config, load_settings, require
from edge_mcnn.output import out

if TYPE_CHECKING:
    from device.settings.schema import Settings

_KEEP_DAYS = 30


def web_command(
    config: Config = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="ADDRESS",
            help="Serve the page at this address: 127.0.0.1 for this machine alone, 0.0.0.0 for all devices in the "
            "network, which needs a password.",
            show_default="the one in the settings",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Serve it at this port.", show_default="the one in the settings"),
    ] = None,
    set_password: Annotated[
        bool, typer.Option("--set-password", help="Set the password of the page, and end all sessions.")
    ] = False,
    remove_password: Annotated[
        bool, typer.Option("--remove-password", help="Remove the password of the page, and end all sessions.")
    ] = False,
    make_token: Annotated[
        str | None,
        typer.Option(
            "--make-token", metavar="NAME", help="Print a token for scripts, for the header Authorization: Bearer."
        ),
    ] = None,
    remove_token: Annotated[
        str | None, typer.Option("--remove-token", metavar="NAME", help="Make the token of this name invalid.")
    ] = None,
) -> None:
    """Serve a page that shows the device live, and the predictions of the past.

    Open it in a browser of this machine: http://127.0.0.1:8350/. For other devices in the network, set a password, and
    start it with --address 0.0.0.0. It reads what the running device publishes; the device itself opens no port.

    For example:

        edge-mcnn web
        edge-mcnn web --set-password
        edge-mcnn web --address 0.0.0.0
    """
    if sum((set_password, remove_password, make_token is not None, remove_token is not None)) > 1:
        raise typer.BadParameter("use one of --set-password, --remove-password, --make-token and --remove-token")
    if set_password:
        _set_password()
    elif remove_password:
        _remove_password()
    elif make_token is not None:
        _make_token(make_token)
    elif remove_token is not None:
        _remove_token(remove_token)
    else:
        _serve(config, address, port)


def _serve(config: Path | None, address: str | None, port: int | None) -> None:
    """Become the server of the page, see `edge_mcnn.watch.web_server`."""
    require_page_packages()
    if sys.stdin is not None and sys.stdin.isatty():
        offer_history(load_settings(config), config)
    verbose = logging.getLogger().isEnabledFor(logging.INFO)
    values = ("1" if verbose else "", str(config or ""), address or "", str(port or ""))
    os.execv(sys.executable, [sys.executable, "-m", "edge_mcnn.watch.web_server", *values])  # noqa: S606  # this program


def require_page_packages() -> None:
    """Check that the packages of the page are installed.

    Raises:
        TrainingError: one of them is not.
    """
    require("aiohttp", "jinja2", purpose="the page", extra="web")


def offer_history(settings: "Settings", config: Path | None) -> None:
    """Offer to store a history unless the settings file has decided that, and write the decision there.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed at the question; nothing is decided.
    """
    from device.settings.edit import set_value
    from device.settings.toml import names_setting

    if settings.history.keep_days:
        return
    if config is None:
        out.announce(
            "No history is stored. To store predictions, write keep_days = 30 under [history] in a settings file, and "
            "name it with --config."
        )
        return
    if names_setting(config, "history", "keep_days"):
        return
    keeps = out.confirm(
        f"Store the predictions of the last {_KEEP_DAYS} days, without audio and words, so that the page can show "
        "them?",
        default=False,  # Enter alone stores nothing about anybody
        interruptible=True,
    )
    days = _KEEP_DAYS if keeps else 0
    set_value(config, "history", "keep_days", days)
    out.announce(f"{config}: keep_days = {days} under [history]")


def _set_password() -> None:
    import getpass

    from device.errors import WebError
    from device.web.access.folder import state_folder
    from device.web.access.passwords import FILE, write_password

    if sys.stdin.isatty():
        password = _usable_password(lambda: getpass.getpass("Password: "))
        if getpass.getpass("The same again: ") != password:
            raise WebError("the two passwords differ", fix="run the command again")
    else:
        password = sys.stdin.readline().rstrip("\n")
    folder = state_folder()
    write_password(folder, password)
    out.line(f"{folder / FILE}: the password is set; all sessions have ended")


def _usable_password(read: Callable[[], str]) -> str:
    """Read a password until its length is allowed."""
    from device.errors import WebError
    from device.web.access.passwords import check_length

    while True:
        password = read()
        try:
            check_length(password)
        except WebError as error:
            out.error(error)
        else:
            return password


def _remove_password() -> None:
    from device.web.access.folder import state_folder
    from device.web.access.passwords import FILE, remove_password

    folder = state_folder()
    out.line(f"{folder / FILE}: {'the password is removed' if remove_password(folder) else 'there was no password'}")


def _make_token(name: str) -> None:
    from device.web.access.folder import state_folder
    from device.web.access.tokens import make_token, read_tokens

    folder = state_folder()
    replaced = name in read_tokens(folder).values()
    out.line(make_token(folder, name))
    out.announce("Store it now: it is not shown again.")
    if replaced:
        out.announce(f"The former token {name} is no longer valid.")


def _remove_token(name: str) -> None:
    from device.web.access.folder import state_folder
    from device.web.access.tokens import remove_token

    remove_token(state_folder(), name)
    out.line(f"the token {name} is removed")
