"""LEDs on the GPIO pins of a Raspberry Pi, through gpiozero."""

import warnings
from collections.abc import Sequence
from types import TracebackType

from device.errors import LightsError
from device.sentence import Prediction
from device.settings import LightsSettings
from device.showing.trouble import Trouble

_FLASH_S = 0.1
_PERIOD_S = {Trouble.LOST: 1.0, Trouble.SILENT: 4.0}
"""All LEDs flash together, which no answer does: quickly when there is no microphone, slowly when it gives silence."""


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
        try:
            with warnings.catch_warnings():
                # gpiozero warns for every pin library that it tries; the error below says it once.
                warnings.simplefilter("ignore", gpiozero.PinFactoryFallback)
                # Whatever a killed process left on is off from here on.
                self._board = gpiozero.LEDBoard(*(settings.pins[label] for label in labels))
        except (gpiozero.GPIOZeroError, OSError, RuntimeError) as error:
            raise LightsError(
                f"the LEDs cannot be driven ({' '.join(str(error).split()) or type(error).__name__}); "
                "is this a Raspberry Pi, is python3-lgpio installed, are you in the group gpio? "
                "On another machine use --lights terminal"
            ) from None
        self._leds = dict(zip(labels, self._board.leds, strict=True))

    def show(self, prediction: Prediction) -> None:
        """Light one LED for the hold time and turn the others off."""
        self._board.off()
        self._leds[prediction.label].blink(on_time=self._hold_s, off_time=0, n=1)

    def trouble(self, trouble: Trouble | None) -> None:
        """Flash all LEDs together until the trouble is over."""
        self._board.off()
        if trouble is not None:
            self._board.blink(on_time=_FLASH_S, off_time=_PERIOD_S[trouble] - _FLASH_S)

    def __enter__(self) -> "GpioLights":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._board.off()
        self._board.close()
