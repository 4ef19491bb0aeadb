"""Adds a second output to a network: the embedding, on which a device bases what it learns about a voice.

By default this is what the last layer with weights works on: for a network that ends with a dense layer and a softmax,
the inputs of that dense layer. Runs in the child process, which imports tensorflow.
"""

from typing import Any

from device.errors import ConversionError


def with_embedding(model: Any, layer: str = "") -> Any:
    """Build a model that shares all layers with another one, and has a second output.

    Args:
        model: a tf_keras model with one output.
        layer: name of the layer whose output is the embedding; empty to choose it.

    Returns:
        A tf_keras model: the inputs of `model` -> [its output, the embedding (batch, n)].

    Raises:
        ConversionError: there is no such layer.
    """
    import tf_keras

    if layer:
        try:
            embedding = model.get_layer(layer).output
        except ValueError:
            raise ConversionError(
                f"its speaker variation is about a layer {layer}, which the network does not have",
                fix="train the model again",
            ) from None
    else:
        embedding = _before_last_weights(model)
    return tf_keras.Model(model.inputs, [model.output, _flat(embedding)])


def _before_last_weights(model: Any) -> Any:
    """Return what the last layer works on that has weights or several inputs, as a tensor of the model's own graph."""
    import tensorflow as tf
    import tf_keras

    tensor = model.output
    while True:
        layer, node, _ = tensor._keras_history
        inputs = tf.nest.flatten(layer.inbound_nodes[node].keras_inputs)
        if not inputs:
            return tensor  # an input of the network: no layer has weights
        if isinstance(layer, tf_keras.Model):
            if not layer.weights and len(inputs) == 1:
                tensor = inputs[0]
                continue
            inner = tf_keras.Model(layer.inputs, _flat(_before_last_weights(layer)))
            return inner(inputs)
        if layer.weights or len(inputs) > 1:
            flat = [_flat(each) for each in inputs]
            return flat[0] if len(flat) == 1 else tf_keras.layers.Concatenate(name="embedding")(flat)
        tensor = inputs[0]


def _flat(tensor: Any) -> Any:
    import tf_keras

    return tensor if len(tensor.shape) == 2 else tf_keras.layers.Flatten()(tensor)
