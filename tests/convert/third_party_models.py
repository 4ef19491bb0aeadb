"""Networks like the tutorial's as third parties build them, in Keras 2 and Keras 3, and manipulated files."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from convert.source.keras_source import WEIGHTS_ENTRY

WORDS, LENGTH, IMAGE_SIZE = 60, 12, 16
IGNORE_HDF5_WARNING = "ignore:You are saving your model as an HDF5 file:UserWarning"
MODEL: dict[str, Any] = {"class_name": "Functional", "config": {"name": "model", "layers": []}}
"""A minimal valid configuration."""


def network(
    keras: Any,
    *,
    image_size: int | None = IMAGE_SIZE,
    length: int | None = LENGTH,
    ids_dtype: str = "float32",
    text_first: bool = False,
) -> Any:
    """A compiled network of Keras 2 or 3, whose random weights all affect the prediction.

    Args:
        keras: the package `tf_keras` or `keras`.
        image_size: height and width of the images; None leaves them open.
        length: number of ids per utterance; None leaves it open.
        ids_dtype: dtype of the id input; float32 is the tutorial's.
        text_first: whether the ids are the first input.
    """
    layers, is_keras_2 = keras.layers, keras is tf_keras
    shape = (image_size, image_size, 3)
    inner = layers.Input(shape)
    # 1200 weights, so that quantisation has something to do in the nested model.
    image_branch = keras.Model(inner, layers.Conv2D(16, 5, strides=2, activation="relu")(inner), name="image_branch")
    images = layers.Input(shape, name="spectrogram")
    pooled = layers.GlobalAveragePooling2D()(image_branch(images))
    ids = layers.Input((length,), dtype=ids_dtype, name="transcript")
    words = layers.Embedding(WORDS + 1, 32, **({"input_length": length} if is_keras_2 and length else {}))(ids)
    words = layers.SpatialDropout1D(0.2)(words)
    words = layers.LSTM(25, dropout=0.2, recurrent_dropout=0.2)(words)
    joint = layers.concatenate([layers.Dense(32, activation="relu")(pooled), words])
    for _ in range(2):
        joint = layers.Dropout(0.25)(layers.Dense(32, activation="relu")(joint))
    output = layers.Dense(3, activation="softmax", dtype="float32")(joint)
    model = keras.Model([ids, images] if text_first else [images, ids], output)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.25, weight.shape) for weight in model.get_weights()])
    optimiser = keras.optimizers.legacy.Adam(learning_rate=1e-3) if is_keras_2 else keras.optimizers.Adam(1e-3)
    model.compile(optimiser, "categorical_crossentropy", metrics=["accuracy"])
    return model


def predict(model: Any) -> NDArray[np.float32]:
    """Probabilities of a network for six images and utterances, shape (6, 3)."""
    random = np.random.default_rng(1)
    feed: list[NDArray[Any]] = []
    for tensor in model.inputs:
        if len(tensor.shape) == 4:
            feed.append(random.random((6, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32))
        else:
            ids = np.random.default_rng(2).integers(0, WORDS + 1, (6, LENGTH))
            feed.append(ids.astype(getattr(tensor.dtype, "name", tensor.dtype)))
    return np.asarray(model(feed, training=False), np.float32)


def keras_file(
    path: Path, configuration: object, *, version: str = "3.5.0", weights: bytes | None = b"", times: int = 1
) -> Path:
    """Write a `.keras` file with any configuration.

    Args:
        path: file to write.
        configuration: JSON, as text or as plain data.
        version: version of Keras in the metadata.
        weights: content of the weights entry; None for no such entry.
        times: number of entries with the configuration.
    """
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        for _ in range(times):
            archive.writestr("config.json", text)
        if weights is not None:
            archive.writestr(WEIGHTS_ENTRY, weights)
    return path


def with_false_size(path: Path, name: str, size: int, text: str = json.dumps(MODEL)) -> Path:
    """Write a small file whose zip directory claims that an entry unpacks to `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.5.0"}')
        archive.writestr("config.json", text)
        archive.writestr(WEIGHTS_ENTRY, b"x" * 1000)
        archive.getinfo(name).file_size = size
    return path
