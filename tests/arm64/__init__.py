"""Emulates the system of a Raspberry Pi on another machine, and runs every command of docs/install-on-a-pi.md in it."""
