"""Measures the page, the events and the history; each module prints a table."""
