"""`edge-mcnn web`. From Python: `device.web.serve`."""

from dataclasses import replace
from typing import Annotated

import typer

from edge_mcnn.options import Config, load_settings, require
from edge_mcnn.output import out


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
    """Serve a page that shows the device live, and what it has stored of the past.

    Open it in a browser of this machine: http://127.0.0.1:8350/. For other devices in the network, set a password, and
    start it with --address 0.0.0.0. It reads what the running device publishes; the device itself opens no port.

    For example:

        edge-mcnn web
        edge-mcnn web --set-password
        edge-mcnn web --address 0.0.0.0
    """
    from device.web.access.folder import state_folder

    if sum((set_password, remove_password, make_token is not None, remove_token is not None)) > 1:
        raise typer.BadParameter("use one of --set-password, --remove-password, --make-token and --remove-token")
    if set_password:
        _set_password()
        return
    if remove_password:
        from device.web.access.passwords import remove_password as remove

        folder = state_folder()
        out.line(f"{folder}: {'the password is removed' if remove(folder) else 'no password was set'}")
        return
    if make_token is not None:
        from device.web.access.tokens import make_token as make

        out.line(make(state_folder(), make_token))
        out.announce("Store it now: it is not shown again.")
        return
    if remove_token is not None:
        from device.web.access.tokens import remove_token as remove_one

        remove_one(state_folder(), remove_token)
        out.line(f"the token {remove_token} is removed")
        return
    require("aiohttp", "jinja2", purpose="the page", extra="web")
    from device.web.serve import serve

    settings = load_settings(config)
    served = replace(settings.web, address=address or settings.web.address, port=port or settings.web.port)
    serve(replace(settings, web=served), out.announce, settings_file=config)


def _set_password() -> None:
    import getpass
    import sys

    from device.errors import WebError
    from device.web.access.folder import state_folder
    from device.web.access.passwords import write_password

    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("The same again: ") != password:
            raise WebError("the two passwords differ", fix="run the command again")
    else:
        password = sys.stdin.readline().rstrip("\n")
    folder = state_folder()
    write_password(folder, password)
    out.line(f"{folder}: the password is set, and all sessions have ended")
