"""Measurements of trainings with few recordings: augmented copies, and a base to start from."""
