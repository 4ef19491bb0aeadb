"""Runs instead of the daemon, under its unit: tries what a service must not be able to do, and prints the outcomes.

It uses only the standard library.
"""

import ctypes
import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path


def _open_socket(family: int) -> None:
    socket.socket(family, socket.SOCK_STREAM).close()


def _system_call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: str) -> None:
    Path(path, "probe").write_text("x")


ATTEMPTS: dict[str, Callable[[], object]] = {
    # Required by the daemon
    "unix socket": lambda: _open_socket(socket.AF_UNIX),
    "write to its runtime directory": lambda: _write("/run/edge-mcnn"),
    "read the speech model": lambda: next(Path("/var/lib/edge-mcnn").iterdir()),
    "read its settings": lambda: Path("/etc/edge-mcnn/config.toml").read_text(),
    "open /dev/null": lambda: Path("/dev/null").read_bytes(),
    # Forbidden
    "IPv4 socket": lambda: _open_socket(socket.AF_INET),
    "IPv6 socket": lambda: _open_socket(socket.AF_INET6),
    "packet socket": lambda: _open_socket(socket.AF_PACKET),
    "see a network interface": lambda: [1 / (len(socket.if_nameindex()) - 1)],
    "open a device": lambda: os.close(os.open("/dev/forbidden", os.O_RDONLY)),
    "create a device": lambda: os.mknod("/run/edge-mcnn/device", 0o600 | 0o020000, os.makedev(1, 3)),
    "write to /etc": lambda: _write("/etc"),
    "write to /usr": lambda: _write("/usr"),
    "write to /var/lib/edge-mcnn": lambda: _write("/var/lib/edge-mcnn"),
    "write to a home": lambda: _write("/home"),
    "see a home": lambda: Path("/home/someone/secret").read_text(),
    "read passwords": lambda: Path("/etc/shadow").read_text(),
    "see another process": lambda: Path("/proc/1/cmdline").read_bytes(),
    "become root": lambda: os.setuid(0),
    "mount": lambda: _system_call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "create a namespace": lambda: _system_call("unshare", 0x10000000),
    "trace": lambda: _system_call("ptrace", 0, 0, 0, 0),
    "set the clock": lambda: _system_call("settimeofday", (ctypes.c_long * 2)(0, 0), None),
    "reboot": lambda: _system_call("reboot", 0),
}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except ZeroDivisionError:
        return "none found"
    return "done"


if __name__ == "__main__":
    print(json.dumps({name: _outcome(attempt) for name, attempt in ATTEMPTS.items()}))
