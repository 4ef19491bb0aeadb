"""Services of the operating system: atomic writes, signals, standard error, terminal modes, permissions, hardware."""
