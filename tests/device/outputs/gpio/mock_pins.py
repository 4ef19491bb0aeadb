"""gpiozero's mock pins instead of those of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin


@contextmanager
def mock_pins(kind: type[MockPin]) -> Iterator[MockFactory]:
    """Let gpiozero use mock pins of this kind within the context."""
    before = Device.pin_factory
    Device.pin_factory = MockFactory(pin_class=kind)
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = before
