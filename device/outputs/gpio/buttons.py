"""Buttons on the GPIO pins of a Raspberry Pi, through gpiozero: one mutes, one corrects the latest prediction."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from device.audio.liveness import Liveness
from device.errors import LightsError, ProfileError
from device.events import Prediction
from device.outputs.commands import Commands
from device.outputs.corrections import CorrectionRequests, outcome
from device.outputs.gpio.pin_factory import buttons_error, ensure_pin_factory
from device.settings.buttons import Button
from device.settings.leds import CLASS_PINS, PLAIN_PINS

# `service install` imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    from device.adaptation.adapted_classifier import Learnt

_NAME = "buttons"
_STABLE_S = 0.05
"""The level of a pin counts when it has not changed for this long: contacts bounce for up to 20 ms, and no finger is
that fast. So it is with lgpio; the other libraries of gpiozero ignore changes for this long after one."""


class Buttons:
    """The output that corrects the predictions it gets, and mutes.

    A press counts when the button goes from released to pressed, and once however long it is held. A button that is
    pressed at the start counts after it was released. Presses come in the thread of the pin library, which never waits.

    Args:
        buttons: the buttons; not empty.
        commands: what they do.
        announce: prints a line about what was learnt, and about a button that is pressed at the start.
        stop: ends the daemon with an error; called from the thread of the pin library.
    """

    name = _NAME

    def __init__(
        self,
        buttons: Sequence[Button],
        commands: Commands,
        announce: Callable[[str], None],
        stop: Callable[[BaseException], None],
    ) -> None:
        self._buttons = buttons
        self._commands = commands
        self._announce = announce
        self._stop = stop
        self._devices: list[Any] = []
        self._correction = _NextClass()
        self._requests = CorrectionRequests("corrections", commands.correct, self._on_learnt, self._on_not_learnt)

    def open(self, labels: Sequence[str]) -> None:
        """Take the pins; see `Output.open`.

        Raises:
            LightsError: two buttons have the same pin, or gpiozero cannot read the pins.
        """
        del labels  # each prediction has them
        check_pins(self._buttons)
        ensure_pin_factory(buttons_error)
        import gpiozero

        actions = {"mute": self._mute, "learn": self._correct}
        try:
            for button in self._buttons:
                # Not a gpiozero.Button, which has a thread of its own for long presses.
                device = gpiozero.DigitalInputDevice(button.pin, pull_up=button.active == "low", bounce_time=_STABLE_S)
                self._devices.append(device)
                device.when_activated = partial(self._on_press, actions[button.section])
                if device.is_active:
                    self._announce(
                        f"{_NAME}: {button} at GPIO{button.pin} is pressed, and works after it was released; if nobody "
                        f"presses it, check its wiring: edge-mcnn lights wiring"
                    )
        except Exception as error:  # noqa: BLE001  # lgpio's own errors have no other base
            self.close(0)
            raise buttons_error(error) from None

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        """Start with the class that is most probable after the predicted one; see `Output.prediction`."""
        del lit_at  # it does not matter when the light was on
        self._correction.start(prediction)

    def microphone(self, liveness: Liveness) -> None:
        """Do nothing: buttons work whatever the state of the microphone."""

    def close(self, limit_s: float) -> None:
        """Release the pins; see `Output.close`."""
        del limit_s  # nothing of this waits for long
        while self._devices:
            self._devices.pop().close()

    def _on_press(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  # it would end the thread, and no button would work any more
            self._stop(error)

    def _mute(self) -> None:
        self._commands.mute(None)

    def _correct(self) -> None:
        label = self._correction.next()
        if label is None:
            self._announce(f"{_NAME}: nothing was predicted yet; speak, and wait for a prediction")
        else:
            self._requests.put(label)

    # Called by the thread of the corrections.

    def _on_learnt(self, label: str, learnt: "Learnt") -> None:
        self._correction.reached(label)
        self._announce(f"{_NAME}: {outcome(label, learnt)}")

    def _on_not_learnt(self, error: ProfileError) -> None:
        self._correction.repeat()
        self._announce(f"{_NAME}: {error.message}")
        if error.fix:
            self._announce(f"  fix: {error.fix}")


class _NextClass:
    """The class to which the next press corrects the latest prediction: from the second most probable one on, round.

    All methods may be called by any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._labels: list[str] = []
        """Classes of the latest prediction, the most probable one first."""
        self._next = self._reached = 0
        """Indices of the class that was requested last, and of the one that was learnt last."""

    def start(self, prediction: Prediction) -> None:
        """Go on from the class of this prediction."""
        others = [label for label in prediction.probabilities if label != prediction.label]
        others.sort(key=lambda label: -prediction.probabilities[label])
        with self._lock:
            self._labels = [prediction.label, *others]
            self._next = self._reached = 0

    def next(self) -> str | None:
        """Return the next class; None if nothing was predicted yet."""
        with self._lock:
            if not self._labels:
                return None
            self._next = (self._next + 1) % len(self._labels)
            return self._labels[self._next]

    def reached(self, label: str) -> None:
        """This class was learnt."""
        with self._lock:
            self._reached = self._labels.index(label)

    def repeat(self) -> None:
        """A class could not be learnt: go on from the last one that was."""
        with self._lock:
            self._next = self._reached


def check_pins(buttons: Sequence[Button], leds: Mapping[int, str] | None = None) -> None:
    """Check that each button has a pin of its own.

    Args:
        buttons: the buttons.
        leds: LEDs in words, by BCM pin; None where no LEDs are driven.

    Raises:
        LightsError: a pin also belongs to an LED or another button.
    """
    users: dict[int, str] = dict(leds or {})
    # Pins of the default LEDs are no proposal, either: another model may need them.
    taken = {*users, *(button.pin for button in buttons), *CLASS_PINS.values()}
    for button in buttons:
        if button.pin in users:
            free = [pin for pin in PLAIN_PINS if pin not in taken]
            fix = f"write button = {free[0] if free else -1} under [{button.section}] in a file for --config"
            raise LightsError(f"GPIO{button.pin} belongs to {users[button.pin]} and to {button}", fix=fix)
        users[button.pin] = str(button)
