"""Installation of the daemon as a systemd service."""
