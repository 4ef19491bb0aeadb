"""The networks, by name. Each maps an image and a row of word ids to a probability per class.

They are built with `tf_keras` (Keras 2): only there does the LSTM fuse when converted, and readers of the tutorial can
open the file. A network comes in two parts that share their layers, see `Network`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tf_keras
from tf_keras import layers

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.system.paths import require_file
from training.networks.evidence_audio import audio_evidence, audio_present, audio_statistics
from training.networks.evidence_text import WIDTHS, text_evidence, words_present

TUTORIAL = "tutorial"
"""Name of the network of the tutorial "How To Use Multi Channel Neural Network"."""
IMAGE_INPUT, IDS_INPUT, TRUNK_INPUT = "images", "features", "image_features"
"""Names of the input layers: images and word ids of the full network, features of the head."""
JOINT_FACTORS = ("words_factor", "audio_factor")
"""Names of the layers of `evidence` that weigh text and audio where there are both."""
OUTPUT_LAYERS: Mapping[str, tuple[str, ...]] = {
    TUTORIAL: ("probabilities",),
    "evidence": ("words_logits", "audio_logits", "audio_kinds"),
}
"""Names of the layers of each network whose outputs are the classes, or several times all classes in turn; the last one
of `evidence` is not part of every such network."""
FIXED_WITH_A_BASE: Mapping[str, tuple[str, ...]] = {
    TUTORIAL: ("words_embedding",),
    "evidence": ("words_embedding", *(f"words_patterns_{width}" for width in WIDTHS)),
}
"""Names of the layers of each network that a training on top of a base does not change: the meaning of words."""
AUDIO_PART = "audio"
"""Name of the model inside `evidence` that classifies the statistics of the audio."""
AUDIO_HIDDEN, AUDIO_KINDS, AUDIO_PRODUCTS = "audio_dense", "audio_kinds", "covariances"
"""Names of layers that show an `AudioShape`: the hidden layer, the discriminants, and one of the products."""
Vgg19Weights = Path | Literal["imagenet"] | None
"""Source of the weights of VGG19, see `build_network`."""
TUTORIAL_DROPOUT = 0.25
"""The rate of every dropout in the tutorial's network, the LSTM's two included."""


@dataclass(frozen=True)
class AudioShape:
    """What distinguishes the audio branches of the networks `evidence`."""

    units: int = 64
    """Width of the hidden layer."""
    kinds: int = 0
    """Number of linear discriminants of each class; 0 leaves them out."""
    products: bool = False
    """Whether there are the statistics that are products of rows, too."""


@dataclass(frozen=True)
class Network:
    """One network as three models that share their layers, so training `head` trains `full`.

    `full(images, features)` equals `head(trunk(images), features)`: the trunk is frozen and has neither dropout nor
    batch normalisation, so the features of an image are the same in every epoch, and are computed only once.
    """

    full: Any
    """`images` (batch, height, width, 3) float32 0 to 1 and `features` (batch, length) int32 -> (batch, labels)."""
    trunk: Any
    """The frozen layers: `images` -> (batch, n) float32."""
    head: Any
    """The trained layers: `image_features` (batch, n) and `features` (batch, length) int32 -> (batch, labels)."""


def build_network(
    name: str,
    *,
    labels: int,
    vocabulary: int,
    front_end: FrontEnd,
    vgg19_weights: Vgg19Weights = "imagenet",
    fast_lstm: bool = False,
) -> Network:
    """Build a network with fresh weights.

    Args:
        name: one of `NETWORKS`.
        labels: number of classes.
        vocabulary: number of words, without the padding id 0.
        front_end: settings that define the size of the image and the number of ids.
        vgg19_weights: `"imagenet"` lets Keras download them once, a path reads Keras's `notop` HDF5 file, None leaves
            them random (for tests: such a network distinguishes nothing).
        fast_lstm: whether the LSTM of the network `tutorial` is built without its recurrent dropout.

    Raises:
        TrainingError: no such network, `fast_lstm` with a network that has no LSTM, or the VGG19 weights cannot be
            downloaded or read.
    """
    if name not in NETWORKS:
        raise TrainingError(f"network is {name!r}", fix=f"use one of {', '.join(NETWORKS)}")
    if name == TUTORIAL:
        return tutorial_network(labels, vocabulary, front_end, vgg19_weights, fast_lstm=fast_lstm)
    if fast_lstm:
        raise TrainingError(
            f"the network {name!r} has no LSTM that could be trained faster",
            fix=f"leave out --fast-lstm, or train the network {TUTORIAL!r}",
        )
    return NETWORKS[name](labels, vocabulary, front_end, vgg19_weights)


def tutorial_network(
    labels: int, vocabulary: int, front_end: FrontEnd, vgg19_weights: Vgg19Weights, *, fast_lstm: bool = False
) -> Network:
    """Build the published network, layer for layer.

    The tutorial shows the code of both branches; the widths of the embedding and of the common layers, which it
    describes without numbers, are those of its repository.

    Args:
        labels: number of classes.
        vocabulary: number of words, without the padding id 0.
        front_end: settings that define the size of the image and the number of ids.
        vgg19_weights: source of the weights of VGG19, see `build_network`.
        fast_lstm: whether to leave out the LSTM's recurrent dropout, with which Keras cannot use cuDNN on a GPU. The
            weights have the same shapes, and predictions never use dropout.
    """
    images = layers.Input((front_end.image_height, front_end.image_width, 3), name=IMAGE_INPUT)
    ids = layers.Input((front_end.sequence_length,), dtype="int32", name=IDS_INPUT)
    vgg19 = _vgg19(images, vgg19_weights)
    pooled = layers.GlobalAveragePooling2D(name="image_pooling")(vgg19.output)

    rate = TUTORIAL_DROPOUT
    image_branch = [
        layers.Dense(32, activation="relu", name="image_dense"),
        layers.Dropout(rate, name="image_dropout"),
    ]
    text_branch = [
        layers.Embedding(vocabulary + 1, 32, input_length=front_end.sequence_length, name="words_embedding"),
        layers.SpatialDropout1D(rate, name="words_embedding_dropout"),
        layers.LSTM(25, dropout=rate, recurrent_dropout=0.0 if fast_lstm else rate, name="words_lstm"),
        layers.Dropout(rate, name="words_dropout"),
    ]
    joint = [
        layers.Dense(32, activation="relu", name="joint_dense_1"),
        layers.Dropout(rate, name="joint_dropout_1"),
        layers.Dense(32, activation="relu", name="joint_dense_2"),
        layers.Dropout(rate, name="joint_dropout_2"),
        layers.Dense(labels, activation="softmax", name="probabilities"),
    ]
    concatenate = layers.Concatenate(name="joint")

    def head(image_features: Any) -> Any:
        return _chain(joint, concatenate([_chain(image_branch, image_features), _chain(text_branch, ids)]))

    # `full` first: the layers' first connections are then those of the model that is saved.
    full = tf_keras.Model([images, ids], head(pooled), name=TUTORIAL)
    image_features = layers.Input(pooled.shape[1:], name=TRUNK_INPUT)
    return Network(
        full=full,
        trunk=tf_keras.Model(images, pooled, name="trunk"),
        head=tf_keras.Model([image_features, ids], head(image_features), name="head"),
    )


def evidence_network(
    labels: int,
    vocabulary: int,
    front_end: FrontEnd,
    audio_shape: AudioShape = AudioShape(),  # immutable
) -> Network:
    """Build a network that adds the evidence of text and audio: Bayes' rule, if the two are independent.

    An empty transcript or an image of silence adds exactly 0, so that the other modality decides. Where there are
    both, each is multiplied by a factor first, which training leaves at 1 and `set_joint_factors` sets.

    Args:
        labels: number of classes.
        vocabulary: number of words, without the padding id 0.
        front_end: settings that define the size of the image and the number of ids.
        audio_shape: what the audio branch consists of.
    """
    images = layers.Input((front_end.image_height, front_end.image_width, 3), name=IMAGE_INPUT)
    ids = layers.Input((front_end.sequence_length,), dtype="int32", name=IDS_INPUT)
    statistics = audio_statistics(images, products=audio_shape.products)
    image_features = layers.Input(statistics.shape[1:], name=TRUNK_INPUT)
    audio = tf_keras.Model(
        image_features,
        audio_evidence(image_features, labels=labels, units=audio_shape.units, kinds=audio_shape.kinds),
        name=AUDIO_PART,
    )
    words = text_evidence(ids, labels=labels, vocabulary=vocabulary)
    any_audio = tf_keras.Model(image_features, audio_present(image_features), name="audio_any")
    any_word = layers.Reshape((front_end.sequence_length, 1), name="words_present_by_position")(
        words_present(ids, "words_present_joint")
    )
    any_word = layers.GlobalMaxPooling1D(name="words_any")(any_word)
    words_factor, audio_factor = (
        layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones", trainable=False, name=name)
        for name in JOINT_FACTORS
    )
    audio_weight = audio_factor(any_word)
    weighted_words, weighted_audio = layers.Multiply(name="words_weighted"), layers.Multiply(name="audio_weighted")
    joint, probabilities = layers.Add(name="joint"), layers.Softmax(name="probabilities")

    def head(image_features: Any) -> Any:
        weighted = weighted_words([words, words_factor(any_audio(image_features))])
        return probabilities(joint([weighted, weighted_audio([audio(image_features), audio_weight])]))

    full = tf_keras.Model([images, ids], head(statistics), name="evidence")
    return Network(
        full=full,
        trunk=tf_keras.Model(images, statistics, name="trunk"),
        head=tf_keras.Model([image_features, ids], head(image_features), name="head"),
    )


def audio_shape(network: Network, labels: int) -> AudioShape:
    """Return what the audio branch of a network `evidence` with so many classes consists of."""
    layers_of_audio = {layer.name: layer for layer in network.full.get_layer(AUDIO_PART).layers}
    kinds = layers_of_audio[AUDIO_KINDS].units // labels if AUDIO_KINDS in layers_of_audio else 0
    products = any(layer.name == AUDIO_PRODUCTS for layer in network.trunk.layers)
    return AudioShape(layers_of_audio[AUDIO_HIDDEN].units, kinds, products)


def set_joint_factors(full: Any, text: float, audio: float) -> None:
    """Set the factors of the evidence of text and of audio where there are both."""
    for name, factor in zip(JOINT_FACTORS, (text, audio), strict=True):
        full.get_layer(name).set_weights([np.array([[factor - 1]], np.float32), np.ones(1, np.float32)])


def _evidence(labels: int, vocabulary: int, front_end: FrontEnd, _vgg19_weights: Vgg19Weights) -> Network:
    return evidence_network(labels, vocabulary, front_end)


NETWORKS: dict[str, Callable[[int, int, FrontEnd, Vgg19Weights], Network]] = {
    TUTORIAL: tutorial_network,
    "evidence": _evidence,
}
LEARNING_RATES: Mapping[str, float] = {TUTORIAL: 1e-4, "evidence": 1e-3}
"""Default step size of Adam for each network."""


def _chain(chain: list[Any], tensor: Any) -> Any:
    for layer in chain:
        tensor = layer(tensor)
    return tensor


def _vgg19(images: Any, weights: Vgg19Weights) -> Any:
    fix = (
        "give Keras's vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 (80 MB, from "
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/) with --vgg19-weights"
    )
    if isinstance(weights, Path):
        require_file(weights, TrainingError, fix=fix)
    vgg19 = tf_keras.applications.VGG19(include_top=False, weights=None, input_tensor=images)
    vgg19.trainable = False
    try:
        if weights == "imagenet":
            pretrained = tf_keras.applications.VGG19(include_top=False, weights="imagenet")
            vgg19.set_weights(pretrained.get_weights())
        elif weights is not None:
            vgg19.load_weights(weights)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        problem = "VGG19 weights cannot be downloaded" if weights == "imagenet" else f"{weights}: not weights of VGG19"
        raise TrainingError(f"{problem} ({reason})", fix=fix) from error
    return vgg19
