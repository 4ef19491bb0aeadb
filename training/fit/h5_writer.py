"""Writes a trained network and its companions as one Keras HDF5 file, completely or not at all."""

import warnings
from pathlib import Path
from typing import Any

from device.bundle import Companions
from device.errors import ConversionError, TrainingError
from device.system.atomic_write import atomic_write, require_writable


def check_output(output: Path) -> None:
    """Check that a model can be written there, before hours are spent on it; makes the folder.

    Raises:
        TrainingError: the name does not end in `.h5`, or the folder cannot be written to.
    """
    if output.suffix != ".h5":
        raise TrainingError(f"{output}: the model is a Keras HDF5 file", fix="give it a name that ends in .h5")
    require_writable(output.parent, output)
    if output.is_dir():
        raise TrainingError(f"{output}: is a folder", fix="choose another name with --output")


def write_model(model: Any, companions: Companions, output: Path) -> None:
    """Save a Keras model with its companions in the HDF5 group `edge_mcnn`.

    It is written beside `output` and moved there when complete, so that a full disk or a power failure leaves the
    previous model unchanged.

    Raises:
        TrainingError: the disk is full or cannot be written to; `output` is unchanged.
    """
    # `convert` owns the file format; loaded only when there is a model.
    from convert.source.keras_h5 import write_companions

    try:
        # HDF5 writes to a name, not to a stream.
        with atomic_write(output) as stream, warnings.catch_warnings():
            partial = Path(stream.name)
            # Keras calls HDF5 a legacy format; it is the one that the tutorial's readers and Keras 2 open.
            warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
            # Only its head was compiled and trained; Keras warns of a model without a loss.
            model.compile(loss="sparse_categorical_crossentropy")
            model.save(partial, save_format="h5", include_optimizer=False)
            write_companions(partial, companions)
    except (OSError, RuntimeError, ConversionError) as error:  # h5py reports a full disk as either of the first two
        reason = error.message if isinstance(error, ConversionError) else error
        raise TrainingError(
            f"{output}: cannot be written ({reason})", fix="free some space or choose another place with --output"
        ) from None
