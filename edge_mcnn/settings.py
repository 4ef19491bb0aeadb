"""The command `edge-mcnn settings`; what it does can be called in `device.settings.toml`."""

import os
from pathlib import Path
from typing import Annotated

import typer


def settings_command(
    show: Annotated[
        bool, typer.Option("--show", help="Print all settings as a TOML file, each with its meaning and its limits.")
    ] = False,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Say what is wrong in a file, line by line.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="With --show: print the values of this file, not the defaults.")
    ] = None,
) -> None:
    """Show every setting of every stage, or check a file of settings.

        edge-mcnn settings --show > my.toml

    Each can also be set in the environment, which wins over the file: EDGE_MCNN_ENDPOINT_HANG_OVER_S=0.8 for
    hang_over_s in [endpoint].

    Exit status of --check: 0 if the file is right, 1 if not.
    """
    from device.settings.toml import as_toml, check_file, read_settings

    if show == (check is not None):
        raise typer.BadParameter("say either --show or --check FILE")
    if check is None:
        print(as_toml(read_settings(config, os.environ)))
        return
    found = check_file(check)
    for mistake in found:
        print(mistake)
    if found:
        raise typer.Exit(1)
    print(f"{check}: all right")
