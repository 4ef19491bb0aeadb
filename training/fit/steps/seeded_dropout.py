"""Dropout whose masks depend only on a seed, the step and the position of the row in the batch.

Keras draws its masks from counters deep inside TensorFlow, which cannot be set: a training that continues after a power
failure would draw others than an uninterrupted one, and two machines others than one. This module is independent of
epochs and machines.

An LSTM with recurrent dropout draws its masks inside its loop over the text. They are numbered when the loop is traced,
so all positions of a text have the same masks, as Keras documents; Keras itself draws others at each position.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


class StepNoise:
    """The random numbers of one step, active while `during` traces it.

    Args:
        batch_size: maximum number of rows of a batch, on all machines together.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._key: Any = None
        self._positions: Any = None
        self._draws = 0

    @contextmanager
    def during(self, key: Any, positions: Any) -> Iterator[None]:
        """Use the random numbers of this step and these rows inside the block.

        Args:
            key: shape (2,), int32; different for every step.
            positions: shape (rows,), int32; the position of each row in the complete batch.
        """
        self._key, self._positions, self._draws = key, positions, 0
        try:
            yield
        finally:
            self._key = self._positions = None

    @property
    def active(self) -> bool:
        """Whether a step is being traced inside `during`."""
        return self._key is not None

    def uniform(self, shape: Any) -> Any:
        """Return uniform numbers from 0 to 1 in a shape whose first axis is that of the rows."""
        return self._drawn(tf.random.stateless_uniform, shape)

    def normal(self, shape: Any) -> Any:
        """Return normal numbers of mean 0 and deviation 1 in a shape whose first axis is that of the rows."""
        return self._drawn(tf.random.stateless_normal, shape)

    def skip(self, draws: int) -> None:
        """Leave out the numbers of so many draws."""
        self._draws += draws

    def _drawn(self, draw: Any, shape: Any) -> Any:
        # Drawn for the complete batch, from which each machine uses its rows.
        self._draws += 1
        seed = tf.random.experimental.stateless_fold_in(self._key, self._draws)
        shape = shape if tf.is_tensor(shape) else tf.stack(list(shape))
        batch = draw(tf.concat([[self._batch_size], shape[1:]], 0), seed)
        return tf.gather(batch, self._positions)


class _Generator:
    """Replaces the `RandomGenerator` of a layer; outside of a step it delegates to the original."""

    def __init__(self, original: Any, noise: StepNoise) -> None:
        self._original = original
        self._noise = noise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def dropout(self, inputs: Any, rate: float, noise_shape: Sequence[Any] | None = None) -> Any:
        if not self._noise.active:
            return self._original.dropout(inputs, rate, noise_shape)
        retained = self._noise.uniform(tf.shape(inputs) if noise_shape is None else noise_shape) >= rate
        return inputs * tf.cast(retained, inputs.dtype) / (1 - rate)

    def random_uniform(self, shape: Any, minval: float = 0.0, maxval: float | None = None, **options: Any) -> Any:
        if not self._noise.active:
            return self._original.random_uniform(shape, minval, maxval, **options)
        return minval + ((1.0 if maxval is None else maxval) - minval) * self._noise.uniform(shape)

    def random_normal(self, shape: Any, mean: float = 0.0, stddev: float = 1.0, **options: Any) -> Any:
        if not self._noise.active:
            return self._original.random_normal(shape, mean, stddev, **options)
        return mean + stddev * self._noise.normal(shape)


@contextmanager
def seeded(model: Any, batch_size: int) -> Iterator[StepNoise]:
    """Let all layers of a Keras model draw from a `StepNoise` inside the block."""
    noise = StepNoise(batch_size)
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "_random_generator")]
    originals = [layer._random_generator for layer in layers]
    for layer, generator in zip(layers, originals, strict=True):
        layer._random_generator = _Generator(generator, noise)
    try:
        yield noise
    finally:
        for layer, generator in zip(layers, originals, strict=True):
            layer._random_generator = generator
