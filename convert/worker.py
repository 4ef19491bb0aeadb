"""The child process in which tensorflow loads, mends and converts a network: `python -m convert.worker FOLDER`.

FOLDER holds `job.json`, `samples.npz` and `calibration.npz`; the worker adds `model.tflite` and `result.json`, the
latter with what Keras itself answers to the samples.
"""

import importlib
import importlib.metadata
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.recipes import RECIPES
from convert.source.keras_loading import copy_weights, in_keras_2, load_network, plain
from convert.source.keras_source import Format
from convert.source.model_spec import Network, frozen
from convert.subprocess_job import Progress, child
from device.errors import ConversionError
from device.recognition.classifier import FEATURES, IMAGES, PROBABILITIES, SIGNATURE

JOB, SAMPLES, CALIBRATION, MODEL, RESULT = "job.json", "samples.npz", "calibration.npz", "model.tflite", "result.json"
_BATCH = 8
_FEW = 32
"""Samples by which a step between two networks that should be the same is checked."""
_SAME = 1e-3
"""Largest difference in any probability that arithmetic in another order may make."""


@dataclass(frozen=True)
class Job:
    """What the worker is asked for."""

    source: str
    """Absolute path of the file or folder."""
    format: Format
    keras: int
    """2 or 3."""
    stored: dict[str, Any]
    """Its configuration, found to be free of code."""
    configuration: dict[str, Any]
    """The same as Keras 2 writes it."""
    network: Network
    """What the configuration says; every size is known."""
    mode: str
    """A name in `RECIPES`."""
    labels: int
    """How many classes the output must have."""
    per_channel_dense: bool
    """Whether a model that tflite-runtime refuses will do."""

    def to_json(self) -> str:
        """The job as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read what `to_json` wrote."""
        table = json.loads(text)
        network = table["network"]
        return cls(**{**table, "network": Network(**{**network, "picture_size": tuple(network["picture_size"])})})


@dataclass(frozen=True)
class Result:
    """What the worker found, beside the model."""

    expected: list[list[float]]
    """Keras's own probabilities for the samples, shape (samples, labels)."""
    tensorflow: str
    """Version that converted."""
    keras: str
    """Name and version of what answered."""

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def main(folder: Path) -> None:
    """Do the job that lies in `folder`, as the child of `convert.convert`."""
    with child() as progress:
        work(folder, progress)


def work(folder: Path, progress: Progress) -> None:
    """Do the job that lies in `folder`.

    Raises:
        ConversionError: the network will not do.
    """
    job = Job.from_json((folder / JOB).read_text("utf-8"))
    progress("loading tensorflow")
    import tensorflow as tf
    import tf_keras

    from convert.quantise import tflite as tflite_converter
    from convert.quantise.prepare import keep_float, mend

    recipe = RECIPES[job.mode]
    progress("loading the network")
    trained = load_network(Path(job.source), job.format, job.keras, job.stored)
    reference = taking_pictures_and_ids(trained, job.labels)
    with np.load(folder / SAMPLES) as samples:
        images, features = samples["images"], samples["features"]
    expected = answers(reference, images, features, progress)
    in_2 = in_keras_2(trained, job.configuration)
    changeable = taking_pictures_and_ids(in_2, job.labels)
    few = slice(0, _FEW)
    if job.keras == 3:
        _check_same(expected[few], answers(changeable, images[few], features[few]), "rebuilt in Keras 2")
    model = tf_keras.models.model_from_json(json.dumps(frozen(_configuration(in_2), job.network)))

    def convert(saved: Path, recipe: Any) -> bytes:
        copy_weights(in_2, model)
        tflite_converter.save(model, job.network, saved)
        with np.load(folder / CALIBRATION) as samples:
            return tflite_converter.flatbuffer(
                saved,
                recipe,
                per_channel_dense=job.per_channel_dense,
                images=samples["images"],
                features=samples["features"],
            )

    if recipe.weights != "float32":
        # The LSTM that became one operator is held against the one that Keras runs, before 8 bits blur the view.
        progress("checking the fused LSTM")
        fused = _invoked(convert(folder / "fused", RECIPES["float32"]), images[few], features[few])
        _check_same(expected[few], fused, "converted without quantisation")
    if recipe.weights == "int8":
        with np.load(folder / CALIBRATION) as samples:
            mend(
                changeable,
                _configuration(in_2),
                recipe,
                samples["images"],
                samples["features"],
                lambda done, total: progress("rounding the weights together", done, total),
            )
        keep_float(model, recipe)
    progress(f"converting ({job.mode})")
    (folder / MODEL).write_bytes(convert(folder / "saved_model", recipe))
    (folder / RESULT).write_text(Result(expected.tolist(), tf.__version__, _version(trained)).to_json(), "utf-8")


def taking_pictures_and_ids(trained: Any, labels: int) -> Any:
    """The same network, with the same weights, taking [images, features].

    Args:
        trained: a Keras model of two inputs, in whatever order, and one output.
        labels: how many classes the output must have.

    Raises:
        ConversionError: its output is not one number per label.
    """
    by_rank = {len(tensor.shape): tensor for tensor in trained.inputs}
    keras = importlib.import_module(_package(trained))
    model = keras.Model([by_rank[4], by_rank[2]], trained.outputs[0])
    shape = tuple(model.output_shape)
    if len(shape) != 2 or shape[1] != labels:
        raise ConversionError(
            f"the output of the network has shape {shape}, but there are {labels} labels; "
            f"expected (None, {labels}), one probability per label"
        )
    return model


def answers(
    model: Any, images: NDArray[np.float32], features: NDArray[np.int32], progress: Progress | None = None
) -> NDArray[np.float32]:
    """Probabilities of a Keras model that takes [images, features], shape (samples, labels).

    Raises:
        ConversionError: they are none.
    """
    dtype = model.inputs[1].dtype
    ids = features.astype(getattr(dtype, "name", dtype))
    rows = []
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        rows.append(np.asarray(model([images[batch], ids[batch]], training=False)))
        if progress is not None:
            progress("asking Keras for its answers", min(batch.stop, len(images)), len(images))
    softmax: NDArray[np.float32] = np.concatenate(rows).astype(np.float32)
    if not softmax.min() >= 0 or not np.allclose(softmax.sum(axis=1), 1, atol=1e-3):
        raise ConversionError("the output of the network is no softmax: it does not add up to 1; end it with a softmax")
    return softmax


def _configuration(model: Any) -> dict[str, Any]:
    return plain(json.loads(model.to_json()))


def _check_same(expected: NDArray[np.float32], found: NDArray[np.float32], what: str) -> None:
    largest = float(np.abs(expected - found).max())
    if not largest <= _SAME:
        raise ConversionError(
            f"{what} the network answers up to {largest:.3g} off from Keras, where it should answer the same; a layer "
            "does something else there: replace what is unusual in it"
        )


def _invoked(model: bytes, images: NDArray[np.float32], features: NDArray[np.int32]) -> NDArray[np.float32]:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner(SIGNATURE)
    rows = []
    for image, ids in zip(images, features, strict=True):
        interpreter.reset_all_variables()
        rows.append(run(**{IMAGES: image[None], FEATURES: ids[None]})[PROBABILITIES][0])
    return np.stack(rows)


def _version(model: Any) -> str:
    """Of the Keras that a model is of."""
    package = _package(model)
    return f"{package} {importlib.metadata.version(package)}"


def _package(model: Any) -> str:
    """`keras` or `tf_keras`."""
    return type(model).__module__.split(".")[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
