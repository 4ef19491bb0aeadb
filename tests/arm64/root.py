"""A Debian arm64 root in a folder, run by qemu's user emulation: the system of Raspberry Pi OS without a Pi.

Processes inside share the network of this machine and nothing else. Their mounts and background processes end with the
command that started them.
"""

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

SYSTEMS = ["bookworm", "trixie"]
USER = "maker"
CPUS = {"Pi 3 and Zero 2 W": "cortex-a53", "Pi 4": "cortex-a72", "Pi 5": "cortex-a76"}
"""Processor that qemu emulates, by board."""
_PACKAGES = "ca-certificates,python3,sudo"
"""Packages of every Raspberry Pi OS that the page relies on; its own commands install the others."""
_KERNEL_RUNS_ARM64 = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
_NEEDED = {"mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static", "unshare": "util-linux"}
# With flag C, sudo gains its privileges inside as well; Debian registers qemu without it.
_REGISTER = (
    "mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; mkdir -p "
    "/etc/binfmt.d; sed 's/:[A-Z]*$/:OCPF/' /usr/lib/binfmt.d/qemu-aarch64.conf >/etc/binfmt.d/qemu-aarch64.conf; "
    "/usr/lib/systemd/systemd-binfmt qemu-aarch64.conf"
)
# Variables that say how this machine reaches the package index, if it does not do so directly.
_PIP_VARIABLES = ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
# Runs in its own namespaces: sets up the file system, then replaces itself with the user's login shell.
_ENTER = f"""
set -e
root=$1 variables=$2; shift 2
for file in etc/resolv.conf etc/hosts {_CERTIFICATES}; do
    if [ -e "/$file" ]; then cp --remove-destination "/$file" "$root/$file"; fi
done
for folder in "$@"; do mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"; done
mount -t proc proc "$root/proc"
exec chroot "$root" runuser --login {USER} --whitelist-environment "$variables" --command bash
"""


class ShellEndedError(RuntimeError):
    """The shell in the root ended before the command, or the command did not end in time."""


class UnavailableError(RuntimeError):
    """This machine cannot create or enter such a root; the message contains the fix."""


@dataclass(frozen=True)
class Finished:
    """The result of a finished command."""

    status: int
    """Exit status."""
    output: str
    """Standard output and standard error together."""
    seconds: float
    """Duration, seconds."""


@dataclass(frozen=True)
class Root:
    """The root of one release of Debian, in a folder that stays for later runs."""

    folder: Path
    """Folder of the root."""
    system: str
    """Release of Debian, `bookworm` or `trixie`."""

    def create(self) -> None:
        """Create the root, unless it exists.

        Raises:
            UnavailableError: the user is not root, or this machine lacks a package or cannot run arm64 programs.
            subprocess.CalledProcessError: the root could not be created.
        """
        if os.geteuid() != 0:
            raise UnavailableError("only root can create and enter such a root; run: sudo make check-arm64")
        packages = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
        if packages:
            raise UnavailableError(f"packages are missing; run: sudo apt-get install {' '.join(packages)}")
        registered = _KERNEL_RUNS_ARM64.read_text() if _KERNEL_RUNS_ARM64.exists() else ""
        if not re.search("^flags:.*C", registered, re.MULTILINE):
            raise UnavailableError(f"arm64 programs cannot run, or cannot use sudo; as root run: {_REGISTER}")
        if self.folder.exists():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder.with_name(f"{self.folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        sudoers = f"echo '{USER} ALL=(ALL) NOPASSWD: ALL' >\"$1/etc/sudoers.d/{USER}\""
        subprocess.run(
            ["mmdebstrap", "--quiet", "--arch=arm64", "--variant=minbase", f"--include={_PACKAGES}",
             f'--customize-hook=chroot "$1" useradd --create-home --shell /bin/bash {USER}',
             f"--customize-hook={sudoers}", self.system, unfinished],
            check=True,
        )  # fmt: skip
        unfinished.rename(self.folder)

    def put(self, source: Path, inside: str) -> None:
        """Copy a file into the root, readable by all."""
        Path(shutil.copy(source, f"{self.folder}{inside}")).chmod(0o644)


class Shell:
    """The user's login shell in a root, as a context manager; folder and variables persist between commands."""

    def __init__(self, root: Root, environment: Mapping[str, str], folders: Sequence[Path] = ()) -> None:
        pip = {name: os.environ[name] for name in _PIP_VARIABLES if name in os.environ}
        variables = {"LANG": "C.UTF-8", "PIP_CERT": f"/{_CERTIFICATES}", **pip, **environment}
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
             "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             *(f"{name}={value}" for name, value in variables.items()),
             "sh", "-c", _ENTER, "-", root.folder, ",".join(variables), *folders],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self._mark = f"--{os.urandom(8).hex()}--"

    def __enter__(self) -> "Shell":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # and with it everything that runs inside
        self._process.wait()

    def run(self, command: str, limit_s: float) -> Finished:
        """Run a line of shell and wait until it has finished.

        Raises:
            ShellEndedError: the command did not finish in time, or ended the shell; no further command can run.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        start = time.monotonic()
        alarm = threading.Timer(limit_s, self._process.kill)
        alarm.start()
        lines: list[str] = []
        try:
            with contextlib.suppress(BrokenPipeError):  # its last output is still to be read
                self._process.stdin.write(f"{{ {command}\n}} </dev/null; echo {self._mark} $?\n")
                self._process.stdin.flush()
            for line in self._process.stdout:
                text, mark, status = line.partition(self._mark)
                lines.append(text)
                if mark:
                    return Finished(int(status), "".join(lines), time.monotonic() - start)
        finally:
            alarm.cancel()
        raise ShellEndedError(f"{command}: did not finish within {limit_s:g} s\n{''.join(lines)}")
