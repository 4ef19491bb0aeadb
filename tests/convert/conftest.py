from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convert.converter import ConversionReport, convert
from convert.samples import make_samples
from tests.convert import networks


@dataclass(frozen=True)
class Conversion:
    source: Path
    network: Any
    report: ConversionReport
    stages: list[str]


@pytest.fixture(scope="session")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The tutorial's network at full size, which answers according to what it sees and reads."""
    network = networks.enliven(networks.tutorial(networks.vgg19), *make_samples(networks.companions(), seed=1))
    network.compile("adam", "categorical_crossentropy")
    path = tmp_path_factory.mktemp("full size") / "Model.h5"
    return networks.save(network, path, networks.companions()), network


@pytest.fixture(scope="session", params=["float32", "dynamic"])
def converted(request: pytest.FixtureRequest, full_size: tuple[Path, Any]) -> Conversion:
    """The full-size network, converted once per mode."""
    source, network = full_size
    stages: list[str] = []
    report = convert(source, source.with_name(f"{request.param}.tflite"), mode=request.param, progress=stages.append)
    return Conversion(source, network, report, stages)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole and convertible `Model.h5` of some 400 kB; copy it before changing it."""
    return networks.save(
        networks.tutorial(text_first=True), tmp_path_factory.mktemp("small") / "Model.h5", networks.companions()
    )
