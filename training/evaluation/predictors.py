"""Models that predict, `.h5` and `.tflite` alike: rows in, probabilities out, behind one interface."""

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

_IMAGE_BATCH, _FEATURE_BATCH = 32, 512
"""Rows per batch for Keras: of images, and of the few features that stand for an image."""

Progress = Callable[[int], None]
"""Called with the number of steps that were done since the last call."""


class Predictor(Protocol):
    """A model with its labels, vocabulary and front end, ready to predict."""

    companions: Companions
    """Labels, vocabulary, front end and card of the model."""
    runtime: str
    """Name and version of the package that runs the model."""
    sha256: str
    """SHA-256 of the model file, in hexadecimal."""

    def steps(self, rows: Examples) -> int:
        """Return the number of steps of progress that `probabilities` will report."""

    def probabilities(self, rows: Examples, progress: Progress) -> NDArray[np.float32]:
        """Return the probabilities, shape (rows, labels); `rows.images` holds spectrogram images."""


def open_predictor(path: Path, *, runtime: str = "auto", profile: Path | None = None) -> Predictor:
    """Open a `Model.h5` or a `Model.tflite`; the content of the file decides which it is.

    Args:
        path: path of the model.
        runtime: TFLite interpreter, see `device.recognition.runtimes`; not applicable to an `.h5`.
        profile: voice profile that the model is adapted to; not applicable to an `.h5`.

    Raises:
        TrainingError: there is no such file, or a runtime or a profile was chosen for an `.h5`.
        ProfileError: the profile cannot be read, or belongs to another model.
        BundleError, ConversionError: the file is damaged, has no companions, or holds a network of unknown structure.
        InterpreterError: no interpreter is installed, or the interpreter refuses the model.
    """
    try:
        with path.open("rb") as file:
            is_keras = file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be read ({error.strerror})", fix="name a Model.h5 or a Model.tflite"
        ) from None
    if not is_keras:
        return TflitePredictor(read_bundle(path), runtime, profile)
    if runtime != "auto":
        raise TrainingError(
            f"{path}: --runtime {runtime} is for a Model.tflite, and Keras runs a Model.h5", fix="leave --runtime out"
        )
    if profile is not None:
        raise TrainingError(
            f"{path}: --profile is for a Model.tflite, to which every voice profile belongs",
            fix="evaluate the Model.tflite that was converted from it",
        )
    return KerasPredictor(path)


class TflitePredictor:
    """Runs a bundle with the same class as the device does, one row at a time.

    Args:
        bundle: the model.
        runtime: TFLite interpreter, see `device.recognition.runtimes`.
        profile: voice profile that the predictions are adapted to; None for none.

    Raises:
        ProfileError: the profile cannot be read, or belongs to another model.
    """

    def __init__(self, bundle: Bundle, runtime: str, profile: Path | None = None) -> None:
        from device.adaptation.adapted_classifier import AdaptedClassifier, own_profile
        from device.recognition.classifier import Classifier

        self.companions = bundle.companions
        self.sha256 = hashlib.sha256(bundle.model).hexdigest()
        classifier = Classifier(bundle, runtime=runtime)
        self.runtime = f"{classifier.runtime} {version(classifier.runtime)}"
        self._classifier = AdaptedClassifier(classifier, bundle)
        if profile is not None:
            self._classifier.use(own_profile(profile, self._classifier.identity))

    def steps(self, rows: Examples) -> int:
        """Return one step for each row."""
        return len(rows)

    def probabilities(self, rows: Examples, progress: Progress) -> NDArray[np.float32]:
        """Return the probabilities, shape (rows, labels)."""
        found = np.zeros((len(rows), len(self.companions.labels)), np.float32)
        for row, (index, ids) in enumerate(zip(rows.index, rows.ids, strict=True)):
            found[row] = list(self._classifier.probabilities(rows.images[index], ids).values())
            progress(1)
        return found


class KerasPredictor:
    """Runs a trained network with tf_keras; the layers that depend on the image alone run once per distinct image.

    Args:
        path: path of the `.h5`.

    Raises:
        ConversionError: the file has no companions, carries code, or is not a network of image and ids with one
            softmax.
    """

    def __init__(self, path: Path) -> None:
        from convert.source.keras_h5 import read_companions
        from convert.source.keras_source import name_source, read_source
        from convert.source.model_spec import check_companions, read_spec

        source = read_source(path)  # first of all: building the network with Keras might run code that it carries
        self.companions = read_companions(path)
        try:
            check_companions(read_spec(source.configuration), self.companions)
            from convert.source.keras_loading import in_keras_2, load_network, with_ordered_inputs

            trained = in_keras_2(load_network(path, source.format, source.keras, source.stored), source.configuration)
            model = with_ordered_inputs(trained, len(self.companions.labels))
        except ConversionError as error:
            raise name_source(path, error) from None
        self.sha256 = source.sha256
        self.runtime = f"tf-keras {version('tf-keras')}"
        self._trunk, self._head = split_network(model)

    def steps(self, rows: Examples) -> int:
        """Return one step for each distinct image."""
        return len(np.unique(rows.index))

    def probabilities(self, rows: Examples, progress: Progress) -> NDArray[np.float32]:
        """Return the probabilities, shape (rows, labels)."""
        used, index = np.unique(rows.index, return_inverse=True)
        parts = []
        for start in range(0, len(used), _IMAGE_BATCH):
            images = rows.images[used[start : start + _IMAGE_BATCH]]
            parts.append(self._trunk.predict_on_batch(images))
            progress(len(images))
        features = Examples(np.concatenate(parts), index, rows.ids, rows.labels)
        return predict_keras(self._head, self._head.input_names[0], self._head.input_names[1], features)


def predict_keras(model: Any, images: str, ids: str, rows: Examples) -> NDArray[np.float32]:
    """Run a Keras model of two inputs.

    Args:
        model: a tf_keras model with one output.
        images: name of the input for `rows.images`.
        ids: name of the input for `rows.ids`.
        rows: the inputs.

    Returns:
        Probabilities, shape (rows, labels).
    """
    # `predict_on_batch` in few large batches: `predict` would start a data pipeline each time.
    parts = []
    for start in range(0, len(rows), _FEATURE_BATCH):
        batch = rows.take(np.arange(start, min(start + _FEATURE_BATCH, len(rows))))
        parts.append(model.predict_on_batch({images: batch.images[batch.index], ids: batch.ids}))
    found: NDArray[np.float32] = np.concatenate(parts)
    return found


def split_network(model: Any) -> tuple[Any, Any]:
    """Split a network where its image branch, which does not depend on the text, ends.

    Args:
        model: a tf_keras model of [images, ids] with one output.

    Returns:
        The trunk, `images -> features`, and the head, `[features, ids] -> output`, which share the model's layers:
        `head([trunk(images), ids])` equals `model([images, ids])`. If the network joins image and text in more than
        one place, the trunk is the identity.
    """
    import tensorflow as tf
    import tf_keras

    images, ids = model.inputs
    depends_on = {id(images): {"images"}, id(ids): {"ids"}}
    border: dict[int, Any] = {}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            inputs = set().union(*(depends_on[id(tensor)] for tensor in node.keras_inputs))
            depends_on |= {id(tensor): inputs for tensor in tf.nest.flatten(node.outputs)}
            if len(inputs) == 2:
                border |= {id(tensor): tensor for tensor in node.keras_inputs if depends_on[id(tensor)] == {"images"}}
    feature = next(iter(border.values())) if len(border) == 1 else images
    return tf_keras.Model(images, feature), tf_keras.Model([feature, ids], model.outputs[0])
