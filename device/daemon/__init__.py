"""The daemon behind `edge-mcnn listen`, its status socket and its conversation with systemd."""
