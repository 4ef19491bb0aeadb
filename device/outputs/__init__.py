"""Where predictions go: LEDs, terminal, JSON lines, a command, an MQTT broker."""
