"""Arrays that one run leaves for the next, each file whole or not there, whatever they mean."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError
from device.system.atomic_write import atomic_write


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write an .npz file, whole or not at all.

    Raises:
        TrainingError: the disk is full or the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as stream:
            np.savez(stream, **dict[str, Any](arrays))
    except OSError as error:
        raise TrainingError(
            f"{path.parent}: cannot be written to ({error.strerror}); free some space and run it again, "
            "what is done is kept"
        ) from None


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]] | None:
    """All arrays of a file that `write_arrays` wrote; None when there is no such file, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # of a damaged file, np.load alone leaves it open
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
