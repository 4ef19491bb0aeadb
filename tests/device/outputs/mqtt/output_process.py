"""A process that publishes as a device does and prints its announcements; its argument is the settings as JSON."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from device.outputs.mqtt.output import MqttOutput
from device.settings.schema import MqttSettings


@contextlib.contextmanager
def running(settings: MqttSettings) -> Iterator[IO[str]]:
    """Run such a process and yield its announcements; it is killed at the end."""
    device = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(asdict(settings))],
        cwd=Path(__file__).parents[4], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert device.stdout is not None
    try:
        yield device.stdout
    finally:
        device.kill()
        device.communicate()


if __name__ == "__main__":
    MqttOutput(MqttSettings(**json.loads(sys.argv[1])), lambda line: print(line, flush=True)).open(())
    threading.Event().wait()
