import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convert import child, worker
from convert.converter import ConversionReport, convert
from convert.probe import RUNTIMES
from convert.samples import make_samples
from tests.convert import networks

INSTALLED = {package: name for package, name in RUNTIMES.items() if importlib.util.find_spec(package)}
"""`tests/device/understanding/test_classifier.py` sees to it that both are where both exist."""


@dataclass(frozen=True)
class Conversion:
    source: Path
    network: Any
    report: ConversionReport
    stages: list[str]


@pytest.fixture(scope="session")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The tutorial's network with all its weights, which answers according to what it sees and reads.

    Its pictures are a quarter of the tutorial's: the weights are the same, and it is four times faster.
    """
    companions = networks.companions(picture_height=32, picture_width=32)
    network = networks.tutorial(networks.vgg19, picture_size=32)
    network = networks.enliven(network, *make_samples(companions, seed=2))
    network.compile("adam", "categorical_crossentropy")
    path = tmp_path_factory.mktemp("full size") / "Model.h5"
    return networks.save(network, path, companions), network


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


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker runs without a process of its own, and without loading tensorflow again."""
    run = child.run

    def run_here(what: str, module: str, arguments: list[str], progress: Callable[[str], None]) -> None:
        if module == worker.__name__:
            worker.work(Path(arguments[0]), progress)
        else:
            run(what, module, arguments, progress)

    monkeypatch.setattr(child, "run", run_here)
