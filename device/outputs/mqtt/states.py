"""What a device publishes about itself: its present state by topic, which the broker retains."""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from device.audio.liveness import Liveness, State
from device.outputs.commands import Commands
from device.outputs.mqtt.topics import Topics, class_slugs

_JUMP = timedelta(seconds=5)
"""Changes of the clock below this do not change when the device started, as far as others are concerned."""


class DeviceStates:
    """The present states, and which of them have changed since they were published.

    Every method may be called by any thread.

    Args:
        topics: topics of the device.
        commands: whether it is muted, its confidences and its diagnostics; None if there is no daemon.
        machine: id of the machine; empty if it has none.
    """

    def __init__(self, topics: Topics, commands: Commands | None, machine: str) -> None:
        self._topics = topics
        self._commands = commands
        self._machine = machine
        self._state: State | None = None
        self._healthy = False
        self._slugs: Mapping[str, str] = {}
        self._diagnostics = ""
        self._started: datetime | None = None
        self._published: dict[str, str] = {}
        self._lock = threading.Lock()

    def open(self, labels: Sequence[str]) -> None:
        """The model has these classes."""
        self._slugs = class_slugs(labels)

    def microphone(self, liveness: Liveness) -> None:
        """Note the state of the microphone."""
        self._state = liveness.state
        if liveness.state != State.RECOVERING:  # it is about to be healthy or lost, and that is published
            self._healthy = liveness.state == State.HEALTHY

    def measure(self) -> None:
        """Update the diagnostics."""
        found = None if self._commands is None else self._commands.diagnostics()
        if found is None:
            return
        started = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=round(found.uptime_s))
        if self._started is None or abs(started - self._started) > _JUMP:  # a Raspberry Pi sets its clock late
            self._started = started
        table = {
            "memory_mb": found.memory_mb,
            "started": self._started.isoformat(),
            "uptime_s": round(found.uptime_s),
            "blocks_dropped": found.blocks_dropped,
            "microphone_losses": found.microphone_losses,
            "model": found.model,
        }
        self._diagnostics = json.dumps(table, ensure_ascii=False)

    def present(self) -> dict[str, str]:
        """All states by topic; the caller publishes them."""
        with self._lock:
            self._published = self._all()
            return dict(self._published)

    def changes(self) -> dict[str, str]:
        """The states by topic that differ from those returned before; the caller publishes them."""
        with self._lock:
            before, self._published = self._published, self._all()
            return {topic: payload for topic, payload in self._published.items() if before.get(topic) != payload}

    def _all(self) -> dict[str, str]:
        states = {
            self._topics.microphone: _switch(self._healthy),
            self._topics.mute: _switch(self._is_muted()),
        }
        confidences = {} if self._commands is None else self._commands.confidences
        for label, slug in self._slugs.items():
            if label in confidences:
                states[self._topics.confidence(slug)] = f"{round(100 * confidences[label], 1):g}"
        if self._diagnostics:
            states[self._topics.diagnostics] = self._diagnostics
        if self._machine:
            states[self._topics.machine] = self._machine
        return states

    def _is_muted(self) -> bool:
        """Whether the microphone is closed because it is muted: not only about to be, nor for another process."""
        muted = self._commands is None or self._commands.muted
        if self._state is None:  # it was never open
            return self._commands is not None and muted
        return self._state == State.MUTED and muted


def _switch(on: bool) -> str:
    return "ON" if on else "OFF"
