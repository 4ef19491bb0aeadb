"""The classes that a Keras configuration may name: Keras's own layers and their settings. Anything else may be code.

A configuration names classes and modules, which Keras imports and calls while it builds the network. Denylists of
harmful names have repeatedly been circumvented, so this is an allowlist.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from convert.source.augmentation import AUGMENTATION
from convert.source.refused_layers import OPERATIONS, REFUSED
from device.errors import ConversionError
from device.system.display import displayable

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
    Resizing CenterCrop
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
_ALLOWED = frozenset(f"{_MODELS} {_LAYERS} {_SETTINGS}".split()) | AUGMENTATION
OPERATIONS_MODULE = "keras.src.ops.numpy"
MASK_OPERATIONS = frozenset(("NotEqual", "Any", "ExpandDims", "ZerosLike", "LogicalOr", "LogicalAnd"))
"""Operations with which Keras 3 computes masks; they are built, so that its weights can be loaded, but not converted.
Keras 3 stores them without their module in a `.h5`."""
_LIKE_A_LAYER = frozenset(("Concatenate",))
"""An operation for masks that has the name of a layer, so that only its module distinguishes the two."""
_CUSTOM_FIX = "build the network from Keras's own layers only, copy the weights into it, and save it with model.save"


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


def is_operation(part: Mapping[str, Any]) -> bool:
    """Whether a part of a Keras 3 configuration is an operation on tensors instead of a layer."""
    module = part.get("module")
    return str(module).startswith("keras.src.ops.") or (module is None and part["class_name"] in MASK_OPERATIONS)


def operation_refusal(name: object, kind: str) -> ConversionError:
    """The error about an operation on tensors in a network.

    Args:
        name: its name in the network.
        kind: its class.
    """
    return ConversionError(
        f"{displayable(name)[:_LONGEST_NAME]!r} is an operation on tensors ({displayable(kind)}), not a layer, which "
        "edge-mcnn does not convert",
        fix="use a layer such as Add, Multiply, Concatenate, Reshape, Rescaling or Normalization instead",
    )


def _refuse_code(part: Mapping[str, Any]) -> None:
    kind, settings = part["class_name"], part.get("config")
    name = settings.get("name", kind) if isinstance(settings, dict) else kind
    if not isinstance(kind, str) or not kind.isprintable() or len(kind) > _LONGEST_NAME:
        raise ConversionError(
            f"a class_name in it is {repr(kind)[:_LONGEST_NAME]}, not a name", fix="save the model again"
        )
    shown = repr(displayable(name)[:_LONGEST_NAME])
    module = part.get("module")
    if is_operation(part) or kind in OPERATIONS:
        if kind in MASK_OPERATIONS | _LIKE_A_LAYER and module in (None, OPERATIONS_MODULE):
            return
        raise operation_refusal(name, kind)
    if module is not None and not any(str(module) == own or str(module).startswith(f"{own}.") for own in _MODULES):
        source = repr(displayable(module)[:_LONGEST_NAME])
        raise ConversionError(
            f"{shown} ({displayable(kind)}) comes from the Python module {source}, which edge-mcnn does not import",
            fix=_CUSTOM_FIX,
        )
    if kind in _ALLOWED:
        return
    refusal = REFUSED.get(kind)
    if refusal is not None:
        raise ConversionError(f"layer {shown} is a {kind}: {refusal.reason}", fix=refusal.fix)
    raise ConversionError(
        f"{shown} is a {displayable(kind)}, which is not a layer that edge-mcnn allows: custom objects are refused, "
        "not run",
        fix=_CUSTOM_FIX,
    )
