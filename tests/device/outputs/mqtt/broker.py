"""A real mosquitto for the tests, and a client that subscribes to everything it publishes."""

import json
import os
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from device.settings.schema import MqttSettings
from tests.waiting import LIMIT_S, wait_until

# Debian installs it in a folder that only root's path contains.
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed; see `make test`")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that no other program uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Broker:
    """A broker; a context manager, which can be stopped and started again at the same port.

    Args:
        folder: folder for its files.
        settings: lines of its configuration, beside those for a listener at 127.0.0.1.
        persistent: whether it stores retained messages and sessions until it is started again.
    """

    def __init__(self, folder: Path, *settings: str, persistent: bool = False) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self._configuration = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", f"persistence {str(persistent).lower()}", *settings]
        if persistent:
            lines.append(f"persistence_location {folder}/")
        if not any(line.startswith("password_file") for line in settings):
            lines.append("allow_anonymous true")
        if os.geteuid() == 0:
            lines.append("user root")  # else it becomes another user, who may not enter the folder
        self._configuration.write_text("\n".join(lines) + "\n")

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it can be reached."""
        assert MOSQUITTO is not None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", self._configuration], stdout=log, stderr=log)
        try:
            wait_until(self._can_be_reached, message=lambda: self.log.read_text())
        except BaseException:
            self.stop()  # no process is left behind
            raise

    def _can_be_reached(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def settings(self, device: str, **others: Any) -> MqttSettings:
        """Settings of a device at this broker."""
        return MqttSettings(**{"host": "127.0.0.1", "port": self.port, "device": device, **others})

    def stop(self) -> None:
        """Stop it without a message to the connected clients."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT_S)
            self._process = None


@dataclass(frozen=True)
class Message:
    topic: str
    payload: str
    retained: bool
    """Whether the broker had stored it before the subscription."""


class Subscriber:
    """Receives everything that is published; a context manager.

    Args:
        port: port of the broker.
        user: user name to log in with.
        password: password of that user.
        ca_file: certificate of the authority for TLS; empty for no TLS.
        session: name of a session, for which the broker stores messages until a subscriber of that name connects.
    """

    def __init__(self, port: int, user: str = "", password: str = "", ca_file: str = "", session: str = "") -> None:
        self._messages: list[Message] = []
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, session, clean_session=not session)
        if user:
            self._client.username_pw_set(user, password)
        if ca_file:
            self._client.tls_set(ca_file)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        with self._changed:
            self._messages.append(Message(message.topic, message.payload.decode(), message.retain))
            self._changed.notify_all()

    def __enter__(self) -> "Subscriber":
        self._client.loop_start()
        assert self._ready.wait(LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # These hold the client in a circle: the garbage collector would find its sockets open, and warn about them.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None

    def next(self, topic: str) -> Message:
        """The next message with this topic; other messages stay for later calls."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(each.topic == topic for each in self._messages), LIMIT_S), (
                f"nothing came for {topic}"
            )
            message = next(each for each in self._messages if each.topic == topic)
            self._messages.remove(message)
            return message

    def numbers(self, device: str, count: int) -> list[float]:
        """Numbers of the next predictions of a device; see `numbered_prediction`."""
        return [json.loads(self.next(f"edge-mcnn/{device}/prediction").payload)["seconds"] for _ in range(count)]
