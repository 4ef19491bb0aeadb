"""The classes that a Keras configuration may name: Keras's own layers and their settings. Anything else may be code.

A configuration names classes and modules, which Keras imports and calls while it builds the network. Denylists of
harmful names have repeatedly been circumvented, so this is an allowlist.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from device.errors import ConversionError

_MODULES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")
_MODELS = "Functional Model Sequential"
_LAYERS = """
    InputLayer Dense EinsumDense Embedding Flatten Reshape Permute RepeatVector Identity
    Conv1D Conv2D SeparableConv1D SeparableConv2D DepthwiseConv1D DepthwiseConv2D Conv1DTranspose Conv2DTranspose
    MaxPooling1D MaxPooling2D AveragePooling1D AveragePooling2D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalAveragePooling1D GlobalAveragePooling2D
    ZeroPadding1D ZeroPadding2D Cropping1D Cropping2D UpSampling1D UpSampling2D
    LSTM GRU SimpleRNN Bidirectional RNN LSTMCell GRUCell SimpleRNNCell StackedRNNCells TimeDistributed Masking
    BatchNormalization LayerNormalization GroupNormalization UnitNormalization Normalization Rescaling
    Dropout SpatialDropout1D SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise ActivityRegularization
    Activation ReLU LeakyReLU PReLU ELU ThresholdedReLU Softmax
    Concatenate Add Subtract Multiply Average Maximum Minimum Dot Attention AdditiveAttention
"""
_SETTINGS = """
    Zeros Ones Constant Identity Orthogonal VarianceScaling RandomNormal RandomUniform TruncatedNormal
    GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform
    L1 L2 L1L2 OrthogonalRegularizer MaxNorm NonNeg UnitNorm MinMaxNorm
    Policy DTypePolicy FloatDTypePolicy __keras_tensor__ __tuple__
"""
_LONGEST_NAME = 100
_ALLOWED = frozenset(f"{_MODELS} {_LAYERS} {_SETTINGS}".split())


def refuse_code(configuration: object) -> None:
    """Check that a configuration names only classes of Keras itself.

    Args:
        configuration: configuration of a network, as Keras stored it.

    Raises:
        ConversionError: it names a Lambda, an operation, a custom object, or an object of another module.
    """
    for part in parts(configuration):
        _refuse_code(part)


def parts(node: object) -> Iterator[dict[str, Any]]:
    """Yield every `{"class_name": ..., ...}` in the tree: layers, nested models, initialisers and so on."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if "class_name" in node:
                yield node
            stack += reversed(node.values())
        elif isinstance(node, list):
            stack += reversed(node)


def _refuse_code(part: Mapping[str, Any]) -> None:
    kind, settings = part["class_name"], part.get("config")
    name = settings.get("name", kind) if isinstance(settings, dict) else kind
    if not isinstance(kind, str) or not kind.isprintable() or len(kind) > _LONGEST_NAME:
        raise ConversionError(
            f"a class_name in it is {repr(kind)[:_LONGEST_NAME]}, not a name", fix="save the model again"
        )
    if kind.endswith("Lambda") or kind == "__lambda__":
        raise ConversionError(
            f"layer {name!r} is a {kind}: it carries code, which edge-mcnn does not run",
            fix="use Keras's own layers instead",
        )
    module = part.get("module")
    if str(module).startswith("keras.src.ops."):
        raise ConversionError(
            f"{name!r} is an operation on tensors ({kind}), not a layer",
            fix="use a layer such as Add, Multiply or Rescaling",
        )
    if module is not None and not any(str(module) == own or str(module).startswith(f"{own}.") for own in _MODULES):
        raise ConversionError(
            f"{name!r} comes from the Python module {module!r}, which edge-mcnn does not import",
            fix="use Keras's own layers instead",
        )
    if kind not in _ALLOWED:
        raise ConversionError(
            f"{name!r} is a {kind}, which is not a layer that edge-mcnn allows: custom objects are refused, not run",
            fix="use Keras's own layers instead",
        )
