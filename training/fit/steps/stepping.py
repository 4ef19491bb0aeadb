"""One step of Adam on one batch, whether this machine processes all of its rows or shares them with others.

The gradient is that of the mean over the complete batch, so the number of machines changes nothing but the time. This
module is independent of epochs and files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from training.fit.batches import ExampleBatches
from training.fit.steps.compiled_lstm import compiled_lstms
from training.fit.steps.seeded_dropout import StepNoise, seeded
from training.fit.workers import Workers
from training.networks.network import IDS_INPUT, TRUNK_INPUT


class Stepper:
    """Trains a head, one batch at a time; made by `stepping`."""

    def __init__(
        self, head: Any, learning_rate: float, class_weights: NDArray[np.float32], workers: Workers, noise: StepNoise
    ) -> None:
        self._workers = workers
        self._class_weights = class_weights
        self._noise = noise
        self._model = head
        with workers.strategy.scope():
            self._optimiser = tf_keras.optimizers.Adam(learning_rate)
            self._optimiser.build(self._model.trainable_variables)
        self._run: Any = None

    def variables(self) -> list[NDArray[Any]]:
        """Return the head's weights, followed by the optimiser's variables."""
        return [*self._model.get_weights(), *(variable.numpy() for variable in self._optimiser.variables)]

    @property
    def weights(self) -> int:
        """Number of `variables` that are weights."""
        return len(self._model.weights)

    def assign(self, values: list[NDArray[Any]]) -> None:
        """Set all `variables` to these values."""
        self._model.set_weights(values[: self.weights])
        for variable, value in zip(self._optimiser.variables, values[self.weights :], strict=True):
            variable.assign(value)

    def step(self, batches: ExampleBatches, number: int, key: NDArray[np.int32], *, stop: bool) -> NDArray[np.float32]:
        """Train on a batch.

        Args:
            batches: the batches, the same on every worker.
            number: number of the batch.
            key: shape (2,), int32; the key of the step's random numbers.
            stop: whether this worker requests to stop.

        Returns:
            Shape (3,): sum of the loss over the batch, number of correct rows, number of workers that request to stop.
        """
        inputs, labels = batches[number]
        rows = len(labels)
        positions = np.arange(rows, dtype=np.int32)[self._workers.index :: self._workers.count]
        counts = np.ones(len(positions), np.float32)
        if not len(positions):  # fewer rows than workers: process one row with weight 0
            positions, counts = np.zeros(1, np.int32), np.zeros(1, np.float32)
        arguments = (
            inputs[TRUNK_INPUT][positions],
            inputs[IDS_INPUT][positions],
            labels[positions],
            self._class_weights[labels[positions]] * counts,
            counts,
            positions,
            key,
            np.float32(rows),
            np.float32(stop),
        )
        if self._run is None:
            # Traced once for any number of rows: each tracing takes seconds.
            shapes = [(None, *each.shape[1:]) for each in arguments[:6]] + [each.shape for each in arguments[6:]]
            signature = [tf.TensorSpec(shape, each.dtype) for shape, each in zip(shapes, arguments, strict=True)]
            # AutoGraph, which this needs not, writes temporary files and prints a warning if the disk is full.
            self._run = tf.function(self._on_all, input_signature=signature, autograph=False)
        result: NDArray[np.float32] = self._run(*arguments).numpy()
        return result

    def _on_all(self, *arguments: Any) -> Any:
        sums = self._workers.strategy.run(self._on_one, arguments)
        return self._workers.strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

    def _on_one(
        self,
        features: Any,
        ids: Any,
        labels: Any,
        weights: Any,
        counts: Any,
        positions: Any,
        key: Any,
        rows: Any,
        stop: Any,
    ) -> Any:
        with self._noise.during(key, positions), tf.GradientTape() as tape:
            probabilities = self._model({TRUNK_INPUT: features, IDS_INPUT: ids}, training=True)
            losses = tf_keras.losses.sparse_categorical_crossentropy(labels, probabilities)
            total = tf.reduce_sum(losses * weights)
            objective = total / rows
            if self._model.losses:  # regularisation: each worker's share of it
                objective += tf.add_n(self._model.losses) / self._workers.count
        trained = self._model.trainable_variables
        # Dense, also those of the embedding: sparse rows of different words cannot be summed across workers.
        gradients = [tf.convert_to_tensor(each) for each in tape.gradient(objective, trained)]
        self._optimiser.apply_gradients(zip(gradients, trained, strict=True))
        correct = tf.reduce_sum(counts * tf.cast(tf.equal(tf.argmax(probabilities, 1), labels), tf.float32))
        return tf.stack([total, correct, stop])


@contextmanager
def stepping(
    head: Any, learning_rate: float, class_weights: NDArray[np.float32], batch_size: int, workers: Workers
) -> Iterator[Stepper]:
    """Prepare to train a head.

    Args:
        head: the head of a `Network`. With several workers a copy of it is trained, which TensorFlow synchronises
            between them, and the trunk and the saved network stay local to this machine.
        learning_rate: step size of Adam.
        class_weights: shape (labels,), factor of the loss of each class.
        batch_size: maximum number of rows of a batch.
        workers: the machines that train together.
    """
    if workers.count > 1:
        with workers.strategy.scope():
            copy = tf_keras.models.clone_model(head)
        copy.set_weights(head.get_weights())
        head = copy
    with seeded(head, batch_size) as noise, compiled_lstms(head, noise):
        yield Stepper(head, learning_rate, class_weights, workers, noise)
