"""`edge-mcnn microphones`. From Python: `device.audio.microphone.list_microphones`."""

from device.errors import AudioError
from edge_mcnn.options import Json
from edge_mcnn.output import out


def microphones_command(json: Json = False) -> None:
    """List the microphones of this machine.

    For each microphone the list shows its name, sample rate and number of channels; --json prints one object per
    line. Exit status: 0 if there is a microphone, 1 if there is none.

    Example: `edge-mcnn microphones`
    """
    from dataclasses import asdict

    from device.audio.microphone import list_microphones

    found = list_microphones()
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

    table = Table("name", "rate", "channels", "", box=None)
    for each in found:
        table.add_row(
            displayable(each.name), f"{each.rate} Hz", str(each.channels), "default" if each.is_default else ""
        )
    out.console().print(table)
