"""A process that publishes as a device does and prints what is told, to be killed: with its settings as JSON."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from device.outputs.mqtt.publisher import MqttPublisher
from device.settings.schema import MqttSettings


@contextlib.contextmanager
def running(settings: MqttSettings) -> Iterator[IO[str]]:
    """What such a process tells; in the end it is killed."""
    device = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(asdict(settings))],
        cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert device.stdout is not None
    try:
        yield device.stdout
    finally:
        device.kill()
        device.communicate()


if __name__ == "__main__":
    MqttPublisher(MqttSettings(**json.loads(sys.argv[1])), lambda line: print(line, flush=True)).open()
    threading.Event().wait()
