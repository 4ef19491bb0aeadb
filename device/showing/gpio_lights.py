"""LEDs on the GPIO pins of a Raspberry Pi, through gpiozero."""

import warnings
from collections.abc import Sequence
from types import TracebackType

from device.errors import LightsError
from device.sentence import Prediction
from device.settings import LightsSettings


class GpioLights:
    """One LED per class, each from its pin through a resistor to ground.

    Args:
        settings: BCM pins by class, and seconds that a light stays on.
        labels: classes of the model.

    Raises:
        LightsError: a class has no pin, or gpiozero cannot drive the pins.
    """

    def __init__(self, settings: LightsSettings, labels: Sequence[str]) -> None:
        without = [label for label in labels if label not in settings.pins]
        if without:
            raise LightsError(
                f"no pin for {', '.join(without)}; "
                f"write e.g. {without[0]} = 5 under [lights.pins] in a file for --config"
            )
        import gpiozero

        self._hold_s = settings.hold_s
        self._leds: dict[str, gpiozero.LED] = {}
        try:
            with warnings.catch_warnings():
                # gpiozero warns for every pin library that it tries; the error below says it once.
                warnings.simplefilter("ignore", gpiozero.PinFactoryFallback)
                for label in labels:
                    self._leds[label] = gpiozero.LED(settings.pins[label])
        except (gpiozero.GPIOZeroError, OSError, RuntimeError) as error:
            self._off()
            raise LightsError(
                f"the LEDs cannot be driven ({' '.join(str(error).split()) or type(error).__name__}); "
                "is this a Raspberry Pi, is python3-lgpio installed, are you in the group gpio? "
                "On another machine use --lights terminal"
            ) from None

    def show(self, prediction: Prediction) -> None:
        """Light one LED for the hold time and turn the others off."""
        for label, led in self._leds.items():
            if label != prediction.label:
                led.off()
        self._leds[prediction.label].blink(on_time=self._hold_s, off_time=0, n=1)

    def __enter__(self) -> "GpioLights":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._off()

    def _off(self) -> None:
        for led in self._leds.values():
            led.off()
            led.close()
