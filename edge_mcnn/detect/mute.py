"""`edge-mcnn mute`. From Python: `device.daemon.control.set_muted`."""

from enum import StrEnum
from typing import Annotated

import typer

from edge_mcnn.options import Json
from edge_mcnn.output import out


class Muting(StrEnum):
    """What `edge-mcnn mute` does."""

    ON = "on"
    OFF = "off"
    TOGGLE = "toggle"


def mute_command(
    action: Annotated[
        Muting,
        typer.Argument(help="on closes the microphone, off opens it, toggle changes it.", show_default=False),
    ],
    json: Json = False,
) -> None:
    """Close the microphone of the running device, or open it again.

    While it is muted, the microphone is closed: nothing is recorded, and no program listens. One LED flashes every
    four seconds. The command returns when the microphone is closed, or open and delivering audio. It controls the
    service, else your own `listen`; for the service you must be in the group audio, or use sudo.

    The device can also be muted by a button on a pin, by the key m in `listen`, and by MQTT; all of them see the same
    state. It stays muted over a restart unless the settings say otherwise; see [mute] in docs/settings.md.

    For example:

        edge-mcnn mute on
        edge-mcnn mute toggle
        edge-mcnn status
    """
    from device.daemon.control import set_muted

    muted, message = set_muted(None if action == Muting.TOGGLE else action == Muting.ON)
    if json:
        out.json({"muted": muted, "message": message})
    else:
        out.line(message)
