"""Writes a trained network and its companions as one Keras HDF5 file, whole or not at all."""

import os
import warnings
from pathlib import Path
from typing import Any

from device.bundle import Companions
from device.errors import TrainingError
from device.system.atomic_write import require_writable


def check_output(output: Path) -> None:
    """See that a model can be written there, before hours are spent on it; makes the folder.

    Raises:
        TrainingError: not named `.h5`, or not a place to write to.
    """
    if output.suffix != ".h5":
        raise TrainingError(f"{output}: the model is a Keras HDF5 file, give it a name that ends in .h5")
    require_writable(output.parent, output)
    if output.is_dir():
        raise TrainingError(f"{output}: is a folder; choose another name with -o")


def write_model(model: Any, companions: Companions, output: Path) -> None:
    """Save `model` with the HDF5 group `edge_mcnn`.

    It is written beside `output` and moved there when complete, so that a full disk or a lost power supply leaves the
    previous model as it was.

    Raises:
        TrainingError: the disk is full or refuses to be written to; `output` is as it was.
    """
    from convert.source.keras_h5 import (
        write_companions,  # `convert` owns the file format; loaded only when there is a model
    )

    partial = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with warnings.catch_warnings():
            # Keras calls HDF5 a legacy format; it is the one that the tutorial's readers and Keras 2 open.
            warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
            # Only its head was compiled and trained; Keras wants a loss of the whole as well, or warns of none.
            model.compile(loss="sparse_categorical_crossentropy")
            model.save(partial, save_format="h5", include_optimizer=False)
        write_companions(partial, companions)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(output)
    except (OSError, RuntimeError) as error:  # h5py reports a full disk as either
        raise TrainingError(
            f"{output}: cannot be written ({error}); free some space or choose another place with -o"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
