"""The child process in which tensorflow loads, prepares and converts a network: `python -m convert.worker FOLDER`.

FOLDER holds `job.json`, `samples.npz` and `calibration.npz` once the parent process lets the worker go on; before that
it imports tensorflow. The worker adds `model.tflite` and `result.json`, which
holds Keras's own probabilities for the samples.
"""

import ctypes
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.recipes import RECIPES, Recipe
from convert.source.keras_loading import (
    copy_weights,
    in_keras_2,
    keras_package,
    load_network,
    strip_module_names,
    with_ordered_inputs,
)
from convert.source.keras_source import Format
from convert.source.model_spec import ModelSpec, freeze
from convert.subprocess_job import Progress, reporting_to_parent, wait_for_parent
from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.verify import runner
from device.errors import ConversionError

JOB, SAMPLES, CALIBRATION, MODEL, RESULT = "job.json", "samples.npz", "calibration.npz", "model.tflite", "result.json"
_BATCH = 8
_CHECKED_SAMPLES = 32
"""Number of samples on which two networks that should be equivalent are compared."""
_NUMERICAL_TOLERANCE = 1e-3
"""Largest difference in any probability that a different order of arithmetic may cause."""


@dataclass(frozen=True)
class Job:
    """The input of the worker."""

    source: str
    """Absolute path of the file or folder to convert."""
    format: Format
    """File format of the source."""
    keras: int
    """Major version of the Keras that saved it: 2 or 3."""
    stored: dict[str, Any]
    """Configuration of the network as stored, checked to contain no code."""
    configuration: dict[str, Any]
    """The same configuration in the notation of Keras 2."""
    spec: ModelSpec
    """Inputs and sizes of the network; all sizes are known."""
    mode: str
    """Canonical name of a recipe in `RECIPES`."""
    labels: int
    """Number of classes that the output must have."""
    per_channel_dense: bool
    """Whether dense layers may have one scale per unit, which tflite-runtime 2.14 refuses."""
    embedding: str = ""
    """Name of the layer whose output is the embedding, see `convert.source.embedding`; empty to choose one."""

    def to_json(self) -> str:
        """The job as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read what `to_json` wrote."""
        table = json.loads(text)
        spec = table["spec"]
        return cls(**{**table, "spec": ModelSpec(**{**spec, "image_size": tuple(spec["image_size"])})})


@dataclass(frozen=True)
class Result:
    """The output of the worker, besides the model."""

    expected: list[list[float]]
    """Keras's own probabilities for the samples, shape (samples, labels)."""
    tensorflow: str
    """Version of the tensorflow that converted."""
    keras: str
    """Name and version of the Keras package that computed `expected`."""

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def main(folder: Path) -> None:
    """Do the job in `folder`, as the child process of `convert.convert`."""
    with reporting_to_parent() as progress:
        work(folder, progress, wait_for_parent)


def work(folder: Path, progress: Progress, wait_for_input: Callable[[], None] = lambda: None) -> None:
    """Do the job in `folder`.

    Args:
        folder: holds the job and the samples when `wait_for_input` has returned.
        progress: receives each stage.
        wait_for_input: called once tensorflow has been imported.

    Raises:
        ConversionError: the network cannot be converted.
    """
    progress("loading tensorflow")
    import tensorflow as tf
    import tf_keras

    from convert.quantise import tflite
    from convert.quantise.prepare import keep_float, prepare_weights

    wait_for_input()
    job = Job.from_json((folder / JOB).read_text("utf-8"))
    recipe = RECIPES[job.mode]
    progress("loading the network")
    trained = load_network(Path(job.source), job.format, job.keras, job.stored)
    reference = with_ordered_inputs(trained, job.labels)
    with np.load(folder / SAMPLES) as samples:
        images, features = samples["images"], samples["features"]
        # Rows with no word, one word and as many as possible: with these a mask that is applied wrongly shows.
        edges = samples["edges"]
    run = _compiled(reference)
    expected = predict(run, images, features, progress)
    checked = (
        np.resize(images, (_CHECKED_SAMPLES, *images.shape[1:])),
        np.resize(np.concatenate([edges, features]), (_CHECKED_SAMPLES, features.shape[1])),
    )
    expected_of_checked = predict(run, *checked)
    trained_in_2, prepared = trained, reference
    if job.keras == 3 or job.configuration != job.stored:
        trained_in_2 = in_keras_2(trained, job.configuration)
        prepared = with_ordered_inputs(trained_in_2, job.labels)
        _check_equivalent(expected_of_checked, predict(_compiled(prepared), *checked), "rebuilt in Keras 2")
    configuration = _configuration(trained_in_2)
    model = tf_keras.models.model_from_json(json.dumps(freeze(configuration, job.spec)))

    def convert(saved: Path, recipe: Recipe) -> bytes:
        copy_weights(trained_in_2, model)
        tflite.save(model, job.spec, saved, embedding=job.embedding)
        with np.load(folder / CALIBRATION) as samples:
            converted = tflite.to_flatbuffer(
                saved,
                recipe,
                per_channel_dense=job.per_channel_dense,
                images=samples["images"],
                features=samples["features"],
            )
        shutil.rmtree(saved)  # folders for temporary files are often in memory
        return converted

    # The operators are compared with Keras's layers before quantisation, which would hide small errors.
    progress("checking the operators" if recipe.weights != "float32" else f"converting ({job.mode})")
    flatbuffer = convert(folder / "unquantised", RECIPES["float32"])
    found = runner.predict(_interpreter(flatbuffer), *checked)
    _check_equivalent(expected_of_checked, found, "converted without quantisation")
    if recipe.activations == "int8" and _has_loop(flatbuffer):
        # Quantising activations crashes the converter if there is a loop.
        model = tf_keras.models.model_from_json(json.dumps(freeze(configuration, job.spec, unroll=True)))
        flatbuffer = convert(folder / "unrolled", RECIPES["float32"])
        if _has_loop(flatbuffer):
            raise ConversionError(
                f"mode {recipe.name} cannot store a network with a loop, which one of its layers becomes",
                fix="choose --mode dynamic, which is as small and as fast",
            )
    if recipe.weights == "int8":
        del flatbuffer
        _release_free_memory()
        with np.load(folder / CALIBRATION) as samples:
            prepare_weights(
                prepared,
                configuration,
                recipe,
                samples["images"],
                samples["features"],
                lambda done, total: progress("preparing the weights for 8 bits", done, total),
            )
        keep_float(model, recipe)
    if recipe.weights != "float32":
        progress(f"converting ({job.mode})")
        flatbuffer = convert(folder / "saved_model", recipe)
    (folder / MODEL).write_bytes(flatbuffer)
    package = keras_package(trained)
    keras = f"{package} {importlib.metadata.version(package)}"
    (folder / RESULT).write_text(Result(expected.tolist(), tf.__version__, keras).to_json(), "utf-8")


def _compiled(model: Any) -> Callable[[Any, Any], Any]:
    """A function of images and word ids that runs a Keras model whose inputs are these, traced once."""
    import tensorflow as tf

    run = tf.function(lambda images, ids: model([images, ids], training=False))  # eagerly, an LSTM is a Python loop
    dtype = model.inputs[1].dtype
    return lambda images, features: run(images, features.astype(getattr(dtype, "name", dtype)))


def predict(
    run: Callable[[Any, Any], Any],
    images: NDArray[np.float32],
    features: NDArray[np.int32],
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Probabilities of a Keras model, shape (samples, labels).

    Args:
        run: computes the probabilities for images and word ids.
        images: spectrogram images, shape (samples, height, width, 3), 0 to 1.
        features: word ids, shape (samples, sequence_length).
        progress: receives the number of samples done, and of all.

    Raises:
        ConversionError: the output is not a softmax.
    """
    rows = []
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        rows.append(np.asarray(run(images[batch], features[batch])))
        if progress is not None:
            progress("running the network in Keras", min(batch.stop, len(images)), len(images))
    softmax: NDArray[np.float32] = np.concatenate(rows).astype(np.float32)
    undefined = ~np.isfinite(softmax).all(axis=1)
    if undefined.any():
        silent = bool((features[undefined] == 0).all())
        raise ConversionError(
            f"the network predicts NaN for {undefined.sum()} of {len(softmax)} samples"
            + (", those without any word" if silent else ""),
            fix="use mask_zero=False, or a layer after the embedding that does not divide by the number of words"
            if silent
            else "train it again with a lower learning rate",
        )
    if not softmax.min() >= 0 or not np.allclose(softmax.sum(axis=1), 1, atol=1e-3):
        raise ConversionError(
            "the output of the network is not a softmax: it does not add up to 1", fix="end the network with a softmax"
        )
    return softmax


def _interpreter(flatbuffer: bytes) -> Any:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=flatbuffer, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    return interpreter


def _release_free_memory() -> None:
    """Return to the system what the C library holds in reserve: after a conversion some 200 MB."""
    with suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _has_loop(flatbuffer: bytes) -> bool:
    return any(operator.name == "WHILE" for operator in read_flatbuffer(flatbuffer).operators)


def _configuration(model: Any) -> dict[str, Any]:
    return strip_module_names(json.loads(model.to_json()))


def _check_equivalent(expected: NDArray[np.float32], found: NDArray[np.float32], step: str) -> None:
    largest = float(np.abs(expected - found).max())
    if not largest <= _NUMERICAL_TOLERANCE:
        raise ConversionError(
            f"{step}, the network's probabilities differ by up to {largest:.3g} from Keras's, where they should be the "
            "same: a layer computes something else there",
            fix="replace unusual layers and settings of the network",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # the results are written, and tensorflow takes half a second to free its memory
