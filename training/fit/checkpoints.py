"""The state of a training after each epoch, in one file beside its output, so that a power failure costs one epoch.

This module is independent of Keras and corpora.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError
from training.images.array_cache import save_arrays

_FORMAT = 1


@dataclass(frozen=True)
class TrainingState:
    """Everything that a training needs to continue as if it had never stopped."""

    epochs: int
    """Number of finished epochs."""
    weights: tuple[NDArray[Any], ...]
    """Weights of the trained part after these epochs."""
    optimiser: tuple[NDArray[Any], ...]
    """Variables of the optimiser after these epochs."""
    best_epoch: int
    """The epoch with the lowest validation loss, counted from 1; 0 before the first."""
    best_loss: float
    """Validation loss of the best epoch; infinite before the first."""
    best_weights: tuple[NDArray[Any], ...]
    """Weights after the best epoch; before the first epoch the initial weights."""
    history: tuple[Mapping[str, Any], ...]
    """Metrics of each epoch."""


class Checkpoint:
    """The file of a `TrainingState`, written completely or not at all.

    Args:
        output: path of the model that the training will write; the checkpoint is beside it.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f"{output.name}.checkpoint")

    def require_absent(self) -> None:
        """Check that starting again would not discard an unfinished training.

        Raises:
            TrainingError: there is a checkpoint.
        """
        if self.path.exists():
            found = self._load()
            after = "" if found is None else f" after epoch {found[0].epochs}"
            raise TrainingError(
                f"{self.path}: a training was stopped here{after}",
                fix="continue it with --resume, or delete the file to start again",
            )

    def epochs(self) -> int:
        """Return the number of epochs in the checkpoint; 0 if there is none, or none that can be read."""
        found = self._load()
        return 0 if found is None else found[0].epochs

    def save(self, state: TrainingState, made_by: Mapping[str, Any]) -> None:
        """Replace the checkpoint.

        Args:
            state: the state to save.
            made_by: everything that the state depends on, as JSON values by names that a user knows.

        Raises:
            TrainingError: the disk is full or cannot be written to; the previous checkpoint is unchanged.
        """
        scalars = replace(state, weights=(), optimiser=(), best_weights=())
        note = {"format": _FORMAT, "made_by": made_by, "state": vars(scalars)}
        arrays = {
            f"{kind}_{number:03}": array
            for kind in ("weights", "optimiser", "best_weights")
            for number, array in enumerate(getattr(state, kind))
        }
        try:
            save_arrays(self.path, note=np.array(json.dumps(note)), **arrays)
        except OSError as error:
            raise TrainingError(
                f"{self.path}: cannot be written ({error.strerror})",
                fix=f"free some space; {self.resume_hint() or 'there is no checkpoint yet, train again'}",
            ) from None

    def resume_hint(self) -> str:
        """Return a sentence on which epoch the checkpoint holds and how to continue; empty if there is none."""
        found = self._load()
        if found is None:
            return ""
        return f"the checkpoint holds epoch {found[0].epochs}; the same command with --resume continues from it"

    def load(self, made_by: Mapping[str, Any]) -> TrainingState | None:
        """Return the saved state, or None if there is no checkpoint.

        Raises:
            TrainingError: the file is damaged, or belongs to a training with other settings or clips.
        """
        if not self.path.exists():
            return None
        found = self._load()
        if found is None:
            raise TrainingError(f"{self.path}: not a checkpoint, or damaged", fix="delete it to start again")
        state, saved = found
        current = json.loads(json.dumps(made_by))
        for name in current:
            there = saved.get(name, "none")  # an earlier version had no such choice
            if there != current[name]:
                values = f" ({there} there, {current[name]} here)" if len(str(current[name])) < 20 else ""
                raise TrainingError(
                    f"{self.path}: belongs to a training with other {name}{values}",
                    fix="give the same options and corpus as then, or delete the file to start again",
                )
        return state

    def remove(self) -> None:
        """Delete the file, once the model is written."""
        self.path.unlink(missing_ok=True)

    def _load(self) -> tuple[TrainingState, dict[str, Any]] | None:
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                note = json.loads(str(file["note"]))
                if note["format"] != _FORMAT:
                    return None
                arrays = {
                    kind: tuple(file[name] for name in sorted(file.files) if name.startswith(f"{kind}_"))
                    for kind in ("weights", "optimiser", "best_weights")
                }
            scalars = {**note["state"], "history": tuple(note["state"]["history"])}
            return TrainingState(**{**scalars, **arrays}), note["made_by"]
        except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
            return None
