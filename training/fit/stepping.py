"""One step of Adam on one batch, whether this machine takes all of its rows or shares them with others.

The gradient is that of the mean over the whole batch, so the number of machines changes nothing but the time. This
module knows neither epochs nor files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from training.fit.batches import TwoInputBatches
from training.fit.seeded_dropout import StepNoise, seeded
from training.fit.workers import Workers
from training.networks.network import IDS_INPUT, TRUNK_INPUT


class Stepper:
    """Trains a head, a batch at a time; made by `stepping`."""

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
        """The head's weights and then the optimiser's variables."""
        return [*self._model.get_weights(), *(variable.numpy() for variable in self._optimiser.variables)]

    @property
    def weights(self) -> int:
        """How many of the `variables` are weights."""
        return len(self._model.weights)

    def assign(self, values: list[NDArray[Any]]) -> None:
        """Set all `variables`."""
        self._model.set_weights(values[: self.weights])
        for variable, value in zip(self._optimiser.variables, values[self.weights :], strict=True):
            variable.assign(value)

    def step(self, batches: TwoInputBatches, number: int, key: NDArray[np.int32], *, stop: bool) -> NDArray[np.float32]:
        """Train on a batch.

        Args:
            batches: the same ones on every worker.
            number: which of them.
            key: shape (2,); the step's randomness.
            stop: this worker asks to stop.

        Returns:
            Sum over the batch of the loss, rows that were right, and how many workers ask to stop.
        """
        inputs, labels = batches[number]
        rows = len(labels)
        places = np.arange(rows, dtype=np.int32)[self._workers.index :: self._workers.count]
        counts = np.ones(len(places), np.float32)
        if not len(places):  # fewer rows than workers: look at one, and count it as none
            places, counts = np.zeros(1, np.int32), np.zeros(1, np.float32)
        given = (
            inputs[TRUNK_INPUT][places],
            inputs[IDS_INPUT][places],
            labels[places],
            self._class_weights[labels[places]] * counts,
            counts,
            places,
            key,
            np.float32(rows),
            np.float32(stop),
        )
        if self._run is None:
            # Traced once for any number of rows: each tracing takes seconds.
            shapes = [(None, *each.shape[1:]) for each in given[:6]] + [each.shape for each in given[6:]]
            signature = [tf.TensorSpec(shape, each.dtype) for shape, each in zip(shapes, given, strict=True)]
            self._run = tf.function(self._on_all, input_signature=signature)
        result: NDArray[np.float32] = self._run(*given).numpy()
        return result

    def _on_all(self, *given: Any) -> Any:
        figures = self._workers.strategy.run(self._on_one, given)
        return self._workers.strategy.reduce(tf.distribute.ReduceOp.SUM, figures, axis=None)

    def _on_one(
        self,
        features: Any,
        ids: Any,
        labels: Any,
        weights: Any,
        counts: Any,
        places: Any,
        key: Any,
        rows: Any,
        stop: Any,
    ) -> Any:
        with self._noise.during(key, places), tf.GradientTape() as tape:
            answers = self._model({TRUNK_INPUT: features, IDS_INPUT: ids}, training=True)
            losses = tf_keras.losses.sparse_categorical_crossentropy(labels, answers)
            total = tf.reduce_sum(losses * weights)
            objective = total / rows
            if self._model.losses:  # regularisation: each worker's share of it
                objective += tf.add_n(self._model.losses) / self._workers.count
        trained = self._model.trainable_variables
        # Dense, those of the embedding too: rows of different words cannot be added up across workers as they are.
        gradients = [tf.convert_to_tensor(each) for each in tape.gradient(objective, trained)]
        self._optimiser.apply_gradients(zip(gradients, trained, strict=True))
        right = tf.reduce_sum(counts * tf.cast(tf.equal(tf.argmax(answers, 1), labels), tf.float32))
        return tf.stack([total, right, stop])


@contextmanager
def stepping(
    head: Any, learning_rate: float, class_weights: NDArray[np.float32], batch_size: int, workers: Workers
) -> Iterator[Stepper]:
    """Prepare to train a head.

    Args:
        head: of a `Network`. Where there are several workers a copy of it is trained, which TensorFlow keeps in step
            across them, and the trunk and the saved network stay this machine's own.
        learning_rate: of Adam.
        class_weights: shape (labels,).
        batch_size: rows of a whole batch.
        workers: who trains.
    """
    if workers.count > 1:
        with workers.strategy.scope():
            copy = tf_keras.models.clone_model(head)
        copy.set_weights(head.get_weights())
        head = copy
    with seeded(head, batch_size) as noise:
        yield Stepper(head, learning_rate, class_weights, workers, noise)
