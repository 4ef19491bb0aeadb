"""The tutorial's network, and a fast variant with a tiny image branch."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from convert.source.keras_h5 import write_companions
from device.bundle import Companions
from device.front_end.parameters import FrontEnd

LABELS = ("positive", "neutral", "negative")
WORDS = 2000
IGNORE_SEEDING_WARNING = "ignore:non-integer arguments to randrange:DeprecationWarning"
"""Once seeded, tf_keras draws further seeds with randint(1, 1e9)."""


def companions(labels: tuple[str, ...] = LABELS, words: int = WORDS, **front_end: Any) -> Companions:
    vocabulary = tuple(f"word{index}" for index in range(words))
    return Companions(labels, vocabulary, FrontEnd(**front_end), {"trained_on": "nothing"})


def vgg19(images: Any) -> Any:
    base = tf_keras.applications.VGG19(include_top=False, weights=None, input_shape=images.shape[1:])
    base.trainable = False
    return base(images)


def small_branch(images: Any) -> Any:
    return layers.Conv2D(8, 5, strides=4, activation="relu")(images)


def tutorial_model(
    image_branch: Any = small_branch,
    *,
    recurrent: Any = None,
    embedding: Any = None,
    last: Any = None,
    text_first: bool = False,
    image_size: int = 64,
    seed: int = 0,
) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="non-integer arguments to randrange", category=DeprecationWarning)
        tf_keras.utils.set_random_seed(seed)
        return _tutorial(image_branch, recurrent, embedding, last, text_first, image_size)


def _tutorial(image_branch: Any, recurrent: Any, embedding: Any, last: Any, text_first: bool, image_size: int) -> Any:
    images = layers.Input((image_size, image_size, 3), name="spectrogram")
    pooled = layers.GlobalAveragePooling2D()(image_branch(images))
    ids = layers.Input((200,), name="transcript")  # float32, as in the tutorial
    words = (embedding or layers.Embedding(WORDS + 1, 32, input_length=200))(ids)
    words = layers.SpatialDropout1D(0.2)(words)
    words = (recurrent or layers.LSTM(25, dropout=0.2, recurrent_dropout=0.2))(words)
    joint = layers.concatenate([layers.Dense(32, activation="relu")(pooled), words])
    for _ in range(2):
        joint = layers.Dropout(0.25)(layers.Dense(32, activation="relu")(joint))
    output = (last or layers.Dense(3, activation="softmax"))(joint)
    return tf_keras.Model([ids, images] if text_first else [images, ids], output)


def scale_weights(model: Any, images: Any, features: Any) -> Any:
    """Scale the weights so that predictions depend on both inputs; VGG19's initial weights hardly let them."""
    feed = {"spectrogram": images, "transcript": features.astype(np.float32)}
    for layer in model.layers:
        for part in getattr(layer, "layers", [layer]):
            if isinstance(part, layers.Conv2D):
                part.kernel.assign(part.kernel * 2**0.5)
            if isinstance(part, layers.Embedding):
                part.embeddings.assign(part.embeddings * 20)
    last = model.layers[-1]
    before = tf_keras.Model(model.inputs, last.input)(feed).numpy()
    # Centre the logits of the samples with a deviation of 2: confident predictions, and not all of one class.
    logits = before @ last.kernel.numpy()
    last.kernel.assign(last.kernel * (2 / logits.std(axis=0)))
    last.bias.assign(-(before @ last.kernel.numpy()).mean(axis=0))
    return model


def save(model: Any, path: Path, stored: Companions | None = None) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
        model.save(path, save_format="h5")
    if stored is not None:
        write_companions(path, stored)
    return path
