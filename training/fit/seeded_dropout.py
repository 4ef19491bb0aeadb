"""Dropout whose every mask follows from a seed, the step and the row's place in the batch, and from nothing else.

Keras draws its masks from counters deep inside TensorFlow, which cannot be set: a training that goes on after a power
cut would draw others than the one that was never stopped, and two machines others than one. This module knows Keras
layers; it knows neither epochs nor machines.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


class StepNoise:
    """The randomness of one step, while `during` it is traced.

    Args:
        batch_size: most rows that a batch has, on all machines together.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._key: Any = None
        self._places: Any = None
        self._draws = 0

    @contextmanager
    def during(self, key: Any, places: Any) -> Iterator[None]:
        """Draw what is drawn inside for this step and these rows.

        Args:
            key: shape (2,), int32; another one for every step.
            places: shape (rows,), int32; the place of each row in the whole batch.
        """
        self._key, self._places, self._draws = key, places, 0
        try:
            yield
        finally:
            self._key = self._places = None

    @property
    def active(self) -> bool:
        """Inside of `during`."""
        return self._key is not None

    def uniform(self, shape: Any) -> Any:
        """Numbers from 0 to 1 in the given shape, whose first axis is that of the rows."""
        return self._drawn(tf.random.stateless_uniform, shape)

    def normal(self, shape: Any) -> Any:
        """Numbers of mean 0 and deviation 1 in the given shape, whose first axis is that of the rows."""
        return self._drawn(tf.random.stateless_normal, shape)

    def _drawn(self, draw: Any, shape: Any) -> Any:
        # For the whole batch, of which each machine takes its rows.
        self._draws += 1
        seed = tf.random.experimental.stateless_fold_in(self._key, self._draws)
        shape = shape if tf.is_tensor(shape) else tf.stack(list(shape))
        whole = draw(tf.concat([[self._batch_size], shape[1:]], 0), seed)
        return tf.gather(whole, self._places)


class _Generator:
    """Stands in for the `RandomGenerator` of a layer; outside of a step the layer's own answers."""

    def __init__(self, own: Any, noise: StepNoise) -> None:
        self._own = own
        self._noise = noise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def dropout(self, inputs: Any, rate: float, noise_shape: Sequence[Any] | None = None) -> Any:
        if not self._noise.active:
            return self._own.dropout(inputs, rate, noise_shape)
        stays = self._noise.uniform(tf.shape(inputs) if noise_shape is None else noise_shape) >= rate
        return inputs * tf.cast(stays, inputs.dtype) / (1 - rate)

    def random_uniform(self, shape: Any, minval: float = 0.0, maxval: float | None = None, **options: Any) -> Any:
        if not self._noise.active:
            return self._own.random_uniform(shape, minval, maxval, **options)
        return minval + ((1.0 if maxval is None else maxval) - minval) * self._noise.uniform(shape)

    def random_normal(self, shape: Any, mean: float = 0.0, stddev: float = 1.0, **options: Any) -> Any:
        if not self._noise.active:
            return self._own.random_normal(shape, mean, stddev, **options)
        return mean + stddev * self._noise.normal(shape)


@contextmanager
def seeded(model: Any, batch_size: int) -> Iterator[StepNoise]:
    """Let all layers of a Keras model draw from a `StepNoise`, until the block is left."""
    noise = StepNoise(batch_size)
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "_random_generator")]
    own = [layer._random_generator for layer in layers]
    for layer, generator in zip(layers, own, strict=True):
        layer._random_generator = _Generator(generator, noise)
    try:
        yield noise
    finally:
        for layer, generator in zip(layers, own, strict=True):
            layer._random_generator = generator
