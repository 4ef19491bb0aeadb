"""Figures that were measured more than once: a median and how far they spread."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """The same thing, measured some times."""

    values: tuple[float, ...]
    """In the order of the rounds."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """From any sequence of at least one."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """Of the values."""
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """95th percentile, the nearest value above."""
        return sorted(self.values)[min(len(self.values) - 1, int(0.95 * len(self.values)))]

    def told(self, form: str = ".1f", scale: float = 1) -> str:
        """Median, with the least and the most in brackets."""
        least, most = min(self.values), max(self.values)
        return f"{self.median * scale:{form}} ({least * scale:{form}} to {most * scale:{form}})"
