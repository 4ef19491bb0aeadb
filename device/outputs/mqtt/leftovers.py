"""What a device has left at the broker: entities that it no longer has, and its former name.

A broker retains messages until an empty one replaces them, and Home Assistant shows what they announce. Everything that
is read here may have been published by anyone, so that it decides about nothing but which messages are replaced.
"""

from collections.abc import Collection, Iterable, Sequence

from device.outputs.mqtt.topics import Topics
from device.settings.broker import LONGEST_DEVICE

_MOST = 2000
"""Number of retained messages, and of devices, that are remembered; a device has about thirty."""
_MOST_NAMES = 5
"""Number of former names that are cleared at a time."""
_LONGEST = 64
"""Bytes of an availability or a machine that are read."""
_OFFLINE = b"offline"


def filters(topics: Topics, discovery_prefix: str) -> list[str]:
    """Subscriptions with which the broker sends everything that it retains of a device.

    Args:
        topics: topics of the device.
        discovery_prefix: topic prefix under which Home Assistant expects discovery messages; empty if it is not used.
    """
    return [topics.all_of_device, *([topics.config(discovery_prefix, "+", "+")] if discovery_prefix else [])]


def announcements(topics: Iterable[str], discovery_prefix: str) -> set[str]:
    """The topics of discovery messages among others.

    They are removed first: an entity that is still there reports an empty state as an error.
    """
    start, of_devices = f"{discovery_prefix}/", f"/{Topics('', '').device_id}"
    return {each for each in topics if each.startswith(start) and of_devices in each and each.endswith("/config")}


class Leftovers:
    """Finds what this device, and this machine under former names, has left at the broker.

    A name is a former one of this machine if the broker retains the id of this machine for it, and that the device is
    offline. So a second daemon on this machine may run under another name.

    Args:
        topics: topics of the device.
        discovery_prefix: topic prefix under which Home Assistant expects discovery messages; empty if it is not used.
        machine: id of this machine; empty if it has none, and then no former name is found.
    """

    def __init__(self, topics: Topics, discovery_prefix: str, machine: str) -> None:
        self._topics = topics
        self._discovery_prefix = discovery_prefix
        self._machine = machine.encode()
        self._retained: set[str] = set()
        self._availabilities: dict[str, bytes] = {}
        self._machines: dict[str, bytes] = {}

    @property
    def filters(self) -> list[str]:
        """Subscriptions for the messages that `note` needs."""
        every = Topics(self._topics.prefix, "+")
        return [*filters(self._topics, self._discovery_prefix)[1:], self._topics.confidence("+"),
                *([every.availability, every.machine] if self._machine else [])]  # fmt: skip

    def note(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Note a message.

        Args:
            topic: its topic.
            payload: its content.
            retained: whether the broker had stored it before the subscription.
        """
        if "+" in topic or "#" in topic:  # of no use to a client, and sent by no broker that works
            return
        if retained and payload and len(self._retained) < _MOST:
            self._retained.add(topic)
        prefix, _, rest = topic.rpartition("/")
        prefix, _, device = prefix.rpartition("/")
        seen = {"availability": self._availabilities, "machine": self._machines}.get(rest)
        # What is published meanwhile counts, too: another device of this machine may just have started.
        if seen is not None and prefix == self._topics.prefix and (device in seen or len(seen) < _MOST):
            seen[device] = payload[:_LONGEST]

    def stale(self, present: Collection[str]) -> list[str]:
        """Topics of retained messages of this device that it no longer publishes.

        Args:
            present: topics of the retained messages that it publishes now.
        """
        own = [self._topics.confidence("+"), *filters(self._topics, self._discovery_prefix)[1:]]
        return sorted(set(self._matching(own)) - set(present))

    def retained_of(self, topics: Topics) -> list[str]:
        """Topics of retained messages of one device, of those that were noted."""
        return sorted(self._matching(filters(topics, self._discovery_prefix)))

    def former(self) -> Sequence[Topics]:
        """Topics of devices that are this machine under former names."""
        names = [
            device
            for device, machine in sorted(self._machines.items())
            if machine == self._machine != b"" and device != self._topics.device and self._is_offline(device)
        ]
        short = [name for name in names if len(name) <= LONGEST_DEVICE]
        return [Topics(self._topics.prefix, name) for name in short[:_MOST_NAMES]]

    def _matching(self, subscriptions: Sequence[str]) -> list[str]:
        from paho.mqtt.client import topic_matches_sub

        return [topic for topic in self._retained if any(topic_matches_sub(each, topic) for each in subscriptions)]

    def _is_offline(self, device: str) -> bool:
        return self._availabilities.get(device) == _OFFLINE
