"""`convert`: from a `Model.h5` to a `Model.tflite` that was really run, or to one clear line and no file.

This module joins the steps and never loads tensorflow itself; `convert.worker` does, in a process of its own.
"""

import hashlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from convert import child, model_file, probe, worker
from convert.agreement import Agreement, check, measure
from convert.network import check_companions, examine
from convert.recipes import DEFAULT_MODE, RECIPES
from convert.samples import make_samples
from device.bundle import Companions, pack
from device.errors import BundleError, ConversionError


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did."""

    target: Path
    """The bundle that was written."""
    mode: str
    """How the weights are stored, a name in `convert.recipes.RECIPES`."""
    bytes_before: int
    """Size of the source file."""
    bytes_after: int
    """Size of the bundle."""
    seconds: float
    """Time taken."""
    runtimes: tuple[str, ...]
    """Runtimes in which the bundle was loaded and run."""
    largest_difference: float
    """Largest difference from Keras in any probability of any sample, in the worst of the runtimes."""
    mean_difference: float
    """Mean over the samples of each one's largest difference, in the worst of the runtimes."""
    same_class: int
    """Samples for which the most probable class is Keras's, in the worst of the runtimes."""
    samples: int
    """Samples compared."""


def convert(
    source: Path,
    target: Path | None = None,
    *,
    mode: str = DEFAULT_MODE,
    progress: Callable[[str], None] = lambda stage: None,
) -> ConversionReport:
    """Convert a trained network into the bundle that a device takes.

    Args:
        source: a Keras 2 HDF5 file with companions (`convert.model_file.write_companions`).
        target: where to write, a file or an existing folder; beside the source, as `.tflite`, when not given. An
            existing file is replaced in one step, and only by a model that has passed every check.
        mode: a name in `convert.recipes.RECIPES`.
        progress: called with each stage, a few words, as it begins.

    Raises:
        ConversionError: the source, the target or the network will not do; nothing was written.
    """
    began = time.monotonic()
    target = _target(source, target)
    if mode not in RECIPES:
        raise ConversionError(f"no mode is called {mode!r}; choose one of {', '.join(RECIPES)}")
    _require_tensorflow()
    runtimes = _installed_runtimes()
    try:
        configuration = model_file.read_configuration(source)
        companions = model_file.read_companions(source)
        with _beside(target) as written:
            try:
                network = examine(configuration)
                check_companions(network, companions)
            except ConversionError as error:
                raise ConversionError(f"{source}: {error}") from None
            job = worker.Job(str(source.resolve()), configuration, network, mode, len(companions.labels))
            bundle, agreements = _converted(source, job, companions, runtimes, progress)
            written.write(bundle)
            before = source.stat().st_size
    except OSError as error:
        raise ConversionError(
            f"{error.filename or target}: {error.strerror or error}; mend this and convert again"
        ) from error
    return ConversionReport(
        target=target,
        mode=mode,
        bytes_before=before,
        bytes_after=len(bundle),
        seconds=time.monotonic() - began,
        runtimes=tuple(probe.RUNTIMES[package] for package in runtimes),
        largest_difference=max(agreement.largest_difference for agreement in agreements),
        mean_difference=max(agreement.mean_difference for agreement in agreements),
        same_class=min(agreement.same_class for agreement in agreements),
        samples=agreements[0].samples,
    )


def _converted(
    source: Path, job: worker.Job, companions: Companions, runtimes: list[str], progress: Callable[[str], None]
) -> tuple[bytes, list[Agreement]]:
    """The bytes of the bundle, and how far its answers are from Keras's in each runtime."""
    with tempfile.TemporaryDirectory(prefix="edge-mcnn-convert-") as name:
        folder = Path(name)
        for file, seed in ((worker.SAMPLES, 0), (worker.CALIBRATION, 1)):
            images, features = make_samples(companions, seed)
            np.savez(folder / file, images=images, features=features)
        (folder / worker.JOB).write_text(job.to_json(), "utf-8")
        try:
            child.run("the conversion", "convert.worker", [name], progress)
            result = worker.Result.from_json((folder / worker.RESULT).read_text("utf-8"))
            bundle = _packed(source, job, companions, result, (folder / worker.MODEL).read_bytes())
            model = folder / "bundle.tflite"
            model.write_bytes(bundle)
            agreements = [_agreement(package, model, folder, job, result, progress) for package in runtimes]
        except ConversionError as error:
            raise ConversionError(f"{source}: {error}") from error
    return bundle, agreements


def _packed(source: Path, job: worker.Job, companions: Companions, result: worker.Result, flatbuffer: bytes) -> bytes:
    with source.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    conversion = {
        "mode": job.mode,
        "source": source.name,
        "source_sha256": checksum,
        "tensorflow": result.tensorflow,
    }
    try:
        return pack(flatbuffer, replace(companions, card={**companions.card, "conversion": conversion}))
    except BundleError as error:
        raise ConversionError(str(error)) from None


def _agreement(
    package: str, model: Path, folder: Path, job: worker.Job, result: worker.Result, progress: Callable[[str], None]
) -> Agreement:
    """Run the bundle in one runtime and hold its answers against Keras's."""
    name = probe.RUNTIMES[package]
    answers = folder / f"{package}.npy"
    arguments = [package, str(model), str(folder / worker.SAMPLES), str(answers)]
    child.run(f"{name}, running the converted model,", "convert.probe", arguments, progress)
    agreement = measure(np.load(answers), np.asarray(result.expected, np.float32))
    check(agreement, RECIPES[job.mode], name)
    return agreement


def _target(source: Path, target: Path | None) -> Path:
    if target is None:
        target = source.with_suffix(".tflite")
    elif target.is_dir():
        target = target / f"{source.stem}.tflite"
    if target.resolve() == source.resolve():
        raise ConversionError(f"{target}: is the model to convert; give another --output")
    return target


def _require_tensorflow() -> None:
    for package in ("tensorflow", "tf_keras"):
        if importlib.util.find_spec(package) is None:
            raise ConversionError(f'converting needs {package}, which is not installed: pip install "edge-mcnn[train]"')


def _installed_runtimes() -> list[str]:
    found = [package for package in probe.RUNTIMES if importlib.util.find_spec(package) is not None]
    if not found:
        raise ConversionError("no TFLite runtime is installed to prove the model in: pip install ai-edge-litert")
    return found


@contextmanager
def _beside(target: Path) -> Iterator[IO[bytes]]:
    """A file beside `target` that takes its place when the block ends well, and is gone when it does not.

    Opened before the slow work, so that a folder that takes no file is known at once.
    """
    path = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        file = path.open("wb")
    except OSError as error:
        raise ConversionError(
            f"{target}: cannot be written ({error.strerror}); choose a folder with --output"
        ) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)
