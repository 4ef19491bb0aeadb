"""Learns a voice for `edge-mcnn learn`: examples from a session or from recordings, what they gain, and the profile."""
