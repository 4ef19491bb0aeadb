"""The daemon, and what keeps it going: systemd, its status, installing it as a service, a doctor, a benchmark."""
