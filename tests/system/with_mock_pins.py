"""Runs `edge-mcnn` with gpiozero's mock pins, and prints the states of each pin as JSON, as the last line on stderr."""

import json
import sys

from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from edge_mcnn.main import main

Device.pin_factory = MockFactory()
try:
    main()
finally:
    history = {
        pin.info.name.removeprefix("GPIO"): [bool(state.state) for state in pin.states]
        for pin in Device.pin_factory.pins.values()
    }
    print(json.dumps(history), file=sys.stderr)
