"""Measures everything that benchmarks/RESULTS.md shows, and writes that page."""
