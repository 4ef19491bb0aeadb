"""The unit files of the service and of the page, and the network drop-in, filled in for this machine.

The unit states which Python the service runs, and which parts of the home folders it may read. The service has no
network access unless the settings name an MQTT broker: then the drop-in permits access to that broker. Where the
files are installed, and when, is decided in `device.service.install`.
"""

import importlib.util
import ipaddress
import shlex
import stat
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from device.errors import ServiceError
from device.service.file_modes import unreadable
from device.service.systemctl import NAME, WEB_NAME, WEB_SOCKET_NAME
from device.settings.schema import MqttSettings, WebSettings
from device.system.display import shell_quoted

_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""Folders that the service cannot see. If it needs something in them, an empty file system in memory takes their
place, into which only the needed paths are mounted."""
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # nothing is created there
_TEMPLATES = (Path(__file__).parents[2] / "systemd", Path(sys.prefix) / "share" / "edge-mcnn")
_MODULES = ("gpiozero", "lgpio", "numpy", "rich", "sounddevice", "soundfile", "soxr", "typer", "vosk")
"""Modules that the daemon imports."""
_MISREAD = frozenset("%:\\\"'")
"""Characters with a meaning of their own in paths in unit files, besides whitespace."""


def unit_text(config: Path, groups: Sequence[str], readable: Iterable[Path] = ()) -> str:
    """Fill in the unit file so that the service runs this Python.

    Args:
        config: settings file of the daemon.
        groups: those whose members may use the sound cards and GPIO pins of this machine.
        readable: files and folders of the user that the settings name.

    Raises:
        ServiceError: the service could not read a file that it needs, or this installation is incomplete.
    """
    values = {"@CONFIG@": str(config), "@GROUPS@": " ".join(groups)}
    return _filled(NAME, values | _python_values(list(readable)))


def web_unit_text(config: Path, settings: WebSettings) -> str:
    """Fill in the unit file of the page, so that it runs this Python.

    Args:
        config: settings file of the daemon.
        settings: where the page can be opened, and the certificate.

    Raises:
        ServiceError: the service could not read a file that it needs, or this installation is incomplete.
    """
    files = {"certificate_file": settings.certificate_file, "key_file": settings.key_file}
    # systemd reads them: the service's user does not exist yet, and no other user may read the key.
    credentials = [
        line
        for name, path in files.items()
        if path
        for line in (
            f"LoadCredential={name}:{_credential(f'web.{name}', path)}",
            f"Environment=EDGE_MCNN_WEB_{name.upper()}=%d/{name}",
        )
    ]
    values = {"@CONFIG@": str(config), "@CREDENTIALS@": "\n".join(credentials)}
    return _filled(WEB_NAME, values | _python_values([]))


def web_socket_text(config: Path, settings: WebSettings) -> str:
    """Fill in the unit of the socket at which the page can be opened.

    Raises:
        ServiceError: the address is no IP address, which systemd requires.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if settings.address == "localhost" else settings.address)
    except ValueError:
        raise ServiceError(
            f"{config}: web.address is {settings.address!r}, and a service needs an IP address there",
            fix='write address = "0.0.0.0" under [web] for every address of this machine',
        ) from None
    host = f"[{address}]" if address.version == 6 else str(address)
    return _filled(WEB_SOCKET_NAME, {"@CONFIG@": str(config), "@ADDRESS@": f"{host}:{settings.port}"})


def _python_values(readable: list[Path]) -> dict[str, str]:
    """Return what a unit must name so that it runs this Python.

    Args:
        readable: files and folders of the user that it reads as well.

    Raises:
        ServiceError: the service could not read a file that it needs.
    """
    executable = _executable()
    needed = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2], *readable]
    hidden = sorted({path for path in needed if _is_hidden(path)})
    for path in needed:
        _check_place(path)
        _check_readable(path, deep=path in readable)
    _check_environment()
    # A path inside another one is mounted along with it.
    mounted = [path for path in hidden if not any(path != other and path.is_relative_to(other) for other in hidden)]
    homes = [f"ProtectHome={'tmpfs' if mounted else 'yes'}", *(f"BindReadOnlyPaths={path}" for path in mounted)]
    return {"@EXECUTABLE@": str(executable), "@HOMES@": "\n".join(homes)}


def _filled(name: str, values: Mapping[str, str]) -> str:
    """Fill in the template of a unit.

    Raises:
        ServiceError: this installation is incomplete.
    """
    template = next((folder / name for folder in _TEMPLATES if (folder / name).is_file()), None)
    if template is None:
        raise ServiceError(f"{name} is missing from this installation", fix="install edge-mcnn again")
    text = template.read_text("utf-8")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def network_drop_in(settings: MqttSettings) -> str:
    """A drop-in for the unit that permits the service to connect to the broker and to read its password.

    If the broker is named by its IP address, or runs on this machine, nothing else on the network can be reached. A
    host name has to be resolved, so then the complete network can be reached.

    Raises:
        ServiceError: systemd would misread the path of the password file.
    """
    lines = [
        "# Written by `edge-mcnn service install` because the settings name an MQTT broker; removed again without one.",
        "[Service]",
        "PrivateNetwork=no",
        "RestrictAddressFamilies=AF_INET AF_INET6",
        f"IPAddressAllow={address}" if (address := _address(settings.host)) else "IPAddressDeny=",
    ]
    if settings.password_file:
        path = _credential("mqtt.password_file", settings.password_file)
        # systemd reads the password: the service's user does not exist yet, and no other user may read the file.
        lines += [f"LoadCredential=mqtt-password:{path}", "Environment=EDGE_MCNN_MQTT_PASSWORD_FILE=%d/mqtt-password"]
    return "\n".join(lines) + "\n"


def _credential(name: str, path: str) -> str:
    """Return the path of a file that systemd passes to the service.

    Raises:
        ServiceError: systemd would misread it.
    """
    if not Path(path).is_absolute() or _is_misread(path):
        raise ServiceError(
            f"{name} is {path!r}, which systemd would misread",
            fix="use an absolute path without spaces, quotes, backslashes, colons and %",
        )
    return path


def _executable() -> Path:
    path = Path(sys.executable).parent / "edge-mcnn"
    if not path.is_file():
        raise ServiceError(f"{path} is missing", fix="install edge-mcnn into this Python's own folder, best a venv")
    return path


def executable_of(unit: str) -> Path | None:
    """Return the program that an installed unit starts; None if its text names none."""
    for line in unit.splitlines():
        if line.startswith("ExecStart="):
            words = shlex.split(line.removeprefix("ExecStart="))
            return Path(words[0]) if words else None
    return None


def check_environment(executable: Path) -> None:
    """Check that the service can read the Python environment of its program.

    Args:
        executable: the program, `edge-mcnn` in the folder `bin` of the environment.

    Raises:
        ServiceError: it is missing, or a file in it cannot be read by the service's user.
    """
    if not executable.exists():
        raise ServiceError(f"{executable}, which the service starts, is missing")
    if executable.parents[1] == Path(sys.prefix):
        _check_environment()
    else:
        _check_readable(executable.parents[1])


def _check_environment() -> None:
    """Check what this Python needs to run edge-mcnn: its program, its own modules, and all installed packages.

    Raises:
        ServiceError: the service's user cannot read something of it.
    """
    installation = Path(__file__).parents[2]
    in_venv = sys.prefix != sys.base_prefix
    environment = Path(sys.prefix) if in_venv else Path(sysconfig.get_path("purelib"))
    packages = [] if installation.is_relative_to(environment) else [installation / "edge_mcnn", installation / "device"]
    for path in (environment, *packages, Path(sysconfig.get_path("stdlib")), Path(sys.executable).resolve()):
        _check_readable(path)
    for name in _MODULES:  # some may be in the system's folder of packages
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None and not Path(spec.origin).is_relative_to(environment):
            _check_readable(Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin))


def _check_place(path: Path) -> None:
    """Check that systemd finds `path`, now and after a restart of the machine.

    Raises:
        ServiceError: systemd would misread the path, or it is deleted at each start.
    """
    if _is_misread(str(path)):
        raise ServiceError(
            f"{path}: systemd would misread a path with spaces, quotes, backslashes, colons or %", fix="move it"
        )
    if any(path.is_relative_to(folder) for folder in _TEMPORARY):
        raise ServiceError(f"{path} is deleted at the next start of this machine", fix="move it, for example to /opt")


def _check_readable(path: Path, *, deep: bool = True) -> None:
    """Check that an unprivileged user can read `path`; under home folders that means mounted on its own.

    Args:
        path: a file or folder.
        deep: whether everything in the folder must be readable, too.

    Raises:
        ServiceError: it cannot be read.
    """
    try:
        closed = unreadable(path, deep=deep)
        if closed is None and not _is_hidden(path):
            _check_parents(path)
    except OSError as error:
        raise ServiceError(f"{path}: cannot be read ({error.strerror})") from None
    if closed is not None:
        mode = stat.S_IMODE(closed.stat().st_mode)
        raise ServiceError(
            f"{closed} has the mode {mode:04o}: the service, which runs as a separate user, cannot read it",
            fix=f"run: sudo chmod -R o+rX {shell_quoted(path)}",
        )


def _check_parents(path: Path) -> None:
    for parent in path.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            raise ServiceError(
                f"{parent} has the mode {mode:04o}: the service, which runs as a separate user, cannot enter it",
                fix=f"run: sudo chmod o+x {shell_quoted(parent)}",
            )


def _is_hidden(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _HIDDEN)


def _is_misread(path: str) -> bool:
    return any(char.isspace() or char in _MISREAD for char in path)


def _address(host: str) -> str:
    """The IP address of a host in systemd's syntax; empty if it has to be resolved on the network."""
    if host == "localhost":
        return host
    try:
        return str(ipaddress.ip_address(host)).partition("%")[0]  # systemd knows no interface of an address
    except ValueError:
        return ""
