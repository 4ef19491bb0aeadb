"""LEDs on the GPIO pins of a Raspberry Pi."""
