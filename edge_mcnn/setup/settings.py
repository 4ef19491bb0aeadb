"""`edge-mcnn settings`. From Python: `device.settings.toml`."""

from pathlib import Path
from typing import Annotated

import typer

from edge_mcnn.options import SETTINGS, Config, load_settings
from edge_mcnn.output import out
from edge_mcnn.paths import input_file


def settings_command(
    show: Annotated[
        bool, typer.Option("--show", help="Print all settings as a TOML file with comments: meaning and limits.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="FILE",
            parser=input_file(SETTINGS, pipes=True),
            help="Report every mistake in a settings file by line.",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Print every setting with its meaning, or check a settings file.

    An environment variable sets a single value and overrides the file: EDGE_MCNN_ENDPOINT_HANG_OVER_S=0.8 sets
    hang_over_s in [endpoint]. With --config, --show prints the values of that file instead of the defaults.

    Exit status of --check: 0 if the file is valid, 1 if it is not.

    For example:

        edge-mcnn settings --show > my.toml
        edge-mcnn settings --check my.toml
    """
    from dataclasses import asdict

    from device.settings.broker import doubts
    from device.settings.toml import as_toml, check_file, read_settings

    if show == (check is not None):
        raise typer.BadParameter("use either --show or --check FILE")
    if check is None:
        out.line(as_toml(load_settings(config)))
        return
    found = check_file(check)
    for mistake in found:
        out.line(str(mistake))
    if found:
        raise typer.Exit(1)
    for doubt in doubts(asdict(read_settings(check).mqtt)):
        out.line(f"{check}: warning: {doubt.message}; {doubt.fix}")
    out.line(f"{check}: no mistakes found")
