"""What the project costs, measured: run by hand, never a timed test."""
