"""`convert`: from a trained network to a `Model.tflite` that was really run, or to one clear line and no file.

This module joins the steps and never loads tensorflow itself; `convert.worker` does, in a process of its own.
"""

import importlib.util
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np
from rich.console import Console

from convert import subprocess_job as child
from convert import worker
from convert.companions.companions import complete, never_heard
from convert.options import Choices
from convert.recipes import DEFAULT_MODE, Recipe
from convert.source.keras_source import Source, read_source
from convert.source.model_spec import check_companions, examine
from convert.subprocess_job import Progress
from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.tflite_model.operators import check_operators
from convert.verify import runner as probe
from convert.verify.agreement import Agreement
from convert.verify.representative_data import Samples, made_up_samples
from convert.verify.verify import installed_runtimes, prove
from device.bundle import Companions, pack
from device.errors import BundleError, ConversionError
from device.front_end.parameters import FrontEnd
from device.system.atomic_write import atomic_write


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did."""

    target: Path
    """The bundle that was written."""
    mode: str
    """How the weights are stored, a name in `convert.recipes.RECIPES`."""
    bytes_before: int
    """Size of the source."""
    bytes_after: int
    """Size of the bundle."""
    seconds: float
    """Time taken."""
    agreements: Mapping[str, Agreement]
    """By the name of the runtime in which the bundle was loaded and run: how far its answers are from Keras's."""
    keras: str
    """Name and version of what answered first."""
    asked: str
    """What the samples were, for people."""
    requires: str | None
    """The only package that can run the bundle; None if every runtime can."""
    companions: Companions
    """What the bundle carries."""
    never_heard: tuple[str, ...]
    """Words of the vocabulary that no transcript can contain, as the device writes them."""

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of the runtimes."""
        return tuple(self.agreements)

    @property
    def largest_difference(self) -> float:
        """Largest difference from Keras in any probability of any sample, in the worst of the runtimes."""
        return max(agreement.largest_difference for agreement in self.agreements.values())

    @property
    def mean_difference(self) -> float:
        """Mean over the samples of each one's largest difference, in the worst of the runtimes."""
        return max(agreement.mean_difference for agreement in self.agreements.values())

    @property
    def same_class(self) -> int:
        """Samples for which the most probable class is Keras's, in the worst of the runtimes."""
        return min(agreement.same_class for agreement in self.agreements.values())

    @property
    def samples(self) -> int:
        """Samples compared."""
        return next(iter(self.agreements.values())).samples


def convert(
    source: Path,
    target: Path | None = None,
    *,
    mode: str = DEFAULT_MODE,
    choices: Choices | None = None,
    progress: Progress = lambda stage, done=0, total=0: None,
    console: Console | None = None,
) -> ConversionReport:
    """Convert a trained network into the bundle that a device takes.

    Args:
        source: a Keras `.h5` or `.keras` file or a SavedModel folder, of Keras 2 or 3.
        target: where to write, a file or an existing folder; beside the source, as `.tflite`, when not given. An
            existing file is replaced in one step, and only by a model that has passed every check.
        mode: a name in `convert.recipes.RECIPES`, where `choices` are not given.
        choices: everything that can be chosen.
        progress: told each stage as it begins and goes on.
        console: where the reading of recordings is shown; nowhere if None.

    Raises:
        ConversionError: the source, the target or the network will not do; nothing was written.
    """
    began = time.monotonic()
    choices = choices or Choices(mode)
    target = _target(source, target)
    recipe = choices.recipe()
    _require_tensorflow()
    runtimes = installed_runtimes(choices.requires)
    try:
        read = read_source(source)
        with _written(target) as written:
            try:
                network = examine(read.configuration)
                height, width = network.picture_size
                usual = FrontEnd()  # for what the network leaves open
                companions = complete(
                    str(source),
                    read.companions,
                    choices.given,
                    picture_size=(height or usual.image_height, width or usual.image_width),
                    sequence_length=network.sequence_length or usual.sequence_length,
                )
                network = check_companions(network, companions)
            except ConversionError as error:
                raise ConversionError(_told_once(source, error)) from None
            samples = (
                made_up_samples(companions)
                if choices.calibrate is None
                else _corpus_samples(choices.calibrate, choices.audio_root, companions, console or Console(quiet=True))
            )
            job = worker.Job(
                source=str(source.resolve()),
                format=read.format,
                keras=read.keras,
                stored=read.stored,
                configuration=read.configuration,
                network=network,
                mode=choices.mode,
                labels=len(companions.labels),
                per_channel_dense=choices.requires is not None,
            )
            converted = _converted(read, job, companions, samples, runtimes, choices, recipe, progress)
            written.write(converted.bundle)
    except OSError as error:
        raise ConversionError(
            f"{error.filename or target}: {error.strerror or error}; mend this and convert again"
        ) from error
    return ConversionReport(
        target=target,
        mode=choices.mode,
        bytes_before=read.size,
        bytes_after=len(converted.bundle),
        seconds=time.monotonic() - began,
        agreements=converted.agreements,
        keras=converted.result.keras,
        asked=samples.origin,
        requires=converted.requires,
        companions=companions,
        never_heard=never_heard(
            companions.vocabulary[: companions.front_end.num_words - 1], companions.front_end.out_of_vocabulary
        ),
    )


def _corpus_samples(*arguments: Any) -> Samples:
    from training.images.conversion_samples import corpus_samples

    return corpus_samples(*arguments)


@dataclass(frozen=True)
class _Converted:
    bundle: bytes
    agreements: dict[str, Agreement]
    result: worker.Result
    requires: str | None


def _converted(
    source: Source,
    job: worker.Job,
    companions: Companions,
    samples: Samples,
    runtimes: list[str],
    choices: Choices,
    recipe: Recipe,
    progress: Progress,
) -> _Converted:
    """The bytes of the bundle, and how far its answers are from Keras's in each runtime."""
    with tempfile.TemporaryDirectory(prefix="edge-mcnn-convert-") as name:
        folder = Path(name)
        np.savez(folder / worker.SAMPLES, images=samples.images, features=samples.features)
        np.savez(folder / worker.CALIBRATION, images=samples.calibration_images, features=samples.calibration_features)
        (folder / worker.JOB).write_text(job.to_json(), "utf-8")
        try:
            child.run("the conversion", "convert.worker", [name], progress)
            result = worker.Result.from_json((folder / worker.RESULT).read_text("utf-8"))
            flatbuffer = (folder / worker.MODEL).read_bytes()
            operators = read_flatbuffer(flatbuffer).operators
            requires = check_operators(operators, job.network.lstm_layers, requires=choices.requires)
            card = _card(source, choices.mode, result, requires)
            # As the device gets it: with the companions behind it.
            model = folder / "bundle.tflite"
            model.write_bytes(_packed(flatbuffer, companions, card))
            proven = prove(
                model,
                folder / worker.SAMPLES,
                np.asarray(result.expected, np.float32),
                companions.labels,
                [runtime for runtime in runtimes if requires in (None, runtime)],
                tolerance=recipe.tolerance,
                advice=choices.advice(),
                progress=progress,
            )
            agreements = {probe.RUNTIMES[runtime]: agreement for runtime, agreement in proven.items()}
            versions = {probe.RUNTIMES[runtime]: version(runtime) for runtime in proven}
            card["agreement"] = {
                "asked": samples.origin,
                "of": result.keras,
                "tolerance": recipe.tolerance,
                **{name: {"version": versions[name], **each.as_table()} for name, each in agreements.items()},
            }
            return _Converted(_packed(flatbuffer, companions, card), agreements, result, requires)
        except (ConversionError, BundleError) as error:
            raise ConversionError(_told_once(source.path, error)) from error


def _card(source: Source, mode: str, result: worker.Result, requires: str | None) -> dict[str, Any]:
    """What the conversion adds to the model card."""
    conversion = {
        "mode": mode,
        "source": source.path.name,
        "source_sha256": source.sha256,
        "tensorflow": result.tensorflow,
        "keras": result.keras,
    }
    return {"conversion": conversion} | ({"requires": requires} if requires else {})


def _packed(flatbuffer: bytes, companions: Companions, card: Mapping[str, Any]) -> bytes:
    kept = {key: value for key, value in companions.card.items() if key not in ("requires", "agreement")}
    try:
        return pack(flatbuffer, replace(companions, card={**kept, **card}))
    except BundleError as error:
        raise ConversionError(str(error)) from None


def _told_once(source: Path, error: Exception) -> str:
    return str(error) if str(error).startswith(f"{source}: ") else f"{source}: {error}"


def _target(source: Path, target: Path | None) -> Path:
    if target is None:
        target = source.resolve().with_suffix(".tflite") if source.is_dir() else source.with_suffix(".tflite")
    elif target.is_dir():
        target = target / f"{source.stem}.tflite"
    if target.resolve() == source.resolve():
        raise ConversionError(f"{target}: is the model to convert; give another --output")
    return target


def _require_tensorflow() -> None:
    for package in ("tensorflow", "tf_keras"):
        if importlib.util.find_spec(package) is None:
            raise ConversionError(f'converting needs {package}, which is not installed: pip install "edge-mcnn[train]"')


@contextmanager
def _written(target: Path) -> Iterator[IO[bytes]]:
    """The target, opened before the slow work, so that a folder that takes no file is known at once."""
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(atomic_write(target))
        except OSError as error:
            raise ConversionError(
                f"{target}: cannot be written ({error.strerror}); choose a folder with --output"
            ) from None
        yield stream
