import csv
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest
from rich.console import Console

from convert import subprocess_job, worker
from convert.convert import ConversionReport, convert
from convert.recipes import RECIPES
from convert.verify.representative_data import RepresentativeData, synthetic_inputs
from device.bundle import Companions
from device.recognition.runtimes import DISPLAY_NAMES, installed_runtimes
from tests.conftest import CLIPS
from tests.convert import third_party_models, tutorial_models
from training.images.conversion_samples import corpus_samples

INSTALLED = {runtime: DISPLAY_NAMES[runtime] for runtime in reversed(installed_runtimes())}
"""Names for people by package, the strictest runtime first.

`tests/device/recognition/test_classifier.py` checks that both are installed where both exist.
"""


class Stages(list[str]):
    """A `Progress` that records each stage once."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        assert 0 <= done <= total or total == 0
        if stage not in self[-1:]:
            self.append(stage)


@dataclass(frozen=True)
class Conversion:
    """A conversion of the full-size network."""

    source: Path
    network: Any
    report: ConversionReport
    stages: list[str]


@contextmanager
def worker_in_this_process() -> Iterator[None]:
    """Run the worker without a process of its own, so that tensorflow is not loaded again, which takes seconds."""
    started = subprocess_job.started

    @contextmanager
    def started_here(step: str, module: str, arguments: list[str], folder: Path | None = None) -> Iterator[Any]:
        if module == worker.__name__:
            yield SimpleNamespace(finish=lambda progress: worker.work(Path(arguments[0]), progress))
        else:
            with started(step, module, arguments, folder) as child:
                yield child

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_job, "started", started_here)
        yield


@pytest.fixture
def in_this_process() -> Iterator[None]:
    with worker_in_this_process():
        yield


@pytest.fixture(scope="session")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The tutorial's network with all its weights, whose predictions depend on both inputs.

    Its images are a quarter of the tutorial's: the weights are the same, and it is four times faster.
    """
    companions = tutorial_models.companions(image_height=32, image_width=32)
    network = tutorial_models.tutorial_model(tutorial_models.vgg19, image_size=32)
    network = tutorial_models.scale_weights(network, *synthetic_inputs(companions, seed=2))
    network.compile("adam", "categorical_crossentropy")
    path = tmp_path_factory.mktemp("full size") / "Model.h5"
    return tutorial_models.save(network, path, companions), network


@pytest.fixture(scope="session")
def clip_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of real recordings with texts of words in the vocabulary of `tutorial_models`."""
    table = tmp_path_factory.mktemp("clips") / "clips.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("audio", "text", "label"))
        for number, clip in enumerate(sorted(CLIPS.glob("*.flac")) * 6):
            words = " ".join(f"word{number * word**2 % tutorial_models.WORDS}" for word in range(number % 12))
            writer.writerow((clip, words, tutorial_models.LABELS[number % 3]))
    return table


@pytest.fixture(
    scope="session",
    params=RECIPES,
)
def converted(request: pytest.FixtureRequest, full_size: tuple[Path, Any], clip_table: Path) -> Conversion:
    """The full-size network, converted once per mode; in the default mode with a worker process, as users do."""
    source, network = full_size
    mode: str = request.param
    stages = Stages()

    def recorded(companions: Companions) -> RepresentativeData:
        return corpus_samples(clip_table, None, companions, Console(quiet=True))

    run = partial(convert, source, source.with_name(f"{mode}.tflite"), mode=mode, progress=stages)
    with nullcontext() if mode == "dynamic" else worker_in_this_process():
        report = run(samples=recorded if mode == "int8" else None)
    return Conversion(source, network, report, stages)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete and convertible `Model.h5` of some 400 kB; copy it before changing it."""
    network = tutorial_models.tutorial_model(text_first=True)
    return tutorial_models.save(network, tmp_path_factory.mktemp("small") / "Model.h5", tutorial_models.companions())


@pytest.fixture(scope="session")
def keras_3_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same network as `Model.keras`, `Model.h5` and `Model.weights.h5` of Keras 3."""
    folder = tmp_path_factory.mktemp("Keras 3")
    model = third_party_models.network(keras)
    for name in ("Model.keras", "Model.h5"):
        model.save(folder / name)
    model.save_weights(folder / "Model.weights.h5")
    return folder
