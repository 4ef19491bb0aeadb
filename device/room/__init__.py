"""Measures the room and the voice in it as the microphone delivers them, and proposes gate and gain."""
