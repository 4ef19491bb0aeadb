"""Writes a trained network and its companions as one Keras HDF5 file, and its labels as `labels.txt` beside it.

The tutorial saves the model and the labels. Here the labels are in the model as well, from where `edge-mcnn convert`
reads them: `labels.txt` is for people and for other programs.
"""

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from device.bundle import LABELS_FILE, Companions
from device.errors import ConversionError, TrainingError
from device.system.atomic_write import require_writable, write_together
from device.system.display import displayable
from training.base_model.base import BaseModel

_LARGEST = 1 << 20
"""Bytes; no list of labels is as long."""


def check_output(output: Path, base: BaseModel | None = None) -> None:
    """Check that a model can be written there, before hours are spent on it; makes the folder.

    Args:
        output: path of the model.
        base: the trained network that the training starts from, if there is one.

    Raises:
        TrainingError: the name does not end in `.h5`, the folder cannot be written to, or it is the file of the base.
    """
    if output.suffix != ".h5":
        raise TrainingError(
            f"{displayable(output)}: the model is a Keras HDF5 file", fix="give it a name that ends in .h5"
        )
    require_writable(output.parent, output)
    if output.is_dir():
        raise TrainingError(f"{displayable(output)}: is a folder", fix="choose another name with --output")
    # An interrupted training could not be continued from a base that its own model has replaced.
    if base is not None and output.exists() and base.path.exists() and output.samefile(base.path):
        raise TrainingError(
            f"{displayable(output)}: is the base of this training, which its model would replace",
            fix="choose another name with --output",
        )


def check_labels_file(output: Path, labels: Sequence[str]) -> None:
    """Check that `labels.txt` beside the model can be written without destroying a file of someone else.

    A list of labels of this training, or of a model in the same folder, is replaced. Many data sets have a file of
    this name, and that one is not replaced.

    Args:
        output: path of the model.
        labels: labels of this training.

    Raises:
        TrainingError: there is a `labels.txt` that no training wrote.
    """
    path = output.with_name(LABELS_FILE)
    if not os.path.lexists(path):
        return
    found = _read_labels(path)
    if found is None or (found != tuple(labels) and found not in _labels_of_models(output)):
        raise TrainingError(
            f"{displayable(path)}: exists, and does not hold the labels of a model in this folder; the labels of the "
            "new model would replace it",
            fix="move it away, or choose another folder with --output",
        )


def write_model(model: Any, companions: Companions, output: Path) -> tuple[str, ...] | None:
    """Save a Keras model with its companions in the HDF5 group `edge_mcnn`, and its labels in `labels.txt`.

    Both are written beside their places and moved there when both are complete, so that a full disk leaves the previous
    model unchanged. Two files cannot be moved at once: `labels.txt` is removed just before the model is moved. So a
    power failure may leave a model without `labels.txt`, but never beside that of another model.

    Args:
        model: the Keras model.
        companions: labels, vocabulary, front end and card.
        output: path of the `.h5` file.

    Returns:
        The other labels that `labels.txt` held before; None if it was missing or held the same.

    Raises:
        TrainingError: the disk is full or cannot be written to, or there is a `labels.txt` that no training wrote;
            `output` is unchanged.
    """
    # `convert` owns the file format; loaded only when there is a model.
    import h5py

    from convert.source.keras_h5 import add_companions

    check_labels_file(output, companions.labels)
    labels_file = output.with_name(LABELS_FILE)
    previous = _read_labels(labels_file)
    replaced = None if previous == companions.labels else previous
    try:
        # In memory: on a full disk, HDF5 fails a second time when Python deletes its file.
        content = io.BytesIO()
        with h5py.File(content, "w") as file, warnings.catch_warnings():
            # Keras calls HDF5 a legacy format; it is the one that the tutorial's readers and Keras 2 open.
            warnings.filterwarnings("ignore", message="You are saving your model as an HDF5 file")
            # Only its head was compiled and trained; Keras warns of a model without a loss.
            model.compile(loss="sparse_categorical_crossentropy")
            model.save(file, save_format="h5", include_optimizer=False)
            add_companions(file, companions)
        # The labels last: while the model is replaced, there is no `labels.txt`.
        labels = companions.entries()[LABELS_FILE].encode()
        write_together({output: content.getbuffer(), labels_file: labels})
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(
            f"{displayable(output)}: cannot be written ({displayable(reason)})",
            fix="free some space or choose another place with --output",
        ) from None
    return replaced


def _read_labels(path: Path) -> tuple[str, ...] | None:
    """Return the lines of a file; None if it is missing, not UTF-8, or larger than any list of labels."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST)
        text = content.decode("utf-8-sig").replace("\r\n", "\n")  # as an editor may have left it
    except (OSError, UnicodeDecodeError):
        return None
    return None if len(content) == _LARGEST else tuple(text.removesuffix("\n").split("\n"))


def _labels_of_models(output: Path) -> list[tuple[str, ...]]:
    """Return the labels of the models in a folder, whatever their names: any of them may have been trained last."""
    from convert.source.keras_h5 import find_companions

    found = []
    for path in sorted(output.parent.glob("*.h5")):
        if not path.is_file():
            continue
        try:
            companions = find_companions(path)
        except (ConversionError, OSError):
            continue  # not a model
        if companions is not None:
            found.append(companions.labels)
    return found
