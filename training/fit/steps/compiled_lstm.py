"""An LSTM that is compiled for a training step, instead of Keras's loop.

Keras computes an LSTM with recurrent dropout position by position, with some forty operators each, the masks of its
dropouts among them: the 200 positions of a text take most of the time of a step. Here the products of the inputs are
computed for all positions at once, the masks are drawn once, and XLA compiles the rest of the loop. Weights, masks and
results are Keras's, down to the rounding of float32. Predictions do not come here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tf_keras

from device.system.streams.stderr import silenced_c_libraries
from training.fit.steps.seeded_dropout import StepNoise

_GATES = 4
"""Input gate, forget gate, cell, and output gate, in Keras's order."""


@contextmanager
def compiled_lstms(model: Any, noise: StepNoise) -> Iterator[None]:
    """Let the LSTMs of a Keras model be compiled inside the block, where a step is traced.

    An LSTM with other settings than those of the network `tutorial` is left to Keras, and so is one without recurrent
    dropout where there is a GPU, on which Keras uses that of cuDNN; and everything where TensorFlow has no XLA.
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, tf_keras.layers.LSTM) and _fits(layer)]
    if layers and not _xla_starts():
        layers = []
    for layer in layers:
        layer.call = _Call(layer, noise)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call  # of the instance: the method of the class remains


def _xla_starts() -> bool:
    """Start XLA, which not every build of TensorFlow has; return whether it compiles a function."""
    try:
        with silenced_c_libraries():  # it writes that it starts, whatever the level of TensorFlow's log
            tf.function(tf.identity, jit_compile=True, autograph=False)(0.0)
    except (tf.errors.OpError, ValueError):
        return False
    return True


def _fits(layer: Any) -> bool:
    """Whether `_Call` computes what the layer does."""
    settings = layer.get_config()
    expected = {
        "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "time_major": False,
        "return_sequences": False, "return_state": False, "go_backwards": False, "stateful": False, "unroll": False,
        # Whether the gates have masks of their own, which Keras decides by the recurrent dropout.
        "implementation": 1 if layer.recurrent_dropout else 2,
    }  # fmt: skip
    no_gpu = not tf.config.list_physical_devices("GPU")
    return all(settings[name] == value for name, value in expected.items()) and bool(layer.recurrent_dropout or no_gpu)


class _Call:
    """Replaces the method `call` of a layer; outside of a step it delegates to the original."""

    def __init__(self, layer: Any, noise: StepNoise) -> None:
        self._layer = layer
        self._original = layer.call
        self._noise = noise

    def __call__(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:
        if not self._noise.active or not training or mask is not None or initial_state is not None:
            return self._original(inputs, mask=mask, training=training, initial_state=initial_state)
        inputs, input_factors, state_factors = self._factors(inputs)
        cell = self._layer.cell
        weights = (tf.convert_to_tensor(each) for each in (cell.kernel, cell.recurrent_kernel, cell.bias))
        return _last_output(inputs, input_factors, state_factors, *weights)

    def _factors(self, inputs: Any) -> tuple[Any, Any, Any]:
        """Draw the masks in the order in which Keras does; return inputs, and the factors of inputs and states."""
        layer, noise = self._layer, self._noise
        rows, _, numbers = tf.unstack(tf.shape(inputs))
        rates = layer.dropout, layer.recurrent_dropout
        shapes = (rows, numbers), (rows, layer.units)
        if not layer.recurrent_dropout:
            # Keras draws a mask for each position, and as many again for the other gates, which it does not use.
            if layer.dropout:
                inputs *= self._mask(tf.shape(inputs), layer.dropout)
                noise.skip(_GATES - 1)
            return inputs, *(tf.ones((_GATES, *shape)) for shape in shapes)
        # Keras calls the cell once before the loop to learn the shape of its output.
        noise.skip(sum(_GATES for rate in rates if rate))
        factors = [
            tf.stack([self._mask(tf.stack(shape), rate) if rate else tf.ones(shape) for _ in range(_GATES)])
            for shape, rate in zip(shapes, rates, strict=True)
        ]
        return inputs, *factors

    def _mask(self, shape: Any, rate: float) -> Any:
        return tf.cast(self._noise.uniform(shape) >= rate, tf.float32) / (1 - rate)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _last_output(*arguments: Any) -> tuple[Any, Any]:
    """Return the output of an LSTM at the last position, shape (rows, units), and its gradient; see `_loop`."""
    return _compiled(*arguments), lambda by_output: _gradients(by_output, *arguments)


def _loop(inputs: Any, input_factors: Any, state_factors: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
    """Return the output of an LSTM at the last position, shape (rows, units).

    Args:
        inputs: shape (rows, positions, n).
        input_factors: shape (4, rows, n), the factors of the inputs for each gate.
        state_factors: shape (4, rows, units), those of the states.
        kernel: shape (n, 4 * units), the weights of the inputs.
        recurrent_kernel: shape (units, 4 * units), those of the states.
        bias: shape (4 * units,).
    """
    by_gate = tf.stack(tf.split(recurrent_kernel, _GATES, 1))
    of_inputs = tf.einsum(
        "bti,gbi,igh->tgbh", inputs, input_factors, tf.reshape(kernel, (kernel.shape[0], _GATES, -1))
    ) + tf.reshape(bias, (_GATES, 1, -1))

    def advance(position: Any, output: Any, cell: Any) -> tuple[Any, Any, Any]:
        gates = of_inputs[position] + tf.matmul(output * state_factors, by_gate)
        input_gate, forget_gate, candidate, output_gate = tf.unstack(gates)
        cell = tf.sigmoid(forget_gate) * cell + tf.sigmoid(input_gate) * tf.tanh(candidate)
        return position + 1, tf.sigmoid(output_gate) * tf.tanh(cell), cell

    positions = inputs.shape[1]
    zeros = tf.zeros_like(state_factors[0])
    _, output, _ = tf.while_loop(
        lambda position, _output, _cell: position < positions, advance, [0, zeros, zeros],
        maximum_iterations=positions,  # XLA reserves the memory of the gradient
    )  # fmt: skip
    return output


_compiled = tf.function(_loop, jit_compile=True, autograph=False)


@tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _gradients(by_output: Any, *arguments: Any) -> list[Any]:
    """Return the gradient by each argument of `_loop`, which is computed again: the first call stores nothing."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        output = _loop(*arguments)
    found: list[Any] = tape.gradient(output, arguments, output_gradients=by_output)
    return found
