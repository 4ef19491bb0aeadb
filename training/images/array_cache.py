"""Files of arrays that one run leaves for the next; each is complete or missing, whatever interrupts a run."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError
from device.system.atomic_write import atomic_write


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write an .npz file, completely or not at all.

    Raises:
        TrainingError: the disk is full or the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(path, **arrays)
    except OSError as error:
        raise cannot_write(path.parent, error) from None


def save_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Write an .npz file into an existing folder, completely or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    # In memory first: a zip file whose stream fails prints an exception when Python deletes it.
    content = io.BytesIO()
    np.savez(content, **dict[str, Any](arrays))
    with atomic_write(path) as stream:
        stream.write(content.getbuffer())


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]] | None:
    """Return all arrays of a file that `write_arrays` wrote; None if there is no such file, or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # np.load alone leaves a damaged file open
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def cannot_write(folder: Path, error: OSError) -> TrainingError:
    """Return the error for a cache folder that cannot be written to."""
    return TrainingError(
        f"{folder}: cannot be written to ({error.strerror or error})",
        fix="free some space and run it again; finished work is not repeated",
    )
