"""A Raspberry Pi's system on another machine: what docs/install-on-a-pi.md says, done there line by line."""
