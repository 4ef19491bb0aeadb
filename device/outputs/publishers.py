"""What a publisher is, which ones the settings ask for, and what of an answer each is given."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from device.settings.schema import Settings

Table = Mapping[str, Any]
"""An answer, as `device.outputs.json_lines.as_table` gives it."""


class Publisher(Protocol):
    """Passes answers on. Nothing but `close` may wait: who calls has lights to light."""

    def open(self) -> None:
        """Begin."""

    def publish(self, table: Table) -> None:
        """Pass an answer on, soon."""

    def microphone(self, *, heard: bool) -> None:
        """Whether the microphone gives sound, each time that this changes."""

    def close(self, limit_s: float) -> None:
        """Pass on what is left, as far as that can be done within the limit; may be called before `open`."""


def publishers(settings: Settings, announce: Callable[[str], None]) -> list[Publisher]:
    """Those that the settings ask for, the one that is closed soonest first.

    Args:
        settings: of the daemon.
        announce: is told, in a line, what goes wrong and when it is right again; from any thread.

    Raises:
        PublishingError: one of them can never work as it is set.
    """
    found: list[Publisher] = []
    if settings.mqtt.host:
        from device.outputs.mqtt.publisher import MqttPublisher

        found.append(MqttPublisher(settings.mqtt, announce))
    if settings.publish.command:
        from device.outputs.command import CommandPublisher

        found.append(CommandPublisher(settings.publish, announce))
    return found


def without_words(table: Table) -> Table:
    """The answer without what was said."""
    return {name: value for name, value in table.items() if name != "text"}
