"""LEDs and buttons on the GPIO pins of a Raspberry Pi."""
