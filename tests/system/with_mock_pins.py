"""Runs `edge-mcnn` with gpiozero's mock pins, and prints the states of each pin as JSON, as the last line on stderr.

If MOCK_PINS names a folder, the level of each pin is also stored there in a file of its name, and survives the process
as on a Raspberry Pi, whose kernel preserves outputs.

If MOCK_LEVELS names a pipe, each line of it drives an input, such as `GPIO23 low`.
"""

import json
import os
import sys
import threading
from pathlib import Path

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

from edge_mcnn.main import main


class _StoredPin(MockPin):  # type: ignore[misc]  # gpiozero has no types
    def _change_state(self, value: bool) -> bool:
        changed: bool = super()._change_state(value)
        if self.function == "output":
            Path(os.environ["MOCK_PINS"], self.info.name).write_text(str(int(value)))
        return changed


def _drive_inputs(pipe: str) -> None:
    with Path(pipe).open() as lines:
        for line in lines:
            name, level = line.split()
            pin = Device.pin_factory.pin(name)
            pin.drive_low() if level == "low" else pin.drive_high()


if "MOCK_LEVELS" in os.environ:
    threading.Thread(target=_drive_inputs, args=(os.environ["MOCK_LEVELS"],), daemon=True).start()
Device.pin_factory = MockFactory(pin_class=_StoredPin) if "MOCK_PINS" in os.environ else MockFactory()
try:
    main()
finally:
    history = {
        pin.info.name.removeprefix("GPIO"): [bool(state.state) for state in pin.states]
        for pin in Device.pin_factory.pins.values()
    }
    print(json.dumps(history), file=sys.stderr)
