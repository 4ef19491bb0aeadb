"""Measures the cost of the project in time, CPU and memory; run by hand, never as a timed test."""
