"""Models that answer, `.h5` and `.tflite` alike: rows in, probabilities out. What follows need not know which it is."""

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from device.bundle import HDF5_SIGNATURE, Bundle, Companions, read_bundle
from device.errors import ConversionError, TrainingError
from training.images.examples import Examples

_PICTURES, _ROWS = 32, 512
"""Rows that Keras is given at once, with pictures and with a few numbers in their place."""

Progress = Callable[[int], None]
"""Called with the number of steps that were done since the last call."""


class Model(Protocol):
    """A model with all that belongs to it."""

    companions: Companions
    kind: str
    """What runs it, and its version."""
    sha256: str
    """Of the file."""

    def steps(self, rows: Examples) -> int:
        """How many steps of progress `probabilities` will report."""

    def probabilities(self, rows: Examples, progress: Progress) -> NDArray[np.float32]:
        """The answers, shape (rows, labels); `rows.images` holds pictures."""


def open_model(path: Path, *, runtime: str = "auto") -> Model:
    """Open a `Model.h5` or a `Model.tflite`, told apart by their content.

    Args:
        path: of the model.
        runtime: which TFLite interpreter, see `device.recognition.runtimes`; of no use to an `.h5`.

    Raises:
        TrainingError: no such file, or a runtime was chosen for an `.h5`.
        BundleError, ConversionError: damaged, without companions, or not a network that this project knows to ask.
        InterpreterError: no interpreter is installed, or it refuses the model.
    """
    try:
        with path.open("rb") as file:
            is_keras = file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); give a Model.h5 or a Model.tflite") from None
    if not is_keras:
        return TfliteModel(read_bundle(path), runtime)
    if runtime != "auto":
        raise TrainingError(f"{path}: --runtime {runtime} is for a Model.tflite; Keras runs a Model.h5")
    return KerasModel(path)


class TfliteModel:
    """A bundle, run by the very class that the device runs it by, a row at a time."""

    def __init__(self, bundle: Bundle, runtime: str) -> None:
        from device.recognition.classifier import Classifier

        self.companions = bundle.companions
        self.sha256 = hashlib.sha256(bundle.model).hexdigest()
        self._classifier = Classifier(bundle, runtime=runtime)
        self.kind = f"{self._classifier.runtime} {version(self._classifier.runtime)}"

    def steps(self, rows: Examples) -> int:
        """One for each row."""
        return len(rows)

    def probabilities(self, rows: Examples, progress: Progress) -> NDArray[np.float32]:
        """The answers, shape (rows, labels)."""
        answers = np.zeros((len(rows), len(self.companions.labels)), np.float32)
        for row, (index, ids) in enumerate(zip(rows.index, rows.ids, strict=True)):
            answers[row] = list(self._classifier.probabilities(rows.images[index], ids).values())
            progress(1)
        return answers


class KerasModel:
    """A trained network, run by tf_keras; what only looks at the picture is run once for each picture.

    Raises:
        ConversionError: carries no companions, or carries code, or is not "picture and ids in, one softmax out".
    """

    def __init__(self, path: Path) -> None:
        from convert.source import keras_h5 as model_file
        from convert.source.keras_source import read_source
        from convert.source.model_spec import check_companions, examine

        source = read_source(path)  # before Keras builds, and might run, anything
        self.companions = model_file.read_companions(path)
        try:
            check_companions(examine(source.configuration), self.companions)
            from convert.source.keras_loading import in_keras_2, load_network
            from convert.worker import taking_pictures_and_ids

            trained = in_keras_2(load_network(path, source.format, source.keras, source.stored), source.configuration)
            model = taking_pictures_and_ids(trained, len(self.companions.labels))
        except ConversionError as error:
            raise ConversionError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
        self.sha256 = source.sha256
        self.kind = f"tf-keras {version('tf-keras')}"
        self._trunk, self._head = split(model)

    def steps(self, rows: Examples) -> int:
        """One for each distinct picture."""
        return len(np.unique(rows.index))

    def probabilities(self, rows: Examples, progress: Progress) -> NDArray[np.float32]:
        """The answers, shape (rows, labels)."""
        used, index = np.unique(rows.index, return_inverse=True)
        parts = []
        for start in range(0, len(used), _PICTURES):
            pictures = rows.images[used[start : start + _PICTURES]]
            parts.append(self._trunk.predict_on_batch(pictures))
            progress(len(pictures))
        features = Examples(np.concatenate(parts), index, rows.ids, rows.labels)
        return predict_keras(self._head, self._head.input_names[0], self._head.input_names[1], features)


def predict_keras(model: Any, pictures: str, ids: str, rows: Examples) -> NDArray[np.float32]:
    """Ask a Keras model with two inputs, which have these names; returns shape (rows, labels)."""
    # `predict_on_batch` in few large batches: `predict` would start a data pipeline each time.
    parts = []
    for start in range(0, len(rows), _ROWS):
        batch = rows.take(np.arange(start, min(start + _ROWS, len(rows))))
        parts.append(model.predict_on_batch({pictures: batch.images[batch.index], ids: batch.ids}))
    answers: NDArray[np.float32] = np.concatenate(parts)
    return answers


def split(model: Any) -> tuple[Any, Any]:
    """Cut a network in two where its picture branch, which sees nothing of the words, ends.

    Args:
        model: a tf_keras model of [images, ids] with one output.

    Returns:
        The trunk, `images -> features`, and the head, `[features, ids] -> output`, which share the model's layers:
        `head([trunk(images), ids])` equals `model([images, ids])`. A network that joins the two in more than one place
        gets a trunk that does nothing.
    """
    import tensorflow as tf
    import tf_keras

    images, ids = model.inputs
    sees = {id(images): {"images"}, id(ids): {"ids"}}
    border: dict[int, Any] = {}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            seen = set().union(*(sees[id(tensor)] for tensor in node.keras_inputs))
            sees |= {id(tensor): seen for tensor in tf.nest.flatten(node.outputs)}
            if len(seen) == 2:
                border |= {id(tensor): tensor for tensor in node.keras_inputs if sees[id(tensor)] == {"images"}}
    feature = next(iter(border.values())) if len(border) == 1 else images
    return tf_keras.Model(images, feature), tf_keras.Model([feature, ids], model.outputs[0])
