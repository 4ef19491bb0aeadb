"""The child process in which tensorflow loads, rewrites and converts a network: `python -m convert.worker FOLDER`.

FOLDER holds `job.json`, `samples.npz` and `calibration.npz`; the worker adds `model.tflite` and `result.json`, the
latter with what Keras itself answers to the samples. Only this module and `convert.quantisation` import tensorflow.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.child import child
from convert.network import Network, check_operators, frozen
from convert.quantisation import correct_biases, keep_small_dense_float
from convert.recipes import RECIPES, Recipe
from device.errors import ConversionError

JOB, SAMPLES, CALIBRATION, MODEL, RESULT = "job.json", "samples.npz", "calibration.npz", "model.tflite", "result.json"
_BATCH = 8
_MOST_CALIBRATION_PIXELS = 2**20
"""In all pictures: VGG19's first layer makes 256 MB of them."""


@dataclass(frozen=True)
class Job:
    """What the worker is asked for."""

    source: str
    """Absolute path of the `Model.h5`."""
    configuration: dict[str, Any]
    """Its Keras configuration, found to be free of code."""
    network: Network
    """What the configuration says."""
    mode: str
    """A name in `RECIPES`."""
    labels: int
    """How many classes the output must have."""

    def to_json(self) -> str:
        """The job as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read what `to_json` wrote."""
        table = json.loads(text)
        return cls(**{**table, "network": Network(**table["network"])})


@dataclass(frozen=True)
class Result:
    """What the worker found, beside the model."""

    expected: list[list[float]]
    """Keras's own probabilities for the samples, shape (samples, labels)."""
    tensorflow: str
    """Version that converted."""

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def main(folder: Path) -> None:
    """Do the job that lies in `folder`, as the child of `convert.converter`."""
    with child() as progress:
        work(folder, progress)


def work(folder: Path, progress: Callable[[str], None]) -> None:
    """Do the job that lies in `folder`.

    Raises:
        ConversionError: the network will not do.
    """
    job = Job.from_json((folder / JOB).read_text("utf-8"))
    progress("loading tensorflow")
    import tensorflow as tf
    import tf_keras

    progress("loading the network")
    recipe = RECIPES[job.mode]
    trained, reference = load_network(job.source, job.labels)
    progress("asking Keras for its answers")
    with np.load(folder / SAMPLES) as samples:
        expected = _answers(reference, samples["images"], samples["features"])
    if recipe.mended:
        progress("correcting the biases for 8 bits")
        with np.load(folder / CALIBRATION) as samples:
            images, features = samples["images"], samples["features"]
        count = max(1, _MOST_CALIBRATION_PIXELS // (images.shape[1] * images.shape[2]))
        correct_biases(reference, images[:count], features[:count])
    progress(f"converting ({job.mode}: {recipe.summary})")
    model = tf_keras.models.model_from_json(json.dumps(frozen(job.configuration, job.network)))
    model.set_weights(trained.get_weights())
    if recipe.mended:
        keep_small_dense_float(model)
    _save(model, job.network, folder / "saved_model")
    flatbuffer = _flatbuffer(folder / "saved_model", recipe)
    check_operators(_operators(flatbuffer), job.network)
    (folder / MODEL).write_bytes(flatbuffer)
    (folder / RESULT).write_text(Result(expected.tolist(), tf.__version__).to_json(), "utf-8")


def load_network(source: str, labels: int) -> tuple[Any, Any]:
    """The network as it was trained, and the same one, with the same weights, taking [images, features].

    Args:
        source: a Keras HDF5 file that `convert.network.examine` found to be free of code.
        labels: how many classes the output must have.

    Raises:
        ConversionError: Keras cannot load it, or its output is not one number per label.
    """
    import tf_keras

    try:
        trained = tf_keras.models.load_model(source, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConversionError(f"Keras cannot load the network: {_first_line(error)}") from error
    by_rank = {len(tensor.shape): tensor for tensor in trained.inputs}
    reference = tf_keras.Model([by_rank[4], by_rank[2]], trained.outputs[0])
    shape = tuple(reference.output_shape)
    if len(shape) != 2 or shape[1] != labels:
        raise ConversionError(
            f"the output of the network has shape {shape}, but it carries {labels} labels; "
            f"expected (None, {labels}), one probability per label"
        )
    return trained, reference


def _answers(reference: Any, images: NDArray[np.float32], features: NDArray[np.int32]) -> NDArray[np.float32]:
    """Probabilities, shape (samples, labels)."""
    batches = [slice(start, start + _BATCH) for start in range(0, len(images), _BATCH)]
    answers: NDArray[np.float32] = np.concatenate(
        [reference([images[batch], features[batch]], training=False).numpy() for batch in batches]
    )
    if answers.min() < 0 or not np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        raise ConversionError("the output of the network is no softmax: it does not add up to 1; end it with a softmax")
    return answers


def _save(model: Any, network: Network, folder: Path) -> None:
    """Write a SavedModel whose signature says by name what each tensor is; the device binds by these names."""
    import tensorflow as tf

    images = tf.TensorSpec([1, *network.picture_size, 3], tf.float32, name="images")
    features = tf.TensorSpec([1, network.sequence_length], tf.int32, name="features")

    @tf.function(input_signature=[images, features])  # type: ignore[untyped-decorator]  # tensorflow ships no types
    def serve(images: Any, features: Any) -> dict[str, Any]:
        return {"probabilities": model([images, features], training=False)}

    module = tf.Module()
    module.tracked = model.weights  # and not the model, each of whose layers would be traced
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def _flatbuffer(saved_model: Path, recipe: Recipe) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.optimizations = [getattr(tf.lite.Optimize, name) for name in recipe.optimizations]
    for name, value in recipe.attributes.items():
        if not hasattr(converter, name):
            raise ConversionError(f"this tensorflow ({tf.__version__}) has no {name}; install edge-mcnn[train] again")
        setattr(converter, name, value)
    try:
        converted: bytes = converter.convert()
    except Exception as error:  # whatever MLIR raises, its class is private
        if isinstance(error, MemoryError):
            raise
        raise ConversionError(f"TFLite cannot express the network: {_first_line(error)}") from error
    return converted


def _operators(flatbuffer: bytes) -> list[str]:
    import tensorflow as tf

    # Without delegates: they would put their own operator in the place of those asked about.
    interpreter = tf.lite.Interpreter(
        model_content=flatbuffer,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    return [details["op_name"] for details in interpreter._get_ops_details()]


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].strip()[:300]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
