"""Commands that watch the device and look back at what it predicted."""
