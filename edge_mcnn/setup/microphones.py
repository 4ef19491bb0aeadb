"""`edge-mcnn microphones`. From Python: `device.audio.microphone.list_microphones`."""

from typing import Annotated

import typer

from device.errors import AudioError
from edge_mcnn.options import Json
from edge_mcnn.output import out


def microphones_command(
    every: Annotated[
        bool, typer.Option("--all", help="List the plug-ins of ALSA, too, which record from another microphone.")
    ] = False,
    json: Json = False,
) -> None:
    """List the microphones of this machine.

    For each microphone the list shows its name, sample rate, number of channels and kind: a device, or a name from
    ALSA's configuration, such as `default` or that of a sound server. Of a sound card it also shows what selects it
    independently of its name: the ID of the card, and vendor and product if it is a USB device. Plug-ins of ALSA are
    listed with --all, or if there is nothing else; the settings accept their names, too. --json prints one object per
    line.

    Exit status: 0 if there is a microphone, 1 if there is none.

    Example: `edge-mcnn microphones`
    """
    from dataclasses import asdict

    from device.audio.microphone import list_microphones, without_plugins

    available = list_microphones()
    found = available if every else without_plugins(available)
    if not found:
        raise AudioError(
            "no microphone found", fix="plug one in, and check that this user is in the group audio: groups"
        )
    if json:
        for each in found:
            out.json(asdict(each))
        return
    from rich.table import Table

    from device.system.display import displayable

    table = Table("name", "rate", "channels", "kind", "card", "USB ID", "", box=None)
    for each in found:
        table.add_row(
            displayable(each.name),
            f"{each.rate} Hz",
            str(each.channels),
            each.kind,
            displayable(f"card:{each.card_id}" if each.card_id else ""),
            displayable(each.usb_id),
            "default" if each.is_default else "",
        )
    out.console().print(table)
    if hidden := len(available) - len(found):
        out.announce(f"{hidden} {'plug-in' if hidden == 1 else 'plug-ins'} of ALSA not listed: --all lists them")
