"""What a training has learnt so far, in one file beside the model to be, so that a lost power supply costs one epoch.

Knows files and arrays, neither Keras nor corpora.
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
from device.system.atomic_write import atomic_write

_FORMAT = 1


@dataclass(frozen=True)
class State:
    """All that a training has to know to go on as if it had never stopped."""

    epochs: int
    """Epochs that are done."""
    weights: tuple[NDArray[Any], ...]
    """Of the trained part, after them."""
    optimiser: tuple[NDArray[Any], ...]
    """Variables of the optimiser."""
    best_epoch: int
    """The one of the lowest validation loss, counted from 1; 0 before the first."""
    best_loss: float
    """Its validation loss; infinite before the first."""
    best_weights: tuple[NDArray[Any], ...]
    """After it; before the first those to begin with."""
    history: tuple[Mapping[str, Any], ...]
    """Figures of each epoch."""


class Checkpoint:
    """The file that keeps a `State`, written whole or not at all.

    Args:
        output: the model that the training will write.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f"{output.name}.checkpoint")

    def require_absent(self) -> None:
        """See that no training would be lost by beginning anew.

        Raises:
            TrainingError: there is one that can be gone on with.
        """
        if self.path.exists():
            found = self._load()
            after = "" if found is None else f" after epoch {found[0].epochs}"
            raise TrainingError(
                f"{self.path}: a training was stopped here{after}; go on with it by --resume, or delete the file to "
                "begin anew"
            )

    def save(self, state: State, made_by: Mapping[str, Any]) -> None:
        """Replace what is kept.

        Args:
            state: what has been learnt.
            made_by: all that it depends on, as JSON can hold it, in the user's words.

        Raises:
            TrainingError: the disk is full or cannot be written to; what was kept before stays.
        """
        figures = replace(state, weights=(), optimiser=(), best_weights=())
        note = {"format": _FORMAT, "made_by": made_by, "state": vars(figures)}
        arrays = {
            f"{kind}_{number:03}": array
            for kind in ("weights", "optimiser", "best_weights")
            for number, array in enumerate(getattr(state, kind))
        }
        try:
            with atomic_write(self.path) as stream:
                np.savez(stream, note=np.array(json.dumps(note)), **arrays)
        except OSError as error:
            kept = self.kept() or "nothing was kept yet, train again"
            raise TrainingError(f"{self.path}: cannot be written ({error.strerror}); free some space; {kept}") from None

    def kept(self) -> str:
        """What to tell about the file: which epoch it holds and how to go on; empty if there is none."""
        found = self._load()
        if found is None:
            return ""
        return f"what was learnt up to epoch {found[0].epochs} is kept; the same command with --resume goes on from it"

    def load(self, made_by: Mapping[str, Any]) -> State | None:
        """What is kept, or None if nothing is.

        Raises:
            TrainingError: damaged, or of a training with other settings or clips.
        """
        if not self.path.exists():
            return None
        found = self._load()
        if found is None:
            raise TrainingError(f"{self.path}: not a checkpoint, or damaged; delete it to begin anew")
        state, former = found
        wanted = json.loads(json.dumps(made_by))
        for name in wanted:
            if former.get(name) != wanted[name]:
                was = f" ({former.get(name)} there, {wanted[name]} here)" if len(str(wanted[name])) < 20 else ""
                raise TrainingError(
                    f"{self.path}: belongs to a training with other {name}{was}; give the same options and corpus as "
                    "then, or delete the file to begin anew"
                )
        return state

    def remove(self) -> None:
        """Forget it: the model is written."""
        self.path.unlink(missing_ok=True)

    def _load(self) -> tuple[State, dict[str, Any]] | None:
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                note = json.loads(str(file["note"]))
                if note["format"] != _FORMAT:
                    return None
                arrays = {
                    kind: tuple(file[name] for name in sorted(file.files) if name.startswith(f"{kind}_"))
                    for kind in ("weights", "optimiser", "best_weights")
                }
            figures = {**note["state"], "history": tuple(note["state"]["history"])}
            return State(**{**figures, **arrays}), note["made_by"]
        except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile):
            return None
