"""Commands that show what the device does, and what it did."""
