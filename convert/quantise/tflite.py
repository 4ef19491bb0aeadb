"""Runs TensorFlow's converter with the settings of a recipe: from a Keras 2 network of batch 1 to a flatbuffer."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.recipes import Recipe
from convert.source.embedding import with_embedding
from convert.source.keras_loading import first_line
from convert.source.model_spec import ModelSpec
from convert.tflite_model.flatbuffer import FlatbufferModel, read_flatbuffer
from device.errors import ConversionError
from device.recognition.classifier import EMBEDDING, FEATURES, IMAGES, PROBABILITIES, SIGNATURE
from device.system.display import displayable

_IMAGE_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "MAX_POOL_2D", "AVERAGE_POOL_2D")
"""Operators of the image branch; with 8-bit activations, all operators between the image input and these use them."""
_COLOURS = 3
_SMALLEST_DENSE_IN_8_BITS = 2**18
"""Bytes of a dense kernel in floating point; a smaller one saves too little to be worth its error."""


def save(model: Any, spec: ModelSpec, folder: Path, *, embedding: str = "") -> None:
    """Write a SavedModel whose signature names each tensor; the device finds them by these names.

    Args:
        model: a tf_keras model of batch 1: [images, features] -> probabilities.
        spec: its sizes.
        folder: folder to write.
        embedding: name of the layer whose output is the embedding; empty to choose one.

    Raises:
        ConversionError: there is no such layer.
        OSError: it cannot be written.
    """
    import tensorflow as tf

    both = with_embedding(model, embedding)
    images = tf.TensorSpec([1, *spec.image_size, 3], tf.float32, name=IMAGES)
    features = tf.TensorSpec([1, spec.sequence_length], tf.int32, name=FEATURES)

    @tf.function(input_signature=[images, features])  # type: ignore[untyped-decorator]  # tensorflow ships no types
    def serve(images: Any, features: Any) -> dict[str, Any]:
        return dict(zip((PROBABILITIES, EMBEDDING), both([images, features], training=False), strict=True))

    module = tf.Module()
    module.tracked = model.weights  # not the model, because each of its layers would be traced
    try:
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: serve})
    except tf.errors.OpError as error:  # what the model's operations compute is not computed here, only written
        reason = re.sub(r".*; | \[Op:\w+\]$", "", str(error.message), flags=re.DOTALL)
        raise OSError(errno.EIO, reason, str(folder)) from None


def to_flatbuffer(
    saved_model: Path,
    recipe: Recipe,
    *,
    per_channel_dense: bool,
    images: NDArray[np.float32],
    features: NDArray[np.int32],
) -> bytes:
    """Convert a SavedModel to a TFLite flatbuffer.

    Args:
        saved_model: folder that `save` wrote.
        recipe: how to store weights and activations.
        per_channel_dense: whether dense layers get one scale per unit instead of one for all; this is FULLY_CONNECTED
            version 12, which tflite-runtime 2.14 refuses.
        images: images to measure 8-bit activations on, shape (images, height, width, 3), float32, 0 to 1.
        features: word ids for these images, shape (images, sequence_length), int32.

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
            raise ConversionError(
                f"tensorflow {tf.__version__} has no {switch}", fix='run: pip install --upgrade "edge-mcnn[train]"'
            )
        setattr(converter, switch, True)
    if recipe.activations == "float32":
        return _converted(converter)
    return _in_8_bits(converter, read_flatbuffer(_converted(_converter(saved_model))), images, features)


def float_tensors(model: FlatbufferModel) -> list[str]:
    """Names of the tensors, in a model converted without quantisation, that always have to stay in floating point.

    These are all except those of the image branch, from its second convolution on, and the outputs of large dense
    layers. With 8 bits everywhere, the embedding, the LSTM, and the softmax, which then has 256 values, would ruin the
    predictions.
    """
    downstream = {model.tensors.index(model.signatures[SIGNATURE].inputs[IMAGES])}
    upstream: set[int] = set()
    for operator in model.operators:
        if downstream.intersection(operator.inputs):
            downstream.update(operator.outputs)
    for operator in reversed(model.operators):
        if operator.name in _IMAGE_OPERATORS:
            upstream.update(operator.outputs)
        if upstream.intersection(operator.outputs):
            upstream.update(operator.inputs)
    names = []
    for operator in model.operators:
        dense = operator.name == "FULLY_CONNECTED" and any(
            index >= 0 and model.tensors[index].bytes >= _SMALLEST_DENSE_IN_8_BITS for index in operator.inputs
        )
        first = operator.name == "CONV_2D" and model.tensors[operator.inputs[0]].shape[-1] == _COLOURS
        between = not first and all(index in downstream and index in upstream for index in operator.outputs)
        if not (dense or between):
            names += [model.tensors[index].name for index in operator.outputs]
    return names


def _converter(saved_model: Path) -> Any:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _in_8_bits(
    converter: Any, unquantised: FlatbufferModel, images: NDArray[np.float32], features: NDArray[np.int32]
) -> bytes:
    import tensorflow as tf

    def representative() -> Iterator[dict[str, Any]]:
        for image, ids in zip(images, features, strict=True):
            yield {IMAGES: image[None], FEATURES: ids[None]}

    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    # Only the debugger offers a way to exclude tensors from quantisation; nothing else of it is used.
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=float_tensors(unquantised))
    with _conversion_errors(
        "quantise", "choose --mode dynamic, which is as small, or replace unusual layers of the network"
    ):
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=representative, debug_options=options
        )
        quantised: bytes = debugger.get_nondebug_quantized_model()
    return quantised


def _converted(converter: Any) -> bytes:
    with _conversion_errors("express", "replace unusual layers of the network"):
        converted: bytes = converter.convert()
    return converted


@contextmanager
def _conversion_errors(action: str, fix: str) -> Iterator[None]:
    """Turn whatever MLIR raises, whose class is private, into a `ConversionError`."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ConversionError(
            f"TFLite cannot {action} the network: {displayable(first_line(error))}", fix=fix
        ) from error
