"""Settings: their schema, the checks on them, and the TOML file and environment they come from."""
