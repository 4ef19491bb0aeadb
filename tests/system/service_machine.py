"""A booted machine with a microphone, in which the service can be installed as a user does it."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system import booted_systemd
from tests.system.booted_systemd import BootedSystemd
from tests.system.virtual_microphone import VirtualMicrophone, missing_programs
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
UNDER_TEST = "/opt/under-test"
_PACKAGES = "/opt/packages"
EDGE_MCNN = "/opt/edge-mcnn/bin/edge-mcnn"
CACHE = "/opt/cache"
UNIT = "/etc/systemd/system/edge-mcnn.service"
CONFIG = "/etc/edge-mcnn/config.toml"
WATCHDOG_S = 4
"""Limit of the watchdog, seconds; short enough for a test to wait for."""
_LIMIT_S = 60

# Runs inside, because commands from outside take longer than the service needs to start.
_UNTIL_CAUGHT = """
import pathlib, re, subprocess, sys
def shown(name):
    command = ["systemctl", "show", "edge-mcnn", "--property=" + name, "--value"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
while (process := shown("MainPID")) == "0":
    pass
status = pathlib.Path("/proc", process, "status")
while not int(re.search("SigCgt:\\t(.*)", status.read_text())[1], 16) >> (int(sys.argv[1]) - 1) & 1:
    pass
print(shown("ActiveState"))
"""

_MISSING = booted_systemd.missing_requirement() or ", ".join(missing_programs())
booted = pytest.mark.skipif(
    bool(_MISSING), reason=f"SYSTEMD CANNOT BE BOOTED HERE, the service is not tested: {_MISSING}"
)


@dataclass
class ServiceMachine:
    """A booted machine with edge-mcnn in /opt/edge-mcnn; no service is installed yet."""

    system: BootedSystemd
    """The booted system."""
    microphone: VirtualMicrophone
    """The microphone that it can record from."""

    @property
    def environment(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.microphone.environment.items()]

    def edge_mcnn(self, *arguments: str, check: bool = True, umask: str = "022") -> str:
        command = ("sh", "-c", f'umask {umask}; exec "$0" "$@"', EDGE_MCNN, *arguments)
        done = self.system.run(*command, check=check, environment=[*self.environment, f"XDG_CACHE_HOME={CACHE}"])
        return done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        output = self.system.run(EDGE_MCNN, "status", "--json", check=False).stdout
        table: dict[str, Any] = json.loads(output) if output else {"state": "none"}
        return table

    def unit_property(self, name: str) -> str:
        """A property of the unit, as `systemctl show` prints it."""
        return self.system.run("systemctl", "show", "edge-mcnn", f"--property={name}", "--value").stdout.strip()

    def findings(self) -> dict[str, dict[str, str]]:
        """The findings of the doctor, by topic."""
        return {each["topic"]: each for each in json.loads(self.edge_mcnn("doctor", "--json", check=False))}

    def journal(self, unit: str = "edge-mcnn") -> str:
        return self.system.run("journalctl", f"--unit={unit}", "--output=cat", "--no-pager").stdout

    def read(self, path: str) -> str:
        return self.system.run("cat", path).stdout

    def write(self, path: str, content: str, *, mode: str = "644") -> None:
        script = 'mkdir -p "${1%/*}" && printf %s "$2" >"$1" && chmod "$3" "$1"'
        self.system.run("sh", "-c", script, "-", path, content, mode)

    def exists(self, path: str) -> bool:
        return self.system.run("test", "-e", path, check=False).returncode == 0

    def state_when_it_catches(self, number: signal.Signals) -> str:
        """Wait until the main process of the service handles a signal; return the state of the unit at that moment."""
        python = "/opt/edge-mcnn/bin/python"
        return self.system.run(python, "-c", _UNTIL_CAUGHT, str(int(number)), limit_s=_LIMIT_S).stdout.strip()

    def watchdog_fed_s(self) -> float:
        """Monotonic time of the last watchdog notification, seconds."""
        return int(self.unit_property("WatchdogTimestampMonotonic")) / 1e6

    def wait_for(self, condition: Callable[[], bool], event: str) -> float:
        """Wait until the condition holds, and return the seconds that it took."""
        start = time.monotonic()
        wait_until(condition, limit_s=_LIMIT_S, message=lambda: f"{event}: not within {_LIMIT_S} s\n{self.journal()}")
        return time.monotonic() - start

    def wait_for_state(self, *states: str) -> float:
        return self.wait_for(lambda: self.status()["state"] in states, " or ".join(states))


@contextmanager
def booted_machine(speech_model: Path) -> Iterator[ServiceMachine]:
    """Boot the machine until the context is left; the speech model is in the cache of its root user."""
    packages = Path(next(path for path in sys.path if path.endswith("site-packages")))
    with booted_systemd.neutral_folder() as folder:
        microphone = VirtualMicrophone(folder / "mic", rate=48_000, channels=1, strict=False, hum=True)
        shared = {
            folder: str(folder),
            REPOSITORY: UNDER_TEST,
            packages: _PACKAGES,
            speech_model.parent: f"{CACHE}/edge-mcnn",
        }
        with microphone, BootedSystemd(shared) as system:
            machine = ServiceMachine(system, microphone)
            _install_product(machine)
            variables = "".join(f"Environment={variable}\n" for variable in machine.environment)
            machine.write(f"{UNIT}.d/test.conf", f"[Service]\n{variables}WatchdogSec={WATCHDOG_S}\n")
            machine.write("/home/someone/secret", "x\n")
            system.run("chmod", "-R", "a+rX", "/home/someone")
            yield machine


def _install_product(machine: ServiceMachine) -> None:
    """Create a venv in /opt that uses the packages of this test, since no service may be able to read the checkout."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    machine.system.run(f"{sys.base_prefix}/bin/{version}", "-m", "venv", "--without-pip", "/opt/edge-mcnn")
    machine.write(EDGE_MCNN, "#!/opt/edge-mcnn/bin/python\nfrom edge_mcnn.main import main\nmain()\n", mode="755")
    machine.write(f"/opt/edge-mcnn/lib/{version}/site-packages/under-test.pth", f"{UNDER_TEST}\n{_PACKAGES}\n")
