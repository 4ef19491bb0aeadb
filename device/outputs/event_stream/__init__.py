"""Publishes what the daemon does, as it happens, on a Unix socket; docs/events.md describes the protocol."""
