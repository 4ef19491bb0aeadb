"""Converts a trained Keras model into a `Model.tflite` that has been run and compared with Keras, or writes no file.

This module joins the steps and never loads tensorflow itself: `convert.worker` does, in a separate process.
"""

import errno
import importlib.util
import io
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from convert import subprocess_job, worker
from convert.companions.companions import MissingCompanionsError, complete_companions
from convert.companions.vocabulary import unreachable_words
from convert.options import ConversionOptions
from convert.recipes import DEFAULT_MODE, Recipe
from convert.source.keras_source import Format, KerasSource, find_format, name_source, read_source
from convert.source.model_spec import check_companions, read_spec
from convert.subprocess_job import Progress
from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.tflite_model.operators import check_operators
from convert.verify.agreement import Agreement
from convert.verify.representative_data import RepresentativeData, SampleSource, edge_features, synthetic_samples
from convert.verify.verify import runtimes_to_verify_in, verify
from device.adaptation.speaker_variation import speaker_variation
from device.bundle import Companions, pack
from device.errors import BundleError, ConversionError
from device.front_end.parameters import FrontEnd
from device.recognition.runtimes import DISPLAY_NAMES
from device.system.atomic_write import atomic_write
from device.system.display import displayable, shell_quoted
from device.system.paths import explain, folder_problem, output_problem

_OTHER_OUTPUT = "choose another file or folder with --output"


@dataclass(frozen=True)
class ConversionReport:
    """The results of a conversion."""

    target: Path
    """Path of the bundle that was written."""
    mode: str
    """How the weights are stored: the canonical name of a recipe in `convert.recipes.RECIPES`."""
    bytes_before: int
    """Size of the Keras model in bytes."""
    bytes_after: int
    """Size of the bundle in bytes."""
    seconds: float
    """Duration of the conversion."""
    agreements: Mapping[str, Agreement]
    """How closely the bundle agrees with Keras in each runtime in which it was loaded and run, by the runtime's name
    for people."""
    keras: str
    """Name and version of the Keras package whose probabilities are the reference."""
    samples_origin: str
    """Where the samples come from, for people, such as "32 synthetic samples"."""
    requires: str | None
    """Package name of the only runtime that can run the bundle; None if all of them can."""
    companions: Companions
    """Labels, vocabulary, front end and model card in the bundle."""
    unreachable_words: tuple[str, ...]
    """Words of the vocabulary that no transcript can contain, because the device normalises words differently."""

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of the runtimes in which the bundle was run, for people."""
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
        """Number of samples whose most probable class is Keras's, in the worst of the runtimes."""
        return min(agreement.same_class for agreement in self.agreements.values())

    @property
    def samples(self) -> int:
        """Number of samples compared."""
        return next(iter(self.agreements.values())).samples


def convert(
    source: Path,
    target: Path | None = None,
    *,
    mode: str = DEFAULT_MODE,
    options: ConversionOptions | None = None,
    samples: SampleSource | None = None,
    progress: Progress = lambda stage, done=0, total=0: None,
) -> ConversionReport:
    """Convert a trained Keras model into a bundle for the device.

    Args:
        source: a Keras `.h5` or `.keras` file or a SavedModel folder, of Keras 2 or 3.
        target: file or existing folder to write to; by default beside the source, as `.tflite`. An existing file is
            replaced atomically, and only by a model that has passed every check.
        mode: name or alias of a recipe in `convert.recipes.RECIPES`; ignored if there are `options`.
        options: all choices at once.
        samples: returns representative data for the companions of the model, read from recordings; None for synthetic
            data.
        progress: receives each stage as it begins and advances.

    Raises:
        MissingCompanionsError: the model carries no labels, vocabulary or front end, and `options` have none either.
        ConversionError: the source, the target, the options or the network cannot be used; nothing was written.
    """
    began = time.monotonic()
    options = options or ConversionOptions(mode)
    target = _target(source, find_format(source), target)
    recipe = options.recipe(has_recordings=samples is not None)
    _require_tensorflow()
    runtimes = runtimes_to_verify_in(options.requires)
    try:
        keras_source = read_source(source)
        with _opened(target) as stream:
            try:
                spec = read_spec(keras_source.configuration)
                height, width = spec.image_size
                defaults = FrontEnd()  # for the sizes that the network leaves open
                companions = complete_companions(
                    source,
                    keras_source.companions,
                    options.companions,
                    image_size=(height or defaults.image_height, width or defaults.image_width),
                    sequence_length=spec.sequence_length or defaults.sequence_length,
                )
                spec = check_companions(spec, companions)
                variation = speaker_variation(companions)
            except MissingCompanionsError:
                raise
            except (ConversionError, BundleError) as error:
                raise name_source(source, error) from None
            job = worker.Job(
                source=str(source.resolve()),
                format=keras_source.format,
                keras=keras_source.keras,
                stored=keras_source.stored,
                configuration=keras_source.configuration,
                spec=spec,
                mode=recipe.name,
                labels=len(companions.labels),
                per_channel_dense=options.requires is not None,
                embedding="" if variation is None else variation.layer,
            )
            fix = options.fix_for_disagreement(has_recordings=samples is not None)
            converted = _convert_and_verify(
                keras_source,
                job,
                companions,
                samples or synthetic_samples,
                runtimes,
                options.requires,
                recipe,
                fix,
                progress,
            )
            stream.write(converted.bundle)
    except OSError as error:
        raise ConversionError(
            f"{displayable(error.filename or target)}: {error.strerror or error}",
            fix="make sure that the file system is writable and has free space, then convert again",
        ) from error
    front_end = companions.front_end
    return ConversionReport(
        target=target,
        mode=recipe.name,
        bytes_before=keras_source.size,
        bytes_after=len(converted.bundle),
        seconds=time.monotonic() - began,
        agreements=converted.agreements,
        keras=converted.result.keras,
        samples_origin=converted.samples_origin,
        requires=converted.requires,
        companions=companions,
        unreachable_words=unreachable_words(
            companions.vocabulary[: front_end.num_words - 1], front_end.out_of_vocabulary
        ),
    )


@dataclass(frozen=True)
class _Converted:
    bundle: bytes
    agreements: dict[str, Agreement]
    result: worker.Result
    requires: str | None
    samples_origin: str


def _convert_and_verify(
    source: KerasSource,
    job: worker.Job,
    companions: Companions,
    sample_source: SampleSource,
    runtimes: list[str],
    allowed_requirement: str | None,
    recipe: Recipe,
    fix: str,
    progress: Progress,
) -> _Converted:
    """The bytes of the bundle, and how closely it agrees with Keras in each runtime."""
    with (
        _temporary_folder() as folder,
        # It imports tensorflow while the samples are prepared. Tensorflow leaves files of code that it has generated.
        subprocess_job.started("the conversion", "convert.worker", [str(folder)], folder) as child,
    ):
        samples = _prepared(sample_source, companions)
        _save(folder / worker.SAMPLES, samples.images, samples.features, edges=edge_features(companions))
        _save(folder / worker.CALIBRATION, samples.calibration_images, samples.calibration_features)
        (folder / worker.JOB).write_text(job.to_json(), "utf-8")
        try:
            child.finish(progress)
            result = worker.Result.from_json((folder / worker.RESULT).read_text("utf-8"))
            flatbuffer = (folder / worker.MODEL).read_bytes()
            operators = read_flatbuffer(flatbuffer).operators
            requires = check_operators(operators, requires=allowed_requirement)
            card = _card(source, recipe.name, result, requires)
            # The runtimes load the file as the device will: with the companions appended.
            model = folder / "bundle.tflite"
            model.write_bytes(_packed(flatbuffer, companions, card))
            verified = verify(
                model,
                folder / worker.SAMPLES,
                np.asarray(result.expected, np.float32),
                companions.labels,
                [runtime for runtime in runtimes if requires in (None, runtime)],
                tolerance=recipe.tolerance,
                fix=fix,
                progress=progress,
            )
            agreements = {DISPLAY_NAMES[runtime]: agreement for runtime, agreement in verified.items()}
            versions = {DISPLAY_NAMES[runtime]: version(runtime) for runtime in verified}
            card["agreement"] = {
                "compared_on": samples.origin,
                "reference": result.keras,
                "tolerance": recipe.tolerance,
                **{name: {"version": versions[name], **each.as_dict()} for name, each in agreements.items()},
            }
            return _Converted(_packed(flatbuffer, companions, card), agreements, result, requires, samples.origin)
        except (ConversionError, BundleError) as error:
            raise name_source(source.path, error) from error


def _prepared(source: SampleSource, companions: Companions) -> RepresentativeData:
    try:
        return source(companions)
    except OSError as error:  # one about the user's files, not about the temporary ones
        raise ConversionError(
            f"the samples cannot be read ({displayable(error.filename or type(error).__name__)}: "
            f"{error.strerror or error})",
            fix="make the recordings readable, then convert again",
        ) from error


def _save(path: Path, images: NDArray[np.float32], features: NDArray[np.int32], **more: NDArray[np.int32]) -> None:
    # In memory first: a zip file whose stream fails prints an exception when Python deletes it.
    content = io.BytesIO()
    np.savez(content, images=images, features=features, **more)
    path.write_bytes(content.getbuffer())


def _card(source: KerasSource, mode: str, result: worker.Result, requires: str | None) -> dict[str, Any]:
    """The entries that the conversion adds to the model card."""
    conversion = {
        "mode": mode,
        "source": displayable(source.path.resolve().name),
        "source_sha256": source.sha256,
        "tensorflow": result.tensorflow,
        "keras": result.keras,
    }
    return {"conversion": conversion} | ({"requires": requires} if requires else {})


def _packed(flatbuffer: bytes, companions: Companions, card: Mapping[str, Any]) -> bytes:
    # A model that was converted before may carry the results of that conversion.
    source_card = {key: value for key, value in companions.card.items() if key not in ("requires", "agreement")}
    return pack(flatbuffer, replace(companions, card={**source_card, **card}))


def _target(source: Path, format_: Format, target: Path | None) -> Path:
    """The file to write, checked as far as possible before the slow work."""
    if target is None:
        target = source.resolve().with_suffix(".tflite") if format_ == "saved_model" else source.with_suffix(".tflite")
    elif folder_problem(target) is None:
        target = target / f"{source.resolve().stem}.tflite"
    shown = displayable(target)
    if target.suffix.lower() != ".tflite":
        raise ConversionError(
            f"{shown}: is neither an existing folder nor a name that ends in .tflite",
            fix=f"write to {shell_quoted(f'{target}.tflite')} with --output, or make the folder first",
        )
    if target.resolve() == source.resolve():
        raise ConversionError(
            f"{shown}: the output would replace the model to convert", fix="choose another file with --output"
        )
    problem = output_problem(target)
    if problem is None and folder_problem(target.parent) is not None:
        problem = explain(FileNotFoundError(errno.ENOENT, ""), target)
    if problem is not None:
        raise ConversionError(f"{shown}: cannot be written ({problem.message})", fix=_OTHER_OUTPUT)
    return target


def _require_tensorflow() -> None:
    for package in ("tensorflow", "tf_keras"):
        if importlib.util.find_spec(package) is None:
            raise ConversionError(
                f"converting needs {package}, which is not installed", fix='run: pip install "edge-mcnn[train]"'
            )


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end; an `OSError` in the block is about its files."""
    try:
        with tempfile.TemporaryDirectory(prefix="edge-mcnn-convert-") as name:
            yield Path(name)
    except OSError as error:
        raise ConversionError(
            f"temporary files cannot be written ({error.strerror or error})",
            fix="free some space, or set the environment variable TMPDIR to another folder",
        ) from None


@contextmanager
def _opened(target: Path) -> Iterator[IO[bytes]]:
    """Open the target before the slow work, so that a folder that cannot be written to is reported at once."""
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(atomic_write(target))
        except (OSError, ValueError) as error:
            problem = explain(error, target).message
            raise ConversionError(f"{displayable(target)}: cannot be written ({problem})", fix=_OTHER_OUTPUT) from None
        yield stream
