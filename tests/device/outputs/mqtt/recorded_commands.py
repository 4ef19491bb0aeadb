"""Commands that record what was commanded, and a client that publishes as others at the broker do."""

from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from device.adaptation.adapted_classifier import Learnt
from device.errors import ProfileError
from device.outputs.commands import Diagnostics
from tests.device.outputs.commands import NotedCommands
from tests.device.outputs.predictions import LABELS
from tests.waiting import LIMIT_S


class RecordedCommands(NotedCommands):
    """Commands of a daemon with a model of these classes, which learns corrections unless it fails."""

    def __init__(self, labels: tuple[str, ...] = LABELS) -> None:
        super().__init__(self._learn)
        self.confidences = dict.fromkeys(labels, 0.4)
        self.found = Diagnostics(123.4, 60.0, 2, 1, "sentiment")
        self.learnt: list[str] = []
        self.fails = False

    def _learn(self, label: str) -> Learnt:
        if self.fails:
            raise ProfileError("the profile is damaged", fix="learn again")
        self.learnt.append(label)
        return Learnt(len(self.learnt), used=False)


class Publisher:
    """Publishes, and waits until the broker has it; a context manager."""

    def __init__(self, port: int, user: str = "", password: str = "", ca_file: str = "") -> None:
        self._client = Client(CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(user, password)
        if ca_file:
            self._client.tls_set(ca_file)
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "Publisher":
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __call__(self, topic: str, payload: bytes | str, **options: Any) -> None:
        self._client.publish(topic, payload, qos=1, **options).wait_for_publish(LIMIT_S)
