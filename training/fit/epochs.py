"""The epochs: trains a network's head, prints metrics, stops early if necessary, and saves checkpoints.

An epoch depends only on the seed, its number and the state before it. So a training that continues from a checkpoint
ends with the same weights as an uninterrupted one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console

from device.system.signals import Interruption, interruptible
from training.evaluation.predictors import predict_keras
from training.evaluation.scores import Scores
from training.fit.batches import ExampleBatches
from training.fit.checkpoints import Checkpoint, TrainingState
from training.fit.progress.epoch_table import EpochTable
from training.fit.progress.event_log import EventLog
from training.fit.settings import TrainingSettings
from training.fit.steps.stepping import Stepper, stepping
from training.fit.workers import Workers, worker_lost
from training.images.examples import Examples
from training.networks.network import IDS_INPUT, TRUNK_INPUT


@dataclass(frozen=True)
class Fitted:
    """The course of the epochs; the weights are in the head."""

    history: tuple[Mapping[str, Any], ...]
    """Metrics of each epoch; an epoch that Ctrl-C interrupted has `complete: False`."""
    epoch: int
    """The epoch whose weights are in the head, counted from 1."""
    interrupted: bool
    """Whether Ctrl-C ended the training before the last epoch."""
    out_of_patience: bool
    """Whether it ended because the validation loss did not improve any more."""


def describe_steps(train_rows: int, validation_rows: int, batch_size: int) -> list[str]:
    """Return a line on the steps per epoch and one on the validation steps, and how the tutorial computes them.

    The tutorial computes floor(rows / batch), which leaves out the rows of a last, smaller batch; here they are used.

    Args:
        train_rows: number of rows to train on.
        validation_rows: number of rows to validate on.
        batch_size: rows per step.
    """
    return [
        _describe_steps(name, rows, batch_size)
        for name, rows in (("steps per epoch", train_rows), ("validation steps", validation_rows))
    ]


def _describe_steps(name: str, rows: int, batch_size: int) -> str:
    complete, rest = divmod(rows, batch_size)
    if not rest:
        return f"{name}: {complete}, as in the tutorial ({rows} / {batch_size})"
    rest_counts = "its 1 row counts" if rest == 1 else f"its {rest} rows count"
    return (
        f"{name}: {complete + 1}; the tutorial computes floor({rows} / {batch_size}) = {complete}, without the last, "
        f"smaller batch; here {rest_counts} as well"
    )


def head_probabilities(head: Any, rows: Examples) -> NDArray[np.float32]:
    """Return the head's probabilities, shape (rows, labels); `rows.images` holds the trunk's features."""
    return predict_keras(head, TRUNK_INPUT, IDS_INPUT, rows)


def fit(
    head: Any,
    training: Examples,
    validation: Examples,
    settings: TrainingSettings,
    workers: Workers,
    checkpoint: Checkpoint,
    made_by: Mapping[str, Any],
    console: Console,
    log: EventLog | None = None,
) -> Fitted:
    """Train the head.

    Args:
        head: the head of a `Network`; it has the initial weights, and in the end the trained ones.
        training: train rows with the trunk's features.
        validation: validation rows with the trunk's features, evaluated after each epoch.
        settings: epochs, batch size, learning rate, patience, seed, class weights, and whether to resume.
        workers: the machines that train together; every one of them has the same rows.
        checkpoint: file of the state after each epoch.
        made_by: everything that the state depends on, see `Checkpoint.save`.
        console: console for progress and metrics.
        log: the log for TensorBoard, if there is one; only the chief writes it.

    Raises:
        TrainingError: the checkpoint cannot be written or belongs to something else, or a worker was lost.
    """
    state = checkpoint.load(made_by) if settings.resume and workers.chief else None
    weights = class_weights(training.labels) if settings.balanced else np.ones(1 + training.labels.max(), np.float32)

    def save(state: TrainingState) -> None:
        if workers.chief:
            checkpoint.save(state, made_by)
            if log is not None:
                log.add(state.epochs, state.history[-1])

    if log is not None and workers.chief:
        log.begin(head, settings.step_size, () if state is None else state.history)
    try:
        with (
            stepping(head, settings.step_size, weights, settings.batch_size, workers) as stepper,
            interruptible(console) as interruption,
            EpochTable(console, settings.epochs) as table,
        ):
            return _Epochs(head, stepper, training, validation, settings, workers, table, interruption).run(state, save)
    except tf.errors.OpError as error:
        if workers.count == 1:
            raise
        raise worker_lost(error) from None
    finally:
        if log is not None:
            log.end()


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the inverse of each class's share, shape (classes,), scaled so that the mean over the rows is 1."""
    counts = np.bincount(labels)
    return np.asarray(len(labels) / (len(counts) * counts), np.float32)


class _Epochs:
    def __init__(
        self,
        head: Any,
        stepper: Stepper,
        training: Examples,
        validation: Examples,
        settings: TrainingSettings,
        workers: Workers,
        table: EpochTable,
        interruption: Interruption,
    ) -> None:
        self._head = head
        self._stepper = stepper
        self._batches = ExampleBatches(training, TRUNK_INPUT, settings.batch_size, settings.seed)
        self._rows = len(training)
        self._validation = validation
        self._settings = settings
        self._workers = workers
        self._table = table
        self._interruption = interruption

    def run(self, state: TrainingState | None, save: Callable[[TrainingState], None]) -> Fitted:
        state = self._begin(state)
        stopped = False
        while not stopped and not self._is_finished(state):
            epochs = state.epochs
            state, stopped = self._epoch(state)
            if state.epochs > epochs:
                save(state)
        interrupted = stopped and not self._is_finished(state)
        out_of_patience = not interrupted and state.epochs < self._settings.epochs
        if self._settings.patience is None:
            self._head.set_weights(list(state.weights))
            return Fitted(state.history, len(state.history), interrupted, out_of_patience)
        self._head.set_weights(list(state.best_weights))
        return Fitted(state.history, state.best_epoch, interrupted, out_of_patience)

    def _begin(self, state: TrainingState | None) -> TrainingState:
        """Set the initial state, the chief's on all workers, in the network, and return it."""
        if state is not None:
            self._stepper.assign([*state.weights, *state.optimiser])
            self._table.continued(state.history, state.best_epoch)
        variables = self._stepper.variables()
        own = state or TrainingState(0, (), (), 0, np.inf, tuple(variables[: self._stepper.weights]), ())
        scalars = np.array([own.epochs, own.best_epoch, own.best_loss])
        scalars, *rest = self._workers.from_chief([scalars, *own.best_weights, *variables])
        best, variables = rest[: len(own.best_weights)], rest[len(own.best_weights) :]
        self._stepper.assign(variables)
        return TrainingState(
            epochs=int(scalars[0]),
            weights=tuple(variables[: self._stepper.weights]),
            optimiser=tuple(variables[self._stepper.weights :]),
            best_epoch=int(scalars[1]),
            best_loss=float(scalars[2]),
            best_weights=tuple(best),
            history=own.history,
        )

    def _is_finished(self, state: TrainingState) -> bool:
        patience = self._settings.patience
        out_of_patience = patience is not None and state.epochs - state.best_epoch >= patience
        return out_of_patience or state.epochs >= self._settings.epochs

    def _epoch(self, state: TrainingState) -> tuple[TrainingState, bool]:
        """Train for an epoch; return the state after it, and whether a worker was interrupted."""
        epoch = state.epochs + 1
        self._table.start(epoch, len(self._batches))
        self._batches.start(state.epochs)
        sums, rows, stopped = np.zeros(3), 0, False
        for number in range(len(self._batches)):
            # A separate key for every step, so that its random numbers are the same whenever and wherever it runs.
            seed = np.random.SeedSequence((self._settings.seed, state.epochs, number))
            key = seed.generate_state(2, np.uint32).view(np.int32)
            sums += self._stepper.step(self._batches, number, key, stop=self._interruption.requested)
            rows = min(rows + self._settings.batch_size, self._rows)
            self._table.step()
            stopped = bool(sums[2])
            if stopped:
                break
        complete = rows == self._rows
        state = self._measured(state, complete, sums / rows)
        self._table.measured(epoch, state.history[-1], state.best_epoch)
        return state, stopped

    def _measured(self, state: TrainingState, complete: bool, means: NDArray[np.float64]) -> TrainingState:
        """Evaluate the epoch on the validation rows; return the state after it, with its metrics."""
        variables = self._stepper.variables()
        weights = tuple(variables[: self._stepper.weights])
        self._head.set_weights(list(weights))
        probabilities = head_probabilities(self._head, self._validation)
        correct = probabilities[np.arange(len(probabilities)), self._validation.labels]
        # The chief's loss: decisions that depend on it must be the same on all workers, down to the last bit.
        (loss,) = self._workers.from_chief([np.array(-np.log(np.maximum(correct, 1e-7)).mean(), np.float64)])
        metrics = {
            "loss": float(means[0]),
            "accuracy": float(means[1]),
            "validation_loss": float(loss),
            "validation_weighted_f1": float(Scores.of(self._validation.labels, probabilities).weighted_f1),
        }
        entry = {name: round(value, 4) for name, value in metrics.items()} | ({} if complete else {"complete": False})
        better = float(loss) < state.best_loss
        return TrainingState(
            epochs=state.epochs + complete,
            weights=weights,
            optimiser=tuple(variables[self._stepper.weights :]),
            best_epoch=state.epochs + 1 if better else state.best_epoch,
            best_loss=float(loss) if better else state.best_loss,
            best_weights=weights if better else state.best_weights,
            history=(*state.history, entry),
        )
