"""TensorFlow's own converter, asked for what a recipe says: from a Keras 2 network of batch 1 to a flatbuffer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.recipes import Recipe
from convert.source.keras_loading import first_line
from convert.source.model_spec import Network
from convert.tflite_model.flatbuffer import Model, read_flatbuffer
from device.errors import ConversionError
from device.recognition.classifier import FEATURES, IMAGES, PROBABILITIES, SIGNATURE

_IN_8_BITS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D")
"""What the picture branch is made of; whatever lies between them on the way from the picture goes with them."""
_COLOURS = 3
_SMALLEST_DENSE_IN_8_BITS = 2**18
"""Bytes of a dense kernel in floating point; a smaller one saves nothing worth its error."""


def save(model: Any, network: Network, folder: Path) -> None:
    """Write a SavedModel whose signature says by name what each tensor is; the device binds by these names.

    Args:
        model: a tf_keras model of batch 1, taking [images, features].
        network: what it is.
        folder: where to.
    """
    import tensorflow as tf

    images = tf.TensorSpec([1, *network.picture_size, 3], tf.float32, name=IMAGES)
    features = tf.TensorSpec([1, network.sequence_length], tf.int32, name=FEATURES)

    @tf.function(input_signature=[images, features])  # type: ignore[untyped-decorator]  # tensorflow ships no types
    def serve(images: Any, features: Any) -> dict[str, Any]:
        return {PROBABILITIES: model([images, features], training=False)}

    module = tf.Module()
    module.tracked = model.weights  # and not the model, each of whose layers would be traced
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: serve})


def flatbuffer(
    saved_model: Path,
    recipe: Recipe,
    *,
    per_channel_dense: bool,
    images: NDArray[np.float32],
    features: NDArray[np.int32],
) -> bytes:
    """Convert.

    Args:
        saved_model: that `save` wrote.
        recipe: how.
        per_channel_dense: one scale per unit of a dense layer instead of one for all; FULLY_CONNECTED version 12,
            which tflite-runtime 2.14 refuses.
        images: what activations in 8 bits are measured on, shape (pictures, height, width, 3), float32.
        features: ids to go with them, shape (pictures, sequence_length), int32.

    Raises:
        ConversionError: TFLite cannot express the network.
    """
    import tensorflow as tf

    converter = _converter(saved_model)
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.weights == "int8" and not per_channel_dense:
        switch = "_experimental_disable_per_channel_quantization_for_dense_layers"
        if not hasattr(converter, switch):
            raise ConversionError(f"this tensorflow ({tf.__version__}) has no {switch}; install edge-mcnn[train] again")
        setattr(converter, switch, True)
    if recipe.activations == "float32":
        return _converted(converter)
    return _in_8_bits(converter, read_flatbuffer(_converted(_converter(saved_model))), images, features)


def stays_float(model: Model) -> list[str]:
    """Names of the tensors, in a model converted without quantisation, that are computed in floating point in any case.

    These are all but the picture branch, from its second convolution on, and what large dense layers give: as a whole
    in 8 bits the network is ruined by its embedding, its LSTM, and its softmax, which in 8 bits has 256 values.
    """
    behind = {model.tensors.index(model.signatures[SIGNATURE].inputs[IMAGES])}
    ahead: set[int] = set()
    for operator in model.operators:
        if behind.intersection(operator.inputs):
            behind.update(operator.outputs)
    for operator in reversed(model.operators):
        if operator.name in _IN_8_BITS:
            ahead.update(operator.outputs)
        if ahead.intersection(operator.outputs):
            ahead.update(operator.inputs)
    names = []
    for operator in model.operators:
        dense = operator.name == "FULLY_CONNECTED" and any(
            index >= 0 and model.tensors[index].bytes >= _SMALLEST_DENSE_IN_8_BITS for index in operator.inputs
        )
        first = operator.name == "CONV_2D" and model.tensors[operator.inputs[0]].shape[-1] == _COLOURS
        on_the_way = not first and all(index in behind and index in ahead for index in operator.outputs)
        if not (dense or on_the_way):
            names += [model.tensors[index].name for index in operator.outputs]
    return names


def _converter(saved_model: Path) -> Any:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _in_8_bits(converter: Any, plain: Model, images: NDArray[np.float32], features: NDArray[np.int32]) -> bytes:
    import tensorflow as tf

    def representative() -> Iterator[dict[str, Any]]:
        for image, ids in zip(images, features, strict=True):
            yield {IMAGES: image[None], FEATURES: ids[None]}

    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    # The debugger, of which nothing else is used, is the one way to say which tensors stay as they are.
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=stays_float(plain))
    with _refused("quantise"):
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=representative, debug_options=options
        )
        quantised: bytes = debugger.get_nondebug_quantized_model()
    return quantised


def _converted(converter: Any) -> bytes:
    with _refused("express"):
        converted: bytes = converter.convert()
    return converted


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Whatever MLIR raises, whose class is private, as the sentence that TFLite cannot do this."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ConversionError(f"TFLite cannot {what} the network: {first_line(error)}") from error
