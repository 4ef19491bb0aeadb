"""LEDs on the GPIO pins of a Raspberry Pi, through gpiozero: one for each class, or one RGB LED for all."""

import itertools
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from device.errors import LightsError
from device.events import Prediction
from device.outputs.base import Trouble
from device.settings.leds import CLASS_COLOURS, COLOURS, RGB, rgb_levels
from device.settings.schema import LightsSettings
from device.settings.toml import toml_value

Pattern = tuple[float, ...]
"""Light of each pin, 0 to 1, as the eye sees it."""
Step = tuple[Pattern, float | None]
"""A pattern, and seconds for which it stays; None for as long as nothing else is asked for."""

_GAMMA = 2.2


def duty(pattern: Pattern) -> Pattern:
    """Share of the time that each pin is on, 0 to 1: half the time looks like three quarters of the light (sRGB)."""
    return tuple(light**_GAMMA for light in pattern)


class Player:
    """Plays patterns on LEDs: the first at once, the others in a thread of its own.

    Args:
        leds: what gpiozero gives for some LEDs: its `value` is a tuple with the duty of each.
    """

    def __init__(self, leds: Any) -> None:
        self._leds = leds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def play(self, steps: Iterable[Step]) -> None:
        """Play these and leave the LEDs dark after the last; what was played before is over. Does not wait."""
        self._end()
        left = iter(steps)
        pattern, seconds = next(left)
        self._leds.value = duty(pattern)
        self._stopping = threading.Event()
        # A daemon: one that hangs in the driver keeps no process alive.
        self._thread = threading.Thread(
            target=self._go_on, args=(left, seconds, self._stopping), name="lights", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """All dark."""
        self._end()
        self._leds.off()

    def _end(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _go_on(self, left: Iterator[Step], seconds: float | None, stopping: threading.Event) -> None:
        for pattern, following in left:
            if stopping.wait(seconds):
                return
            self._leds.value = duty(pattern)
            seconds = following
        if not stopping.wait(seconds):
            self._leds.off()


_FLASH_S = 0.1
_PERIOD_S = {Trouble.LOST: 1.0, Trouble.SILENT: 4.0}
"""All LEDs flash together, which no answer does: quickly when there is no microphone, slowly when it gives silence."""
_DIMMEST = 0.2
"""An answer is seen, however improbable it is."""
_PLAIN_PINS = (17, 27, 22, 23, 24, 25, 5, 6, 16, 26, 12, 13, 18, 19, 20, 21, 4, 7, 8, 9, 10, 11, 15, 14)
"""Those that nothing else wants come first, those of SPI and of the serial console last. Those below 4 are a bus of
plugged-on boards and have pull-up resistors of their own."""


def colour_of(settings: LightsSettings, label: str) -> str | None:
    """Of the RGB LED for a class; None if nobody says."""
    return settings.colours.get(label) or CLASS_COLOURS.get(label)


def check_leds(settings: LightsSettings, labels: Sequence[str]) -> None:
    """See to it that each class has its light.

    Raises:
        LightsError: a class has no pin, or, with an RGB LED, no colour.
    """
    if settings.rgb:
        what, has = "colour", {label for label in labels if colour_of(settings, label)}
    else:
        what, has = "pin", set(settings.pins)
    without = [label for label in labels if label not in has]
    if without:
        mend = _colours_for(settings, labels, without) if settings.rgb else _pins_for(settings, labels)
        raise LightsError(f"no {what} for {', '.join(without)}", fix=mend)


def _pins_for(settings: LightsSettings, labels: Sequence[str]) -> str:
    """What to write so that each class has a pin; those that have one keep it."""
    had = {label: settings.pins[label] for label in labels if label in settings.pins}
    free = [pin for pin in _PLAIN_PINS if pin not in had.values()]
    if len(labels) - len(had) > len(free):
        return f"{len(labels)} classes are more than there are pins: one RGB LED shows them all, see rgb under [lights]"
    pins = {label: had[label] if label in had else free.pop(0) for label in labels}
    return f"write pins = {toml_value(pins)} under [lights] in a file for --config"


def _colours_for(settings: LightsSettings, labels: Sequence[str], without: Sequence[str]) -> str:
    """What to write so that each class has a colour, as long as there are names of them one that no other has."""
    taken = {colour_of(settings, label) for label in labels}
    free = [colour for colour in COLOURS if colour not in taken] or list(COLOURS)
    colours = {**settings.colours, **dict(zip(without, itertools.cycle(free), strict=False))}
    return f"write colours = {toml_value(colours)} under [lights] in a file for --config"


def patterns(settings: LightsSettings, labels: Sequence[str]) -> Mapping[str, Pattern]:
    """What shows each class, at full light: of each LED, or of each leg of the RGB LED.

    Raises:
        LightsError: see `check_leds`.
    """
    check_leds(settings, labels)
    if settings.rgb:
        return {label: rgb_levels(colour_of(settings, label) or "") for label in labels}
    return {label: tuple(float(other == label) for other in labels) for label in labels}


class GpioLights:
    """Each LED between its pin, through a resistor, and ground, or 3.3 V where the settings say so.

    Args:
        settings: BCM pins and colours by class, and how bright and for how many seconds a light is on.
        labels: classes of the model.

    Raises:
        LightsError: a class has no pin or colour, or gpiozero cannot drive the pins.
    """

    def __init__(self, settings: LightsSettings, labels: Sequence[str]) -> None:
        self._hold_s = settings.hold_s
        self._by_confidence = settings.brightness == "confidence"
        self._patterns = patterns(settings, labels)
        # Where full light is all that is asked for, no thread of the driver need turn pins on and off.
        between = any(0 < light < 1 for pattern in self._patterns.values() for light in pattern)
        self._leds = _opened(settings, labels, pwm=self._by_confidence or between)
        self._all: Pattern = (1.0,) * len(next(iter(self._patterns.values())))
        self._dark: Pattern = (0.0,) * len(self._all)
        self._player = Player(self._leds)

    def show(self, prediction: Prediction) -> None:
        """Light one class for the hold time and turn the others off."""
        if prediction.light is None:
            self._player.stop()
            return
        sure = prediction.probabilities[prediction.label]
        light = max(sure, _DIMMEST) if self._by_confidence else 1.0
        pattern = tuple(light * share for share in self._patterns[prediction.light])
        self._player.play([(pattern, self._hold_s)])

    def hold(self, pattern: Pattern) -> None:
        """Light a pattern until something else is shown: for whoever tries the wiring."""
        self._player.play([(pattern, None)])

    def trouble(self, trouble: Trouble | None) -> None:
        """Flash all LEDs together until the trouble is over."""
        if trouble is None:
            self._player.stop()
            return
        flash = [(self._all, _FLASH_S), (self._dark, _PERIOD_S[trouble] - _FLASH_S)]
        self._player.play(itertools.cycle(flash))

    def __enter__(self) -> "GpioLights":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._player.stop()
        self._leds.close()


def _opened(settings: LightsSettings, labels: Sequence[str], *, pwm: bool) -> Any:
    import gpiozero

    options = {"active_high": settings.common == "cathode", "pwm": pwm}
    try:
        with warnings.catch_warnings():
            # gpiozero warns for every pin library that it tries; the error below says it once.
            warnings.simplefilter("ignore", gpiozero.PinFactoryFallback)
            # Whatever a killed process left on is off from here on.
            if settings.rgb:
                return gpiozero.RGBLED(*(settings.rgb[leg] for leg in RGB), **options)
            return gpiozero.LEDBoard(*(settings.pins[label] for label in labels), **options)
    except Exception as error:  # noqa: BLE001  # lgpio's own errors have no other base
        told = " ".join(str(error).split()) or type(error).__name__
        if "busy" in told.lower():
            advice = "another program has the pins; is it the service? sudo systemctl stop edge-mcnn"
        else:
            advice = (
                "is this a Raspberry Pi, is python3-lgpio installed, are you in the group gpio? "
                "On another machine use --lights terminal"
            )
        raise LightsError(f"the LEDs cannot be driven ({told}); {advice}") from None
