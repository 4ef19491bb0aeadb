"""Rebuilds the trained network `evidence` from a bundle whose `Model.h5` is not at hand, as that of the shipped model.

A bundle stores constants without the names of their layers, so each is found by the operators that read it. Constants
of 8 or 16 bits become float32. The result is compared with the bundle itself.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tflite_model.flatbuffer import FlatbufferModel, read_flatbuffer
from convert.tflite_model.operators import Operator
from convert.verify.runner import predict
from device.bundle import Bundle, Companions
from device.errors import EdgeMcnnError, TrainingError
from device.front_end.parameters import FrontEnd
from training.images.spectrogram import compute_image
from training.networks.evidence_audio import STANDARDISE_EPSILON
from training.networks.network import (
    AUDIO_HIDDEN,
    AUDIO_KINDS,
    AUDIO_PART,
    IDS_INPUT,
    IMAGE_INPUT,
    AudioShape,
    Network,
    evidence_network,
    set_joint_factors,
)

TOLERANCE = 0.05
"""Largest difference of a probability between the rebuilt network and the bundle. TFLite rounds the inputs of layers
with 8-bit weights to 8 bits, too, which changes a probability of the shipped model by 0.003."""
_SMALLEST_SCALE = 1e-6
"""A smaller factor of a standardised statistic is stored as this one, so that its mean is finite."""
_SAMPLES = 12
_SECONDS = 2.0
"""Length of the audio of each sample on which the two are compared."""
_WORDS = (0, 1, 3, 8)
"""Numbers of words of the samples."""

Floats = NDArray[np.float32]


class _Other(Exception):  # noqa: N818  # not an error: it ends the search
    """The bundle is not of the network `evidence`."""


def rebuild(bundle: Bundle, name: str) -> Network:
    """Build the network of a bundle in Keras.

    Args:
        bundle: any bundle.
        name: its name, for messages.

    Raises:
        TrainingError: the bundle is not of the network `evidence`, is damaged, or was converted in another mode than
            the default: those merge the standardisation of the statistics with the layer after it.
    """
    other = TrainingError(
        f"{name}: not a model of the network 'evidence' that was converted in the mode dynamic, so its network cannot "
        "be rebuilt from the bundle",
        fix="give the Model.h5 that it was converted from",
    )
    companions = bundle.companions
    try:
        constants = _Constants(bundle.model[: bundle.flatbuffer_size])
        embedding, patterns, words_logits = constants.words()
        network, audio_weights = constants.audio(companions)
        full = network.full
        audio = full.get_layer(AUDIO_PART)
        full.get_layer("words_embedding").set_weights([embedding])
        for width, kernel in patterns.items():
            full.get_layer(f"words_patterns_{width}").set_weights([kernel])
        full.get_layer("words_logits").set_weights([words_logits])
        for layer, weights in audio_weights.items():
            audio.get_layer(layer).set_weights(weights)
        set_joint_factors(full, *constants.factors())
    except (_Other, ValueError, EdgeMcnnError):
        raise other from None
    difference = _largest_difference(network.full, constants.interpreter, companions.front_end)
    if difference > TOLERANCE:
        raise TrainingError(
            f"{name}: its network cannot be rebuilt exactly: a probability differs by {difference:.2f}",
            fix="give the Model.h5 that it was converted from",
        )
    return network


def _standardisation(scale: Floats, offset: Floats) -> list[Floats]:
    """Return weights of a batch normalisation that multiplies by `scale` and adds `offset`.

    A bundle does not store which mean and variance these come from. Gamma is 1, as it nearly is after training, so that
    a training that measures mean and variance of other audio again leaves standardised statistics standardised.
    """
    scale = np.where(np.abs(scale) < _SMALLEST_SCALE, _SMALLEST_SCALE, scale.astype(np.float64))
    variance = np.maximum(1 / np.square(scale) - STANDARDISE_EPSILON, 0)
    gamma = scale * np.sqrt(variance + STANDARDISE_EPSILON)
    return [np.asarray(each, np.float32) for each in (gamma, np.zeros(len(scale)), -offset / scale, variance)]


@dataclass(frozen=True)
class _Found:
    """An operator, and its constant inputs by their position."""

    operator: Operator
    constants: dict[int, Floats]


@dataclass(frozen=True)
class _Dense:
    """A dense layer."""

    kernel: Floats
    """Shape (inputs, outputs)."""
    bias: Floats | None
    """Shape (outputs,), if it has one."""
    output: int
    """Number of the tensor that it computes."""


class _Constants:
    """The constants of a flatbuffer that floating-point or integer weights were stored in, by their use."""

    def __init__(self, flatbuffer: bytes) -> None:
        import tensorflow as tf

        self._model: FlatbufferModel = read_flatbuffer(flatbuffer)
        if self._model.subgraphs != 1:
            raise _Other
        # Without XNNPACK, which writes a line to the terminal.
        plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        with warnings.catch_warnings():  # TF 2.20 and later recommend another package, which has the same interpreter
            warnings.filterwarnings(
                "ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated", category=UserWarning
            )
            self.interpreter = tf.lite.Interpreter(model_content=flatbuffer, experimental_op_resolver_type=plain)
        self.interpreter.allocate_tensors()
        self._details = {each["index"]: each for each in self.interpreter.get_tensor_details()}
        self._made_by = {output: operator for operator in self._model.operators for output in operator.outputs}
        self._words_output = -1

    def words(self) -> tuple[Floats, dict[int, Floats], Floats]:
        """Return the weights of the embedding, the patterns by their number of words, and the logits of the words."""
        (table,) = {id(found.operator): found for found in self._find("GATHER", lambda shape: len(shape) == 2)}.values()
        embedding = next(iter(table.constants.values()))
        width = embedding.shape[1]
        patterns = {}
        for found in self._find("CONV_2D", lambda shape: len(shape) == 4 and shape[1] == 1 and shape[3] == width):
            kernel = found.constants[1][:, 0]
            patterns[kernel.shape[1]] = np.ascontiguousarray(kernel.transpose(1, 2, 0))
        matches = sum(kernel.shape[2] for kernel in patterns.values())
        (logits,) = self._dense(lambda _outputs, inputs: inputs == matches)
        self._words_output = logits.output
        return embedding, patterns, logits.kernel

    def audio(self, companions: Companions) -> tuple[Network, dict[str, list[Floats]]]:
        """Return a network with the same audio branch, and the weights of the layers of that branch."""
        classes = len(companions.labels)
        for products in (False, True):
            network = evidence_network(
                classes, len(companions.vocabulary), companions.front_end, AudioShape(products=products)
            )
            length = int(network.trunk.output_shape[-1])
            if scales := list(self._find("MUL", partial(eq, (length,)))):
                break
        (scale,) = scales
        (offset,) = self._find("ADD", lambda shape: shape == (length,))
        (factors,), (summands,) = scale.constants.values(), offset.constants.values()
        read_statistics = list(self._dense(lambda outputs, inputs: inputs == length and outputs > 1))  # not the gate
        ((hidden, logits),) = [
            (first, second)
            for first in read_statistics
            for second in self._dense(lambda *sizes, units=first.kernel.shape[1]: sizes == (classes, units))
            if second.output != self._words_output
        ]
        kinds = [layer for layer in read_statistics if layer is not hidden]
        units = hidden.kernel.shape[1]
        weights = {
            "audio_standardise": _standardisation(factors, summands),
            AUDIO_HIDDEN: [hidden.kernel, _required(hidden.bias)],
            "audio_logits": [logits.kernel, _required(logits.bias)],
        }
        number = 0
        if kinds:
            (discriminants,) = kinds
            weights[AUDIO_KINDS] = [discriminants.kernel, _required(discriminants.bias)]
            number = discriminants.kernel.shape[1] // classes
        shape = AudioShape(units, number, products)
        if shape != AudioShape(products=products):
            network = evidence_network(classes, len(companions.vocabulary), companions.front_end, shape)
        return network, weights

    def factors(self) -> tuple[float, float]:
        """Return the factors of the evidence of text and of audio where there are both."""
        text = audio = None
        for layer in self._dense(lambda *sizes: sizes == (1, 1)):
            factor = float(layer.kernel[0, 0] + _required(layer.bias)[0])
            (product,) = self._readers(layer.output)
            if self._words_output in product.inputs:
                text = factor
            else:
                audio = factor
        if text is None or audio is None:
            raise _Other
        return text, audio

    def _dense(self, fits: Callable[[int, int], bool]) -> Iterator[_Dense]:
        """Yield the dense layers whose numbers of outputs and inputs fit."""
        for found in (*self._find("FULLY_CONNECTED", _is_kernel), *self._find("MUL", _is_kernel)):
            kernel = next(each for each in found.constants.values() if _is_kernel(each.shape))
            if not fits(*kernel.shape):
                continue
            transposed, output = np.ascontiguousarray(kernel.T), found.operator.outputs[0]
            if found.operator.name == "FULLY_CONNECTED":
                yield _Dense(transposed, found.constants.get(2), output)
                continue
            # `convert.quantise.prepare` multiplies and sums in floating point instead.
            (total,) = [each for each in self._readers(output) if each.name == "SUM"]
            output, bias = total.outputs[0], None
            for reader in self._readers(output):
                if reader.name == "ADD" and (summands := self._found(reader).constants):
                    output, (bias,) = reader.outputs[0], summands.values()
            yield _Dense(transposed, bias, output)

    def _find(self, name: str, fits: Callable[[tuple[int, ...]], bool]) -> Iterator[_Found]:
        """Yield the operators of a name one of whose constants, the bias of a layer excepted, has a fitting shape."""
        for operator in self._model.operators:
            if operator.name == name:
                found = self._found(operator)
                if any(fits(each.shape) for position, each in found.constants.items() if position < 2):
                    yield found

    def _readers(self, tensor: int) -> list[Operator]:
        return [each for each in self._model.operators if tensor in each.inputs]

    def _found(self, operator: Operator) -> _Found:
        values = ((position, self._constant(index)) for position, index in enumerate(operator.inputs))
        return _Found(operator, {position: value for position, value in values if value is not None})

    def _constant(self, index: int) -> Floats | None:
        """Return a constant of real numbers as float32; None for any other tensor."""
        while index in self._made_by and self._made_by[index].name == "DEQUANTIZE":
            index = self._made_by[index].inputs[0]
        if index < 0 or not self._model.tensors[index].bytes:
            return None
        values = self.interpreter.get_tensor(index)
        quantisation = self._details[index]["quantization_parameters"]
        scales, zeros = quantisation["scales"], quantisation["zero_points"]
        if len(scales):
            shape = [1] * values.ndim
            if len(scales) > 1:
                shape[quantisation["quantized_dimension"]] = -1
            values = (values.astype(np.float32) - zeros.reshape(shape)) * scales.reshape(shape)
        elif values.dtype not in (np.float32, np.float16):
            return None
        return np.asarray(values, np.float32)


def _is_kernel(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2


def _required(bias: Floats | None) -> Floats:
    if bias is None:
        raise _Other
    return bias


def _largest_difference(full: Any, interpreter: Any, front_end: FrontEnd) -> float:
    """Return the largest difference of a probability between a network and its bundle, on noise and random words."""
    random = np.random.default_rng(1)
    seconds = np.arange(round(_SECONDS * front_end.sample_rate)) / front_end.sample_rate
    images, ids = [], np.zeros((_SAMPLES, front_end.sequence_length), np.int32)
    for row in range(_SAMPLES):
        loudness = np.square(np.sin(np.pi * random.uniform(0.5, 4) * seconds)) * (row % 3 > 0)  # a third is silent
        noise = random.standard_normal(len(seconds)) * 0.1 * loudness
        images.append(compute_image(np.asarray(noise, np.float32), front_end))
        words = min(_WORDS[row % len(_WORDS)], front_end.sequence_length)
        largest = full.get_layer("words_embedding").input_dim
        ids[row, front_end.sequence_length - words :] = random.integers(1, largest, words)
    stacked = np.stack(images)
    expected = full.predict_on_batch({IMAGE_INPUT: stacked, IDS_INPUT: ids})
    return float(np.abs(predict(interpreter, stacked, ids) - expected).max())
