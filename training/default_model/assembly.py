"""Puts two branches that were trained apart into one network, with their balance folded into its last layers.

It knows layers and weights, and neither corpora nor how the branches were trained.
"""

from typing import Any

from device.front_end.parameters import FrontEnd
from training.default_model.fusion import Balance
from training.networks.network import AUDIO_PART, evidence_network, set_joint_factors

_WORDS_LAST, _SOUND_LAST, _SOUND_HIDDEN = "words_logits", "audio_logits", "audio_dense"


def assemble(words: Any, sound: Any, balance: Balance, front_end: FrontEnd) -> Any:
    """One network whose softmax adds both branches' logits, balanced.

    Args:
        words: the trained words branch, ids (batch, length) -> logits (batch, labels).
        sound: the trained head of the sound branch, statistics (batch, n) -> logits (batch, labels).
        balance: the factors.
        front_end: size of the picture and number of ids.

    Returns:
        A tf_keras model, `evidence` of `training.networks`: [images, features] -> probabilities (batch, labels).
    """
    units = sound.get_layer(_SOUND_HIDDEN).units
    vocabulary = words.get_layer("words_embedding").input_dim - 1
    full = evidence_network(words.output_shape[-1], vocabulary, front_end, sound_units=units).full
    for layer in words.layers:
        if layer.weights:
            full.get_layer(layer.name).set_weights(layer.get_weights())
    head = full.get_layer(AUDIO_PART)
    head.set_weights(sound.get_weights())
    for layer, factor in (
        (full.get_layer(_WORDS_LAST), balance.words),
        (head.get_layer(_SOUND_LAST), balance.sound),
    ):
        layer.set_weights([weights * factor for weights in layer.get_weights()])
    set_joint_factors(full, balance.joint, balance.joint * balance.trust)
    return full
