"""The unit file of the service, filled in for this machine: what it runs, and what of the homes it may read.

Where it is put and what else a service needs, `device.service.install` knows.
"""

import ipaddress
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from device.errors import ServiceError
from device.settings.schema import MqttSettings

NAME = "edge-mcnn.service"
GROUPS = ("audio", "gpio")
"""Who may use sound cards, and pins."""
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""Out of reach of the service; where something in them is needed, empty but for that, in memory of its own."""
_GONE = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # nothing is made there
_PLACES = (
    Path(__file__).parents[2] / "systemd" / NAME,
    Path(sys.prefix) / "share" / "edge-mcnn" / NAME,
)


def unit_text(config: Path, groups: Sequence[str], readable: Iterable[Path] = ()) -> str:
    """The unit for this Python.

    Args:
        config: settings of the daemon.
        groups: those of `GROUPS` that the machine has.
        readable: files and folders of the user's that the settings name.

    Raises:
        ServiceError: the service could not read something that it needs.
    """
    template = next((place for place in _PLACES if place.is_file()), None)
    if template is None:
        raise ServiceError(f"{NAME} is missing from this installation; install edge-mcnn again")
    needed = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2], *readable]
    bound = sorted({path for path in needed if any(path.is_relative_to(hidden) for hidden in _HIDDEN)})
    for path in needed:
        _check_readable(path)
    # One in another is there already.
    outer = [path for path in bound if not any(path != other and path.is_relative_to(other) for other in bound)]
    filled = {
        "@EXECUTABLE@": str(_executable()),
        "@CONFIG@": str(config),
        "@GROUPS@": " ".join(groups),
        "@HOMES@": "\n".join(
            [f"ProtectHome={'tmpfs' if outer else 'yes'}", *(f"BindReadOnlyPaths={path}" for path in outer)]
        ),
    }
    text = template.read_text("utf-8")
    for place, value in filled.items():
        text = text.replace(place, value)
    return text


def _executable() -> Path:
    beside = Path(sys.executable).parent / "edge-mcnn"
    if not beside.is_file():
        raise ServiceError(f"{beside} is missing; install edge-mcnn into this Python's own folder, best a venv")
    return beside


def _check_readable(path: Path) -> None:
    """Whether a user without rights can get at it, of the homes with only what is bound in place."""
    if any(char.isspace() or char in "%:\\\"'" for char in str(path)):
        raise ServiceError(f"{path}: systemd cannot be told a path with spaces, quotes, colons or %; move it")
    if any(path.is_relative_to(gone) for gone in _GONE):
        raise ServiceError(f"{path} is gone after the next start of this machine; move it, to /opt for example")
    try:
        own = path.stat()
    except OSError as error:
        raise ServiceError(f"{path}: cannot be read ({error.strerror})") from None
    wanted = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(own.st_mode) else 0)
    if own.st_mode & wanted != wanted:
        raise ServiceError(f"{path}: the service, a user of its own, cannot read it; run: sudo chmod -R o+rX {path}")
    if not any(path.is_relative_to(hidden) for hidden in _HIDDEN):
        _check_parents(path)


def _check_parents(path: Path) -> None:
    for parent in path.parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise ServiceError(
                f"{parent}: the service, a user of its own, cannot enter it; run: sudo chmod o+x {parent}"
            )


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
