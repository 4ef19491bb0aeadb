"""What keeps the daemon going: liveness of the microphone, systemd, status, installing as a service."""
