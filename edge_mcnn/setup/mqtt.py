"""`edge-mcnn mqtt forget`. From Python: `device.outputs.mqtt.forget`."""

from dataclasses import replace
from typing import Annotated

import typer

from device.system.display import counted
from edge_mcnn.options import Config, load_settings
from edge_mcnn.output import out

mqtt_commands = typer.Typer(
    help="Remove this device from an MQTT broker and from Home Assistant.", no_args_is_help=True
)


@mqtt_commands.command("forget")
def forget_command(
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Remove the device of this name, such as a former name, instead of the one in the settings.",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Remove this device from the MQTT broker, and so from Home Assistant.

    The broker stores what Home Assistant discovers, and the last states, until they are removed. Stop the device
    first: when it connects again, it publishes them again. `service uninstall` does this, too.

    Example: `sudo .venv/bin/edge-mcnn mqtt forget --config /etc/edge-mcnn/config.toml --device kitchen`
    """
    from device.outputs.mqtt.forget import forget

    settings = load_settings(config).mqtt
    if device is not None:
        settings = replace(settings, device=device)
    done = forget(settings)
    if done.messages:
        out.line(f"removed {counted(done.messages, 'message')} of {done.device} from {done.broker}")
    else:
        out.line(f"{done.broker} has no messages of {done.device}, or its user may not read them")
    if done.online:
        out.announce(f"{done.device} is online and will be back when it connects again; stop it, then repeat this")
