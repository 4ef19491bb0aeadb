"""Wiring diagrams for the LEDs, as text and as SVG."""
