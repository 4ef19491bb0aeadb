"""Checks of every part that listening needs, each run in a process of its own."""
