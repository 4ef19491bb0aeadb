"""Checks a device in a real Home Assistant core, through mosquitto with a login and TLS.

    make check-homeassistant      # or: python -m tests.homeassistant --help

Prints each step with its duration. A warning or an error in the log of Home Assistant is a failure, too; after a
failure its last entries about MQTT are printed.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.device.outputs.mqtt.broker import MOSQUITTO, Broker, free_port
from tests.device.outputs.mqtt.locked_broker import make_certificates, with_password, with_tls
from tests.homeassistant.core import HomeAssistant, mqtt_entries, problems
from tests.homeassistant.listening_device import ListeningDevice
from tests.homeassistant.steps import STEPS, BrokerAccess, Installation
from tests.step_report import Report
from tests.system.virtual_microphone import missing_programs, plugged_in

_PYTHON = Path(sys.prefix) / "homeassistant" / "bin" / "python"
_USER, _PASSWORD = "lamp", "s3cret"
_NAME = "Küche 2"
_ENTRIES = 50
"""Number of log entries that are printed after a failure."""


@contextmanager
def installed(python: Path) -> Iterator[Installation]:
    """Start a broker, a Home Assistant that uses it, and a device that publishes to it with TLS."""
    with (
        tempfile.TemporaryDirectory(prefix="ha") as name,
        plugged_in(rate=16_000, channels=1, strict=False, hum=True) as microphone,
    ):
        folder = Path(name)
        certificates = make_certificates(folder)
        secure_port = free_port()
        (folder / "password").write_text(_PASSWORD)
        (folder / "password").chmod(0o600)
        listeners = [f"listener {secure_port} 127.0.0.1", *with_tls(certificates)]
        with (
            Broker(folder, with_password(folder, _USER, _PASSWORD), *listeners) as broker,
            HomeAssistant(folder, python) as home,
            ListeningDevice(
                folder, microphone, _NAME,
                {"host": "127.0.0.1", "port": secure_port, "tls": True, "ca_file": str(certificates / "ca.pem"),
                 "user": _USER, "password_file": str(folder / "password"), "corrections": True, "level": True},
            ) as device,
        ):  # fmt: skip
            home.add_broker(broker.port, _USER, _PASSWORD)
            device.start()
            yield Installation(home, device, microphone, BrokerAccess(broker.port, _USER, _PASSWORD))


def check(installation: Installation) -> Report:
    """Run all steps; a failed step does not stop the next ones."""
    report = Report(installation.home.version)
    for description, step in STEPS.items():
        start = time.monotonic()
        details = failure = ""
        try:
            details = step(installation)
        except Exception:  # noqa: BLE001 - whatever a step meets is its failure, and the others are still run
            failure = traceback.format_exc()
        report.add(f"{description}{details and f' ({details})'}", time.monotonic() - start, failure)
    return report


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.homeassistant", description=__doc__)
    parser.add_argument(
        "--python", type=Path, default=_PYTHON, help="interpreter of the environment with homeassistant: %(default)s"
    )
    parser.add_argument("--log", type=Path, help="file for the complete log of Home Assistant")
    options = parser.parse_args()
    if missing := [*missing_programs(), *([] if MOSQUITTO else ["mosquitto"])]:
        sys.exit(f"missing: {', '.join(missing)}; make check-homeassistant installs them")
    if not options.python.exists():
        sys.exit(f"there is no {options.python}: run make check-homeassistant, which installs it")
    start = time.monotonic()
    with installed(options.python) as installation:
        print(f"Home Assistant and the device have started: {time.monotonic() - start:.1f} s", file=sys.stderr)
        report = check(installation)
        installation.device.kill()
        installation.home.stop()
        log = installation.home.log
    if options.log:
        options.log.write_text(log)
    report.add("the log of Home Assistant has no warnings and no errors", 0.0, "\n".join(problems(log)))
    if report.failed:
        print("The last entries of the MQTT integration:", *mqtt_entries(log)[-_ENTRIES:], sep="\n")
    print(*report.rows, sep="\n")
    if report.failed:
        sys.exit(f"failed: {'; '.join(report.failed)}")


if __name__ == "__main__":
    try:
        _main()
    except AssertionError as error:  # before the first step
        sys.exit(str(error))
