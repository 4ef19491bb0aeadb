"""What the service may reach of the network: nothing, unless the settings name a broker.

Whether that is to be, and where the file is put, `device.running.service` knows.
"""

import ipaddress
from pathlib import Path

from device.errors import ServiceError
from device.settings import MqttSettings


def network_drop_in(settings: MqttSettings) -> str:
    """A drop-in for the unit that lets it reach the broker, and read its password.

    Where the broker has an address instead of a name, or is on this machine, nothing else can be reached.

    Raises:
        ServiceError: the path of the password cannot be told to systemd.
    """
    lines = [
        "# Written by `edge-mcnn service install`, since the settings name an MQTT broker; without one it is removed.",
        "[Service]",
        "PrivateNetwork=no",
        "RestrictAddressFamilies=AF_INET AF_INET6",
        f"IPAddressAllow={address}" if (address := _address(settings.host)) else "IPAddressDeny=",
    ]
    if settings.password_file:
        path = settings.password_file
        if not Path(path).is_absolute() or any(char.isspace() or char in "%:\\\"'" for char in path):
            raise ServiceError(
                f"mqtt.password_file is {path!r}; a service needs a whole path, without spaces, quotes, colons or %"
            )
        # Read by systemd: the user that the service runs as does not exist yet, and no other user shall read it.
        lines += [f"LoadCredential=mqtt-password:{path}", "Environment=EDGE_MCNN_MQTT_PASSWORD_FILE=%d/mqtt-password"]
    return "\n".join(lines) + "\n"


def _address(host: str) -> str:
    """The address of a host as systemd takes it; empty if only the network knows it."""
    if host == "localhost":
        return host
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""
