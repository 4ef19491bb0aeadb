"""A device as Home Assistant sees it: `edge-mcnn listen` with settings for a broker, and commands of its owner."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device.daemon.status import Status, read_status
from device.errors import StatusError
from device.outputs.mqtt.client import topic_name
from tests.system.listen_process import REPOSITORY, ListenProcess
from tests.system.virtual_microphone import NAME, VirtualMicrophone
from tests.waiting import wait_until

_LIMIT_S = 60.0


class ListeningDevice:
    """A device that can be killed, started again and renamed; a context manager that kills it.

    Args:
        folder: folder for its settings, its profile and its sockets; its path is short, because of the sockets.
        microphone: the microphone that it listens to.
        name: its name.
        broker: settings under `[mqtt]`, but its name.
    """

    def __init__(self, folder: Path, microphone: VirtualMicrophone, name: str, broker: Mapping[str, Any]) -> None:
        self.name = name
        self.broker = dict(broker)
        self._folder = folder
        self._microphone = microphone
        self._process: ListenProcess | None = None

    def __enter__(self) -> "ListeningDevice":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def id(self) -> str:
        """ID of the device in Home Assistant, with which the unique IDs of its entities begin."""
        return f"edge-mcnn-{topic_name(self.name)}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        settings = {**self.broker, "device": self.name}
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
        self._settings_file.write_text("\n".join([f'[microphone]\nname = "{NAME}"\n[mqtt]', *lines, ""]))
        self._process = ListenProcess(
            self._microphone, "--lights", "none", "--config", str(self._settings_file), settings=self._variables
        )
        self.wait_for("healthy")

    def kill(self) -> None:
        """End it at once, without a message to anyone."""
        if self._process is not None:
            self._process.__exit__()
            self._process = None

    def stop(self) -> None:
        """Stop it as a service manager does."""
        assert self._process is not None
        self._process.end(signal.SIGTERM)
        self._process.__exit__()
        self._process = None

    def speak(self, clip: Path) -> dict[str, Any]:
        """Play a clip into the microphone, and return the prediction that is printed."""
        assert self._process is not None
        self._microphone.play(clip)
        return self._process.next_prediction()

    @property
    def status(self) -> Status:
        """Its status."""
        return read_status(self._folder / "edge-mcnn" / "status.sock")

    def wait_for(self, state: str) -> None:
        """Wait until its microphone is in this state."""
        last = ""

        def arrived() -> bool:
            nonlocal last
            assert self._process is not None
            assert self._process.process.poll() is None, f"the device has ended:\n{self._process.errors}"
            try:
                last = self.status.state
            except StatusError as error:
                last = str(error)
            return last == state

        wait_until(arrived, limit_s=_LIMIT_S, message=lambda: f"the device is not {state}, but: {last}")

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run `edge-mcnn` as its owner does, and return what it prints on standard output.

        Args:
            arguments: the command and its options; `SETTINGS` stands for the settings file of the device.
            status: its expected exit status.
        """
        done = subprocess.run(
            [sys.executable, "-m", "edge_mcnn", *(str(self._settings_file) if each == "SETTINGS" else each
                                                  for each in arguments)],
            cwd=REPOSITORY, env={**os.environ, **self._variables}, capture_output=True, text=True, timeout=_LIMIT_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def _settings_file(self) -> Path:
        return self._folder / "config.toml"

    @property
    def _variables(self) -> dict[str, str]:
        folder = str(self._folder)
        return {"XDG_RUNTIME_DIR": folder, "XDG_DATA_HOME": folder, "XDG_STATE_HOME": folder}
