"""Wiring diagrams for the LEDs and buttons, as text and as SVG."""
