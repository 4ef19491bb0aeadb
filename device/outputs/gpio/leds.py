"""LEDs on the GPIO pins of a Raspberry Pi, through gpiozero: one for each class, or one RGB LED for all.

Everything that they show is a sequence of patterns: how bright each pin is, and one pattern after the other for a time
each. Predictions light one class; a microphone that gives no audio flashes all LEDs together, a muted one flashes one.
"""

import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from device.audio.liveness import Liveness, State
from device.errors import LightsError
from device.events import Prediction, Preview
from device.outputs.gpio.buttons import check_pins
from device.outputs.gpio.pin_factory import ensure_pin_factory, lights_error
from device.settings.buttons import Button
from device.settings.leds import CLASS_COLOURS, CLASS_PINS, COLOURS, PLAIN_PINS, RGB, rgb_levels
from device.settings.schema import LightsSettings, MuteSettings
from device.settings.toml_values import toml_value
from device.system.display import displayable

Pattern = tuple[float, ...]
"""Brightness of each pin, 0 to 1, as the eye sees it."""
TimedPattern = tuple[Pattern, float | None]
"""A pattern and the seconds for which it stays; None until something else is played."""

_GAMMA = 2.2
_FLASH_S = 0.1
_FLASH_PERIOD_S = {State.LOST: 1.0, State.SILENT: 4.0}
"""Seconds from flash to flash. All LEDs flash together, which no prediction does: quickly when there is no microphone,
slowly when it gives silence."""
_MUTED_PERIOD_S = 4.0
"""Seconds from flash to flash of the LED that shows that the microphone is muted."""
_BETWEEN_FLASHES_S = 0.3
_DIMMEST = 0.2
"""Brightness of the least probable prediction, which must be visible too."""


class GpioLeds:
    """The output that lights LEDs.

    Each LED is connected, through a resistor, between its pin and ground, or 3.3 V with a common anode.

    Args:
        settings: BCM pins and colours by class, and how bright and for how many seconds a light is on.
        mute: what they show while the microphone is muted.
        buttons: buttons, none of which may have the pin of an LED.
        on_error: called with what fails later, in another thread, such as turning a light off after its time; None to
            raise it in that thread.
    """

    name = "lights"

    def __init__(
        self,
        settings: LightsSettings,
        mute: MuteSettings | None = None,
        buttons: Sequence[Button] = (),
        on_error: Callable[[LightsError], None] | None = None,
    ) -> None:
        self._settings = settings
        self._mute = MuteSettings(sign="none") if mute is None else mute
        self._buttons = buttons
        self._on_error = on_error
        self._by_confidence = settings.brightness == "confidence"
        self._patterns: Mapping[str, Pattern] = {}
        self._leds: Any = None
        self._player: PatternPlayer | None = None
        self._sign: Pattern | None = None
        self._muted = False

    def open(self, labels: Sequence[str]) -> None:
        """Take the pins and switch them off; see `Output.open`.

        Raises:
            LightsError: a class has no pin or colour, a button has the pin of an LED, the class whose LED should show
                that the microphone is muted does not exist, or gpiozero cannot drive the pins.
        """
        check_leds(self._settings, labels, self._buttons)
        self._patterns = class_patterns(self._settings, labels)
        sign = sign_label(self._mute, labels)
        self._sign = None if sign is None else self._patterns[sign]
        # Where full brightness is all that is needed, no thread of the driver need switch pins on and off.
        between = any(0 < light < 1 for pattern in self._patterns.values() for light in pattern)
        rgb = self._settings.rgb
        pins = [rgb[leg] for leg in RGB] if rgb else [self._settings.pins[label] for label in labels]
        self._leds = _open_pins(self._settings, pins, pwm=self._by_confidence or between)
        self._player = PatternPlayer(self._leds, self._on_error)

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        """Light one class for the hold time and turn the others off; see `Output.prediction`."""
        del lit_at  # this is the light
        if prediction.light is None:
            self._play_nothing()
            return
        probability = prediction.probabilities[prediction.label]
        self._play([(self._pattern(prediction.light, probability), self._settings.hold_s)])

    def preview(self, preview: Preview) -> None:
        """Light one class until the prediction, or the state of the microphone, follows; see `Light.preview`."""
        if preview.light is not None:
            self._play([(self._pattern(preview.light, preview.probabilities[preview.light]), None)])

    def _pattern(self, label: str, probability: float) -> Pattern:
        light = max(probability, _DIMMEST) if self._by_confidence else 1.0
        return tuple(light * share for share in self._patterns[label])

    def corrected(self, label: str) -> None:
        """Light this class for the hold time, at full brightness; see `Light.corrected`."""
        self.show(label)

    def show(self, label: str) -> None:
        """Light this class for the hold time, at full brightness; see `Light.show`."""
        self._play([(self._patterns[label], self._settings.hold_s)])

    def microphone(self, liveness: Liveness) -> None:
        """Flash all LEDs together while there is no audio, until there is, and one while it is muted.

        See `Output.microphone`.
        """
        was_muted, self._muted = self._muted, liveness.state == State.MUTED
        if (period_s := _FLASH_PERIOD_S.get(liveness.state)) is not None:
            pins = len(next(iter(self._patterns.values())))
            self._play(_flashing((1.0,) * pins, period_s))
        elif self._muted and self._sign is not None:
            # Two flashes where one would look like a silent microphone: of a white RGB LED, or of a single LED.
            self._play(_flashing(self._sign, _MUTED_PERIOD_S, count=2 if all(self._sign) else 1))
        elif was_muted or liveness.state in (State.HEALTHY, State.MUTED):
            self._play_nothing()

    def hold(self, pattern: Pattern) -> None:
        """Show a pattern until something else is shown, to try the wiring."""
        self._play([(pattern, None)])

    def close(self, limit_s: float) -> None:
        """Switch all LEDs off and release the pins; see `Output.close`."""
        del limit_s  # nothing of this waits for long
        if self._player is not None:
            self._player.stop()
            self._leds.close()
            self._player = None

    def _play(self, steps: Iterable[TimedPattern]) -> None:
        if self._player is not None:
            self._player.play(steps)

    def _play_nothing(self) -> None:
        if self._player is not None:
            self._player.stop()


class PatternPlayer:
    """Plays patterns on LEDs: the first at once, the others in its own thread.

    Args:
        leds: the gpiozero object for the LEDs; its `value` is a tuple with the duty cycle of each.
        on_error: called with what fails in its thread; None to raise it there.
    """

    def __init__(self, leds: Any, on_error: Callable[[LightsError], None] | None = None) -> None:
        self._leds = leds
        self._on_error = on_error
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def play(self, steps: Iterable[TimedPattern]) -> None:
        """Play these patterns instead of those before, and leave the LEDs off after the last. Does not wait."""
        self._end()
        left = iter(steps)
        pattern, seconds = next(left)
        self._leds.value = _duty_cycles(pattern)
        self._stopping = threading.Event()
        # A daemon thread: one that hangs in the driver keeps no process alive.
        self._thread = threading.Thread(
            target=self._run, args=(left, seconds, self._stopping), name="lights", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Switch all LEDs off."""
        self._end()
        self._leds.off()

    def _end(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, left: Iterator[TimedPattern], seconds: float | None, stopping: threading.Event) -> None:
        try:
            self._continue(left, seconds, stopping)
        except Exception as error:
            if self._on_error is None:
                raise
            self._on_error(lights_error(error))

    def _continue(self, left: Iterator[TimedPattern], seconds: float | None, stopping: threading.Event) -> None:
        for pattern, next_seconds in left:
            if stopping.wait(seconds):
                return
            self._leds.value = _duty_cycles(pattern)
            seconds = next_seconds
        if not stopping.wait(seconds):
            self._leds.off()


def _flashing(pattern: Pattern, period_s: float, *, count: int = 1) -> Iterator[TimedPattern]:
    """Show a pattern briefly, so many times in quick succession, at the start of each period."""
    dark = (0.0,) * len(pattern)
    quick = [(pattern, _FLASH_S), (dark, _BETWEEN_FLASHES_S)] * (count - 1)
    rest_s = period_s - _FLASH_S - (count - 1) * (_FLASH_S + _BETWEEN_FLASHES_S)
    return itertools.cycle([*quick, (pattern, _FLASH_S), (dark, rest_s)])


def _duty_cycles(pattern: Pattern) -> Pattern:
    """Share of the time that each pin is on, 0 to 1: half the time looks like three quarters of the light (sRGB)."""
    return tuple(light**_GAMMA for light in pattern)


def class_patterns(settings: LightsSettings, labels: Sequence[str]) -> Mapping[str, Pattern]:
    """The pattern of each class at full brightness: of each LED, or of each leg of the RGB LED.

    Raises:
        LightsError: see `check_leds`.
    """
    check_leds(settings, labels)
    if settings.rgb:
        return {label: rgb_levels(colour_of(settings, label) or "") for label in labels}
    return {label: tuple(float(other == label) for other in labels) for label in labels}


def colour_of(settings: LightsSettings, label: str) -> str | None:
    """Colour of the RGB LED for a class, from the settings or else the default; None if there is neither."""
    return settings.colours.get(label) or CLASS_COLOURS.get(label)


def sign_label(mute: MuteSettings, labels: Sequence[str]) -> str | None:
    """The class whose LED shows that the microphone is muted; None if no LED does.

    Raises:
        LightsError: the model has no such class.
    """
    if mute.sign == "none":
        return None
    if mute.led and mute.led not in labels:
        message = f"mute.led is {displayable(repr(mute.led))}, and the model has no such class"
        fix = f'write led = "" under [mute] in a file for --config, or choose one of {", ".join(labels)}'
        raise LightsError(message, fix=fix)
    return mute.led or ("neutral" if "neutral" in labels else labels[0])


def check_leds(settings: LightsSettings, labels: Sequence[str], buttons: Sequence[Button] = ()) -> None:
    """Check that each class has a light, and that no button has the pin of an LED.

    Args:
        settings: pins and colours of the LEDs.
        labels: classes of the model.
        buttons: the buttons.

    Raises:
        LightsError: a class has no pin, or, with an RGB LED, no colour; or a button shares its pin.
    """
    if settings.rgb:
        what, has = "colour", {label for label in labels if colour_of(settings, label)}
    else:
        what, has = "pin", set(settings.pins)
    missing = [label for label in labels if label not in has]
    if missing:
        fix = _colours_fix(settings, labels, missing) if settings.rgb else _pins_fix(settings, labels)
        raise LightsError(f"no {what} for {', '.join(missing)}", fix=fix)
    if settings.rgb:
        check_pins(buttons, {pin: f"the {leg} leg of the RGB LED" for leg, pin in settings.rgb.items()})
    else:
        check_pins(buttons, {settings.pins[label]: f"the LED of {displayable(label)}" for label in labels})


def _pins_fix(settings: LightsSettings, labels: Sequence[str]) -> str:
    """The setting that gives each class a pin; classes that have one keep it."""
    known = {label: settings.pins[label] for label in labels if label in settings.pins}
    free = [pin for pin in PLAIN_PINS if pin not in known.values()]
    if len(labels) - len(known) > len(free):
        return f"{len(labels)} classes are more than there are pins: use one RGB LED, see rgb under [lights]"
    pins = {label: known[label] if label in known else free.pop(0) for label in labels}
    return f"write pins = {toml_value(pins)} under [lights] in a file for --config"


def _colours_fix(settings: LightsSettings, labels: Sequence[str], missing: Sequence[str]) -> str:
    """The setting that gives each class a colour, one that no other class has as long as there are named colours."""
    taken = {colour_of(settings, label) for label in labels}
    free = [colour for colour in COLOURS if colour not in taken] or list(COLOURS)
    colours = {**settings.colours, **dict(zip(missing, itertools.cycle(free), strict=False))}
    return f"write colours = {toml_value(colours)} under [lights] in a file for --config"


def switch_off(settings: LightsSettings, labels: Collection[str], buttons: Sequence[Button] = ()) -> Mapping[str, int]:
    """Take every pin that may have been left on, and switch it off: a killed process cannot do so.

    A Raspberry Pi's kernel preserves the outputs of a process that ends without releasing them. Of the default pins
    only those of the model's classes are taken, because anything may be connected to the others. Pins of buttons never
    are: while a button is pressed, it would short-circuit an output.

    Args:
        settings: pins.
        labels: classes of the model.
        buttons: the buttons.

    Returns:
        The BCM pins, by class or by leg of the RGB LED.

    Raises:
        LightsError: gpiozero cannot drive the pins, or other programs hold some of them; the others are off.
    """
    ensure_pin_factory()
    pins = settings.rgb or settings.pins
    if pins == CLASS_PINS:
        pins = {label: pin for label, pin in pins.items() if label in labels}
    buttons_at = {button.pin for button in buttons}
    pins = {name: pin for name, pin in pins.items() if pin not in buttons_at}
    failed = {}
    for name, pin in pins.items():
        try:
            _open_pins(settings, [pin], pwm=False).close()
        except LightsError as error:
            failed[name] = error
    if failed:
        first = next(iter(failed.values()))
        still = ", ".join(f"GPIO{pins[name]}" for name in failed)
        raise LightsError(f"{still}: {first.message}", fix=first.fix)
    return pins


def _open_pins(settings: LightsSettings, pins: Sequence[int], *, pwm: bool) -> Any:
    """Take the pins and switch them off, whatever a killed process left on."""
    ensure_pin_factory()
    import gpiozero

    options = {"active_high": settings.common == "cathode", "pwm": pwm}
    try:
        return gpiozero.LEDBoard(*pins, **options)
    except Exception as error:  # noqa: BLE001  # lgpio's own errors have no other base
        raise lights_error(error) from None
