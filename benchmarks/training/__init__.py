"""Measures what training costs, and how it grows with the number of clips."""
