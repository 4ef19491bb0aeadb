"""A Debian arm64 root below a folder, run by qemu's user emulation: the system under Raspberry Pi OS, without a Pi.

Processes inside see the network of this machine and no other part of it; what is mounted for them and whatever they
leave running ends with the command that started them.
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
"""Which processor of which board qemu is to be."""
_PACKAGES = "ca-certificates,python3,sudo"
"""What is in each Raspberry Pi OS that the page relies on; the rest of it comes by the page's own lines."""
_KERNEL_RUNS_ARM64 = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
_NEEDED = {"mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static", "unshare": "util-linux"}
# C: sudo gets its rights inside as well. Debian registers qemu without.
_REGISTER = (
    "mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; mkdir -p "
    "/etc/binfmt.d; sed 's/:[A-Z]*$/:OCPF/' /usr/lib/binfmt.d/qemu-aarch64.conf >/etc/binfmt.d/qemu-aarch64.conf; "
    "/usr/lib/systemd/systemd-binfmt qemu-aarch64.conf"
)
# How this machine reaches pip's packages, where that is not the usual way.
_KEPT = ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
# In namespaces of its own: the file system, and then the user's login shell in the place of this one.
_ENTER = f"""
set -e
root=$1 kept=$2; shift 2
for file in etc/resolv.conf etc/hosts {_CERTIFICATES}; do
    if [ -e "/$file" ]; then cp --remove-destination "/$file" "$root/$file"; fi
done
for folder in "$@"; do mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"; done
mount -t proc proc "$root/proc"
exec chroot "$root" runuser --login {USER} --whitelist-environment "$kept" --command bash
"""


class EndedError(RuntimeError):
    """The shell inside came to an end before the command, or the command did not come to one."""


class MissingError(RuntimeError):
    """This machine cannot have such a root; the message says what to do."""


@dataclass(frozen=True)
class Done:
    """A command that came to its end."""

    status: int
    output: str
    """Of both streams."""
    seconds: float


@dataclass(frozen=True)
class Root:
    """The root of one release of Debian, in a folder that is kept."""

    folder: Path
    system: str
    """`bookworm` or `trixie`."""

    def make(self) -> None:
        """Make it, unless it is there already.

        Raises:
            MissingError: this user or this machine cannot.
            subprocess.CalledProcessError: it could not be made.
        """
        if os.geteuid() != 0:
            raise MissingError("only root can make such a root and enter it; run: sudo make check-arm64")
        packages = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
        if packages:
            raise MissingError(f"packages are missing; run: sudo apt-get install {' '.join(packages)}")
        registered = _KERNEL_RUNS_ARM64.read_text() if _KERNEL_RUNS_ARM64.exists() else ""
        if not re.search("^flags:.*C", registered, re.MULTILINE):
            raise MissingError(f"arm64 programs cannot run, or not gain rights with sudo; as root run: {_REGISTER}")
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
    """The user's login shell inside. What one command leaves, a folder or a variable, the next one finds.

    Context manager.
    """

    def __init__(self, root: Root, environment: Mapping[str, str], folders: Sequence[Path] = ()) -> None:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        wanted = {"LANG": "C.UTF-8", "PIP_CERT": f"/{_CERTIFICATES}", **kept, **environment}
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
             "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *(f"{name}={value}" for name, value in wanted.items()),
             "sh", "-c", _ENTER, "-", root.folder, ",".join(wanted), *folders],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self._mark = f"--{os.urandom(8).hex()}--"

    def __enter__(self) -> "Shell":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # and with it all that runs inside
        self._process.wait()

    def run(self, command: str, limit_s: float) -> Done:
        """Run a line of shell, and wait for its end.

        Raises:
            EndedError: it did not come to an end, or took the shell with it; nothing can be run any more.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        start = time.monotonic()
        alarm = threading.Timer(limit_s, self._process.kill)
        alarm.start()
        lines: list[str] = []
        try:
            with contextlib.suppress(BrokenPipeError):  # what it said at its end is still to be read
                self._process.stdin.write(f"{{ {command}\n}} </dev/null; echo {self._mark} $?\n")
                self._process.stdin.flush()
            for line in self._process.stdout:
                said, mark, status = line.partition(self._mark)
                lines.append(said)
                if mark:
                    return Done(int(status), "".join(lines), time.monotonic() - start)
        finally:
            alarm.cancel()
        raise EndedError(f"{command}: did not end by itself within {limit_s:g} s\n{''.join(lines)}")
