"""Runs a real Home Assistant core, and checks what it shows of a device and what it can command."""
