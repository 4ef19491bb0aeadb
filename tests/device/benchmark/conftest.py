"""One real benchmark of this machine, which the tests of its parts share."""

from pathlib import Path

import pytest

from device.benchmark.results import BenchmarkResults
from device.benchmark.run import benchmark
from device.settings.schema import Settings


@pytest.fixture(scope="package")
def results(speech_model: Path) -> BenchmarkResults:
    return benchmark(Settings(), seconds=0.5)
