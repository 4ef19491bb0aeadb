"""The tutorial's network as strangers build it, in Keras 2 and in Keras 3, and files that were tampered with."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from convert.source.keras_source import WEIGHTS_ENTRY

WORDS, LENGTH, PICTURE = 60, 12, 16
IGNORE_HDF5_WARNING = "ignore:You are saving your model as an HDF5 file:UserWarning"
MODEL: dict[str, Any] = {"class_name": "Functional", "config": {"name": "model", "layers": []}}
"""A configuration with nothing in it that could be wrong."""


def network(
    keras: Any,
    *,
    image_size: int | None = PICTURE,
    length: int | None = LENGTH,
    ids_dtype: str = "float32",
    text_first: bool = False,
) -> Any:
    """Made of `keras`, which is Keras 2 or 3 itself, compiled and with weights that matter.

    Args:
        keras: `tf_keras` or `keras`.
        image_size: of its height and width; None leaves them open.
        length: ids per utterance; None leaves it open.
        ids_dtype: of its second input; float32 is how the tutorial leaves it.
        text_first: whether the ids are its first input.
    """
    layers, two = keras.layers, keras is tf_keras
    shape = (image_size, image_size, 3)
    seen = layers.Input(shape)
    # 1200 weights, so that quantisation has something to do in the nested model.
    pictures = keras.Model(seen, layers.Conv2D(16, 5, strides=2, activation="relu")(seen), name="pictures")
    images = layers.Input(shape, name="spectrogram")
    pooled = layers.GlobalAveragePooling2D()(pictures(images))
    ids = layers.Input((length,), dtype=ids_dtype, name="transcript")
    words = layers.Embedding(WORDS + 1, 32, **({"input_length": length} if two and length else {}))(ids)
    words = layers.SpatialDropout1D(0.2)(words)
    words = layers.LSTM(25, dropout=0.2, recurrent_dropout=0.2)(words)
    joint = layers.concatenate([layers.Dense(32, activation="relu")(pooled), words])
    for _ in range(2):
        joint = layers.Dropout(0.25)(layers.Dense(32, activation="relu")(joint))
    output = layers.Dense(3, activation="softmax", dtype="float32")(joint)
    model = keras.Model([ids, images] if text_first else [images, ids], output)
    chance = np.random.default_rng(0)
    model.set_weights([chance.normal(0, 0.25, weight.shape) for weight in model.get_weights()])
    optimiser = keras.optimizers.legacy.Adam(learning_rate=1e-3) if two else keras.optimizers.Adam(1e-3)
    model.compile(optimiser, "categorical_crossentropy", metrics=["accuracy"])
    return model


def answers(model: Any) -> NDArray[np.float32]:
    """What a network says to six pictures and utterances, shape (6, 3)."""
    chance = np.random.default_rng(1)
    feed: list[NDArray[Any]] = []
    for tensor in model.inputs:
        if len(tensor.shape) == 4:
            feed.append(chance.random((6, PICTURE, PICTURE, 3), np.float32))
        else:
            ids = np.random.default_rng(2).integers(0, WORDS + 1, (6, LENGTH))
            feed.append(ids.astype(getattr(tensor.dtype, "name", tensor.dtype)))
    return np.asarray(model(feed, training=False), np.float32)


def keras_file(
    path: Path, configuration: object, *, version: str = "3.5.0", weights: bytes | None = b"", times: int = 1
) -> Path:
    """A `.keras` file with any configuration in it.

    Args:
        path: to write.
        configuration: JSON as text or as what it says.
        version: of Keras, that is said to have written it.
        weights: in it; None for no such entry.
        times: how often the configuration is in it.
    """
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        for _ in range(times):
            archive.writestr("config.json", text)
        if weights is not None:
            archive.writestr(WEIGHTS_ENTRY, weights)
    return path


def claiming(path: Path, name: str, size: int, text: str = json.dumps(MODEL)) -> Path:
    """A small file whose directory says that an entry of it unpacks to `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.5.0"}')
        archive.writestr("config.json", text)
        archive.writestr(WEIGHTS_ENTRY, b"x" * 1000)
        archive.getinfo(name).file_size = size
    return path
