"""Boots this machine's own systemd as process 1 of new namespaces, over a temporary copy of the file system.

A service can really be installed, killed, monitored and rebooted in it. Files that are written inside stay in memory
across boots and are discarded with the context; of this machine only the folders in `shared` can be changed. The only
network is a separate loopback. Needs root, overlayfs, a mounted cgroup2 and the packages systemd and util-linux.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.waiting import wait_until

_SYSTEMD = Path("/lib/systemd/systemd")
_BOOT_LIMIT_S = 60
_UNSHARED = ("--mount", "--uts", "--ipc", "--cgroup", "--net", "--pid")
# Capabilities that would affect the machine beyond the namespaces: clock, modules, kernel log.
_DROPPED_CAPABILITIES = "-sys_time,-sys_module,-syslog"
_STORE = "/run/edge-mcnn-test-store"

# Runs in the namespace of the holder: creates the memory for files that are written inside, which survive a reboot.
_HOLD = f"""
mkdir -p {_STORE} && mount -t tmpfs -o mode=755 store {_STORE} && mkdir {_STORE}/upper {_STORE}/work {_STORE}/root
echo ready; exec sleep infinity
"""
# Runs in the namespaces of the new system: mounts its file system, then replaces itself with systemd.
_BOOT = f"""
set -e
cd {_STORE}
mount -t overlay -o lowerdir=/,upperdir={_STORE}/upper,workdir={_STORE}/work overlay root
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
if [ -d var/log/journal ]; then mount -t tmpfs journal var/log/journal; fi
for each in "$@"; do
    from=${{each%%=*}} to=root${{each#*=}}
    mkdir -p "../$to"
    mount --bind "$from" "../$to"
done
if [ ! -e {_STORE}/booted ]; then
    # Remove the services and disks of this machine.
    rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/rc?.d/*
    : > etc/fstab
    touch {_STORE}/booted
fi
# As on a real machine, a service sees what systemd mounts for it, such as its credentials.
mount --make-rshared {_STORE}/root
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . \\
    setpriv --bounding-set={_DROPPED_CAPABILITIES} {_SYSTEMD} --system --unit=multi-user.target
"""


def missing_requirement() -> str:
    """Describe why systemd cannot be booted on this machine; empty if it can."""
    if os.geteuid() != 0:
        return "only root can create namespaces for a systemd"
    for program in ("unshare", "nsenter", "setpriv", "systemctl", "journalctl"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not _SYSTEMD.exists():
        return f"{_SYSTEMD} is not installed"
    if _cgroup2() is None:
        return "no cgroup2 is mounted"
    trial = subprocess.run(
        ["unshare", *_UNSHARED, "--fork", "--propagation", "private", "sh", "-c",
         "mount -t tmpfs t /mnt && mkdir /mnt/a /mnt/b /mnt/c && "
         "mount -t overlay -o lowerdir=/etc,upperdir=/mnt/a,workdir=/mnt/b o /mnt/c && mount -t proc proc /proc"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return f"namespaces or overlayfs are refused here ({trial.stderr.strip()})" if trial.returncode else ""


def _cgroup2() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if " - cgroup2 " in line and fields[3] == "/":
            return Path(fields[4])
    return None


class BootedSystemd:
    """A booted systemd, as a context manager.

    Args:
        shared: folders of this machine that are visible inside, with their paths there.
    """

    def __init__(self, shared: dict[Path, str]) -> None:
        self._shared = [f"{path}={inside}" for path, inside in shared.items()]
        self._holder: subprocess.Popen[str] | None = None
        self._outer: subprocess.Popen[bytes] | None = None
        self._cgroup: Path | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed on leaving

    def __enter__(self) -> "BootedSystemd":
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _HOLD], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "no memory for the changes"
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
            assert self._holder.stdout is not None
            self._holder.stdout.close()
        self._log.close()

    def boot(self) -> None:
        """Start the system, as when the power comes on."""
        assert self._holder is not None
        base = _cgroup2()
        assert base is not None
        self._cgroup = Path(tempfile.mkdtemp(prefix="edge-mcnn-test-", dir=base))
        enter = f'echo $$ > "{self._cgroup}/cgroup.procs"; exec "$@"'
        self._outer = subprocess.Popen(
            ["sh", "-c", enter, "-", "nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt",
             "unshare", *_UNSHARED, "--propagation", "private", "--fork", "--kill-child",
             "sh", "-c", _BOOT, "-", *self._shared],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        wait_until(self._is_booted, limit_s=_BOOT_LIMIT_S, message=self._boot_log)

    def _is_booted(self) -> bool:
        assert self._outer is not None
        assert self._outer.poll() is None, self._boot_log()
        try:
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        except (subprocess.CalledProcessError, LookupError):
            return False
        return state in ("running", "degraded")

    def _boot_log(self) -> str:
        self._log.seek(0)
        return f"systemd does not boot: {self._log.read().decode(errors='replace')}"

    def power_off(self) -> None:
        """Stop the system immediately, as when the power fails."""
        if self._outer is None:
            return
        with contextlib.suppress(LookupError, ProcessLookupError):
            os.kill(self._init(), 9)  # its children end with it
        self._outer.kill()
        self._outer.wait()
        self._outer = None
        if self._cgroup is not None:
            self._remove_cgroup(self._cgroup)

    def run(
        self, *command: str, check: bool = True, environment: Sequence[str] = (), limit_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root.

        Args:
            command: program and arguments.
            check: whether another exit status than 0 fails the test.
            environment: additional variables, each as NAME=VALUE.
            limit_s: seconds until the command is killed and the test fails.
        """
        done = subprocess.run(
            ["nsenter", "-t", str(self._init()), "-m", "-u", "-i", "-p", "-C", "-n", "-r", "-w",
             "env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *environment, *command],
            capture_output=True, text=True, check=False, timeout=limit_s, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def _init(self) -> int:
        """Return the number of its process 1 in the namespace of this machine."""
        if self._outer is None:
            raise LookupError("the system is not running")
        outer = self._outer.pid  # sh became nsenter, which became unshare, whose child is process 1
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        if not children or Path(f"/proc/{children[0]}/comm").read_text() != "systemd\n":
            raise LookupError("the system has not started yet")
        return int(children[0])

    @staticmethod
    def _remove_cgroup(top: Path) -> None:
        def removed() -> bool:
            for folder, _, _ in sorted(os.walk(top), reverse=True):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)  # noqa: PTH106  # `os.walk` yields names
            return not top.exists()

        try:
            wait_until(removed, limit_s=10, message=f"processes are left in {top}")
        except AssertionError as error:  # a leftover cgroup does not make the test invalid
            print(error, file=sys.stderr)


@contextlib.contextmanager
def neutral_folder() -> Iterator[Path]:
    """A folder that every user may enter, outside /tmp and the homes, which are hidden from the service."""
    with tempfile.TemporaryDirectory(prefix="edge-mcnn-", dir="/srv") as name:
        Path(name).chmod(0o755)
        yield Path(name)
