"""The benchmark of the adaptation: what it measures stays within its limits, and its page shows it."""

import re

import pytest

from benchmarks.adaptation_cost import FITS, FitCost, RateCost, fit_cost, page, rate_costs, simulated
from device.adaptation.profile import MOST_EXAMPLES
from device.bundle import SHIPPED_BUNDLES, read_bundle

_MOST_SECONDS, _MOST_BYTES = 2.0, 50_000_000


@pytest.mark.parametrize(("model", "count"), FITS)
def test_learning_is_quick_and_needs_little_memory(model: str, count: int) -> None:
    """With the most examples it takes a hundredth of the limits: a loaded machine is no failure."""
    found = fit_cost(model, count, repeats=1)
    assert 0 < found.seconds < _MOST_SECONDS
    assert 0 < found.traced_bytes < _MOST_BYTES
    assert found.resident_bytes < _MOST_BYTES


def test_the_largest_profile_is_measured() -> None:
    assert max(count for _, count in FITS) == MOST_EXAMPLES
    for model, path in SHIPPED_BUNDLES.items():
        own = simulated(read_bundle(path), 21)
        assert (own.identity.model, len(own.examples)) == (model, 21)
        assert min(own.counts().values()) >= 3


def test_each_state_of_a_profile_is_measured() -> None:
    found = rate_costs("sentiment", calls=3)
    assert [name.split(",")[0] for name in found] == ["without examples", "with 300 examples", "the same", "the same"]
    assert all(cost.plain_ms > 0 and cost.rated_ms > 0 for cost in found.values())


def test_the_page() -> None:
    shown = page(
        {("sentiment", 9): FitCost(0.0123, 2_000_000, 300_000)},
        {"sentiment": {"without examples": RateCost(0.1, 0.15)}},
    )
    assert "| sentiment | 9 | 0.012 | 2.0 MB | 0.3 MB |\n" in shown
    assert "| sentiment | without examples | 0.100 ms | 0.150 ms | 0.050 ms |\n" in shown
    tables = re.findall(r"(?:^\|.*\n)+", shown, re.MULTILINE)
    assert len(tables) == 2
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
