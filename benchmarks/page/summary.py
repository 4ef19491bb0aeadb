"""Summarises repeated measurements by their median and spread."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """A quantity that was measured several times."""

    values: tuple[float, ...]
    """The measurements, in the order of the rounds; at least one."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        """Summarise any sequence of at least one measurement."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """Median of the measurements."""
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """95th percentile, rounded up to the nearest measurement."""
        return sorted(self.values)[min(len(self.values) - 1, int(0.95 * len(self.values)))]

    def text(self, form: str = ".1f", scale: float = 1) -> str:
        """Format the median, with minimum and maximum in brackets.

        Args:
            form: format specification for each number.
            scale: factor for each number, such as 100 for per cent.
        """
        lowest, highest = min(self.values), max(self.values)
        return f"{self.median * scale:{form}} ({lowest * scale:{form}} to {highest * scale:{form}})"
