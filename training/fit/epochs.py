"""The epochs: trains a network's head, shows how it goes, stops when it should, and keeps what is learnt.

Whatever happens in an epoch follows from the seed, the epoch's number and the state before it. So a training that goes
on from a checkpoint ends with the weights that it would have ended with anyway.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.system.signals import Interruption, interruptible
from training.evaluation.predictors import predict_keras
from training.evaluation.scores import Scores
from training.fit.batches import TwoInputBatches
from training.fit.checkpoints import Checkpoint, State
from training.fit.settings import TrainingSettings
from training.fit.stepping import Stepper, stepping
from training.fit.workers import Workers, lost
from training.images.examples import Examples
from training.networks.network import IDS_INPUT, TRUNK_INPUT


@dataclass(frozen=True)
class Fitted:
    """How the epochs went; the head has the weights."""

    history: tuple[Mapping[str, Any], ...]
    """Figures of each epoch; the last one of an interrupted training has `whole: False`."""
    epoch: int
    """The one whose weights the head has, counted from 1."""
    interrupted: bool
    """Ctrl-C ended it before the last epoch."""
    out_of_patience: bool
    """It ended because the validation loss did not improve any more."""


def head_probabilities(head: Any, rows: Examples) -> NDArray[np.float32]:
    """The head's probabilities, shape (rows, labels); `rows.images` holds the trunk's features."""
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
) -> Fitted:
    """Train the head.

    Args:
        head: of a `Network`; its weights are those to begin with, and in the end those that were learnt.
        training: rows with the trunk's features.
        validation: the same, to measure on after each epoch.
        settings: epochs, batch size, learning rate, patience, seed, class weights, and whether to go on.
        workers: who trains; every one of them has the same rows.
        checkpoint: keeps the state after each epoch.
        made_by: what the state depends on, see `Checkpoint.save`.
        console: where progress is shown.

    Raises:
        TrainingError: the checkpoint cannot be written or belongs to something else, or a worker is gone.
    """
    state = checkpoint.load(made_by) if settings.resume and workers.chief else None
    weights = class_weights(training.labels) if settings.balanced else np.ones(1 + training.labels.max(), np.float32)
    try:
        with (
            stepping(head, settings.step_size, weights, settings.batch_size, workers) as stepper,
            interruptible(console) as interruption,
            Progress(console=console) as progress,
        ):
            epochs = _Epochs(head, stepper, training, validation, settings, workers, progress, interruption)
            return epochs.run(state, lambda done: checkpoint.save(done, made_by) if workers.chief else None)
    except tf.errors.OpError as error:
        if workers.count == 1:
            raise
        raise lost(error) from None


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """The inverse of each class's share, shape (classes,), such that the mean over the rows is 1."""
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
        progress: Progress,
        interruption: Interruption,
    ) -> None:
        self._head = head
        self._stepper = stepper
        self._batches = TwoInputBatches(training, TRUNK_INPUT, settings.batch_size, settings.seed)
        self._rows = len(training)
        self._validation = validation
        self._settings = settings
        self._workers = workers
        self._progress = progress
        self._interruption = interruption

    def run(self, state: State | None, keep: Callable[[State], None]) -> Fitted:
        state = self._begin(state)
        stopped = False
        while not stopped and not self._ends(state):
            epochs = state.epochs
            state, stopped = self._epoch(state)
            if state.epochs > epochs:
                keep(state)
        interrupted = stopped and not self._ends(state)
        out_of_patience = not interrupted and state.epochs < self._settings.epochs
        if self._settings.patience is None:
            self._head.set_weights(list(state.weights))
            return Fitted(state.history, len(state.history), interrupted, out_of_patience)
        self._head.set_weights(list(state.best_weights))
        return Fitted(state.history, state.best_epoch, interrupted, out_of_patience)

    def _begin(self, state: State | None) -> State:
        """The state to begin with, the chief's on all workers, set in the network."""
        if state is not None:
            self._stepper.assign([*state.weights, *state.optimiser])
            self._progress.console.print(f"going on after epoch {state.epochs}/{self._settings.epochs}")
        mine = self._stepper.variables()
        own = state or State(0, (), (), 0, np.inf, tuple(mine[: self._stepper.weights]), ())
        figures = np.array([own.epochs, own.best_epoch, own.best_loss])
        figures, *rest = self._workers.from_chief([figures, *own.best_weights, *mine])
        best, variables = rest[: len(own.best_weights)], rest[len(own.best_weights) :]
        self._stepper.assign(variables)
        return State(
            epochs=int(figures[0]),
            weights=tuple(variables[: self._stepper.weights]),
            optimiser=tuple(variables[self._stepper.weights :]),
            best_epoch=int(figures[1]),
            best_loss=float(figures[2]),
            best_weights=tuple(best),
            history=own.history,
        )

    def _ends(self, state: State) -> bool:
        patience = self._settings.patience
        tired = patience is not None and state.epochs - state.best_epoch >= patience
        return tired or state.epochs >= self._settings.epochs

    def _epoch(self, state: State) -> tuple[State, bool]:
        """Train for an epoch; gives the state after it, and whether someone stopped it."""
        started = time.monotonic()
        name = f"epoch {state.epochs + 1}/{self._settings.epochs}"
        task = self._progress.add_task(name, total=len(self._batches))
        self._batches.start(state.epochs)
        sums, rows, stopped = np.zeros(3), 0, False
        for number in range(len(self._batches)):
            # A key of its own for every step, so that it draws the same whenever and wherever it is taken.
            seed = np.random.SeedSequence((self._settings.seed, state.epochs, number))
            key = seed.generate_state(2, np.uint32).view(np.int32)
            sums += self._stepper.step(self._batches, number, key, stop=self._interruption.requested)
            rows = min(rows + self._settings.batch_size, self._rows)
            self._progress.advance(task)
            stopped = bool(sums[2])
            if stopped:
                break
        self._progress.remove_task(task)
        whole = rows == self._rows
        state, figures = self._measured(state, whole, sums / rows)
        self._progress.console.print(
            f"{name}  "
            + "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())
            + f"  {time.monotonic() - started:.0f} s"
        )
        return state, stopped

    def _measured(self, state: State, whole: bool, means: NDArray[np.float64]) -> tuple[State, Mapping[str, float]]:
        """The state with what the epoch gave, and figures of it."""
        variables = self._stepper.variables()
        weights = tuple(variables[: self._stepper.weights])
        self._head.set_weights(list(weights))
        answers = head_probabilities(self._head, self._validation)
        right = answers[np.arange(len(answers)), self._validation.labels]
        # The chief's: what follows from it has to be the same on all workers, down to the last bit.
        (loss,) = self._workers.from_chief([np.array(-np.log(np.maximum(right, 1e-7)).mean(), np.float64)])
        figures = {
            "loss": float(means[0]),
            "accuracy": float(means[1]),
            "validation_loss": float(loss),
            "validation_weighted_f1": float(Scores.of(self._validation.labels, answers).weighted_f1),
        }
        entry = {name: round(value, 4) for name, value in figures.items()} | ({} if whole else {"whole": False})
        better = float(loss) < state.best_loss
        return State(
            epochs=state.epochs + whole,
            weights=weights,
            optimiser=tuple(variables[self._stepper.weights :]),
            best_epoch=state.epochs + 1 if better else state.best_epoch,
            best_loss=float(loss) if better else state.best_loss,
            best_weights=weights if better else state.best_weights,
            history=(*state.history, entry),
        ), figures
