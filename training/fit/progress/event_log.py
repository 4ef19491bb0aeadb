"""The metrics of the epochs as TensorBoard shows them, written with Keras's own callback.

Keras's callback writes scalars to the folders `train` and `validation`, at the number of the epoch, counted from 1. An
epoch is logged once it is complete and its checkpoint is saved. So an interrupted training that continues in the same
folder adds each epoch once: those that are in the checkpoint but not in the folder come from the checkpoint.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras
from google.protobuf.message import DecodeError
from rich.console import Console

from device.errors import TrainingError
from device.system.paths import error_about, output_problem

_NAMES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "validation_loss": "val_loss",
    "validation_weighted_f1": "val_weighted_f1",
}
"""Keras's names of our metrics; it writes those with `val_` to the folder `validation`, without the prefix."""
_FIX = "name another folder for --tensorboard"
_FOLDERS = ("train", "validation")


class EventLog:
    """The log of one training.

    Args:
        folder: folder of the log; it is created if missing.
        console: console for the remark that the folder cannot be written to any more.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._console = console
        self._callback: Any = None
        self._learning_rate = 0.0

    def check(self, epochs: int) -> None:
        """Check that a training can log here before its work begins.

        Args:
            epochs: number of epochs that the training already has, in its checkpoint.

        Raises:
            TrainingError: the folder cannot be written to, or holds epochs of another training.
        """
        for folder in (self._folder, *(self._folder / name for name in _FOLDERS)):
            if problem := output_problem(folder, folder=True):
                raise error_about(folder, problem, TrainingError, fix=_FIX)
        last = max((epoch for _, epoch in self._logged()), default=0)
        if last > epochs:
            this = f"this one continues after epoch {epochs}" if epochs else "this one starts at epoch 1"
            raise TrainingError(f"{self._folder}: holds {last} epochs of another training, and {this}", fix=_FIX)

    def begin(self, head: Any, learning_rate: float, history: Sequence[Mapping[str, Any]]) -> None:
        """Open the log, and add the epochs that it lacks.

        Args:
            head: the Keras model that is trained.
            learning_rate: step size of the optimiser, the same in every epoch.
            history: metrics of the epochs so far.
        """
        self._learning_rate = learning_rate
        logged = self._logged()
        self._callback = _Callback(str(self._folder), write_graph=False, profile_batch=0)
        self._callback.set_model(head)
        self._callback.on_train_begin()
        for epoch, metrics in enumerate(history, 1):
            self._write(
                epoch, {name: value for name, value in self._logs(metrics).items() if (name, epoch) not in logged}
            )

    def add(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Log the metrics of an epoch, counted from 1. A full disk does not stop the training."""
        self._write(epoch, self._logs(metrics))

    def end(self) -> None:
        """Close the files."""
        if self._callback is None:
            return
        try:
            self._callback.on_train_end()
        except (OSError, tf.errors.OpError):
            self._lost()

    def _logs(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        return {keras: metrics[name] for name, keras in _NAMES.items()} | {"learning_rate": self._learning_rate}

    def _write(self, epoch: int, logs: Mapping[str, float]) -> None:
        if self._callback is None or not logs:
            return
        try:
            self._callback.on_epoch_end(epoch, dict(logs))
        except (OSError, tf.errors.OpError):
            self._lost()

    def _lost(self) -> None:
        self._callback = None
        self._console.print(
            f"{self._folder}: cannot be written to any more; the training continues without --tensorboard",
            soft_wrap=True,
        )

    def _logged(self) -> set[tuple[str, int]]:
        """Return Keras's names of the metrics in the folder and their epochs.

        Raises:
            TrainingError: a file cannot be read.
        """
        found = set()
        for folder, prefix in zip(_FOLDERS, ("", "val_"), strict=True):
            for path in sorted((self._folder / folder).glob("events.out.tfevents.*")):
                try:
                    events = list(_events(path))
                except OSError as error:
                    raise TrainingError(f"{path}: cannot be read ({error.strerror})", fix=_FIX) from None
                for event in events:
                    tags = (value.tag for value in event.summary.value)
                    found |= {(prefix + tag.removeprefix("epoch_"), event.step) for tag in tags}
        return found


def _events(path: Path) -> Iterator[Any]:
    """Yield the events of a file up to the first one that is damaged, as after a power cut.

    TensorFlow's own readers are not used: they start its runtime, which must not start before the other machines are
    connected. A record is its length (8 bytes), a checksum (4), the data, and another checksum (4).
    """
    content = path.read_bytes()
    start = 0
    while start + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + 12 + length
        if end + 4 > len(content):
            return
        try:
            yield tf.compat.v1.Event.FromString(content[start + 12 : end])
        except DecodeError:
            return
        start = end + 4


class _Callback(tf_keras.callbacks.TensorBoard):  # type: ignore[misc]  # tf_keras ships no types
    """Keras's callback; it writes to the disk after every epoch instead of within two minutes."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the metrics of an epoch to the files."""
        super().on_epoch_end(epoch, logs)
        for writer in (self._train_writer, self._val_writer):
            writer.flush()
