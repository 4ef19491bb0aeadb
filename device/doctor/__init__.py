"""Checks of each part that the daemon needs, run in isolation from each other."""
