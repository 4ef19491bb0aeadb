import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import pytest

from convert import subprocess_job as child
from convert import worker
from convert.convert import ConversionReport, convert
from convert.options import Choices
from convert.recipes import RECIPES
from convert.subprocess_job import Progress
from convert.verify.representative_data import make_samples
from convert.verify.runner import RUNTIMES
from device.recognition.runtimes import is_installed
from tests.conftest import CLIPS
from tests.convert import networks, strangers

INSTALLED = {runtime: name for runtime, name in RUNTIMES.items() if is_installed(runtime)}
"""`tests/device/recognition/test_classifier.py` sees to it that both are where both exist."""


class Stages(list[str]):
    """Keeps what a `Progress` is told, each stage once."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        assert 0 <= done <= total or total == 0
        if stage not in self[-1:]:
            self.append(stage)


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
    companions = networks.companions(image_height=32, image_width=32)
    network = networks.tutorial(networks.vgg19, picture_size=32)
    network = networks.enliven(network, *make_samples(companions, seed=2))
    network.compile("adam", "categorical_crossentropy")
    path = tmp_path_factory.mktemp("full size") / "Model.h5"
    return networks.save(network, path, companions), network


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of real recordings with texts of words that the networks of `networks` know."""
    table = tmp_path_factory.mktemp("spoken") / "clips.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("audio", "text", "label"))
        for number, clip in enumerate(sorted(CLIPS.glob("*.flac")) * 6):
            words = " ".join(f"word{number * word**2 % networks.WORDS}" for word in range(number % 12))
            writer.writerow((clip, words, networks.LABELS[number % 3]))
    return table


@pytest.fixture(scope="session", params=list(RECIPES))
def converted(request: pytest.FixtureRequest, full_size: tuple[Path, Any], spoken: Path) -> Conversion:
    """The full-size network, converted once per mode."""
    source, network = full_size
    stages = Stages()
    choices = Choices(request.param, calibrate=spoken if request.param == "int8" else None)
    report = convert(source, source.with_name(f"{request.param}.tflite"), choices=choices, progress=stages)
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

    def run_here(what: str, module: str, arguments: list[str], progress: Progress) -> None:
        if module == worker.__name__:
            worker.work(Path(arguments[0]), progress)
        else:
            run(what, module, arguments, progress)

    monkeypatch.setattr(child, "run", run_here)


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same network as `Model.keras`, `Model.h5` and `Model.weights.h5` of Keras 3."""
    folder = tmp_path_factory.mktemp("honest")
    model = strangers.network(keras)
    for name in ("Model.keras", "Model.h5"):
        model.save(folder / name)
    model.save_weights(folder / "Model.weights.h5")
    return folder
