"""Commands that set up and check this machine."""
