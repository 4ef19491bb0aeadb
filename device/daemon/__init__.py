"""The daemon behind `edge-mcnn listen`, its status socket and its notifications for systemd."""
