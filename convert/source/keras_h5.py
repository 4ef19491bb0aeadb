"""Reads and writes a `Model.h5`: the Keras configuration, and the companions in the HDF5 group `edge_mcnn`.

It needs only h5py. Nothing in the file is executed or built here.
"""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from device.bundle import HDF5_GROUP, HDF5_SIGNATURE, Companions
from device.errors import BundleError, ConversionError
from device.system.atomic_write import write_bytes
from device.system.display import displayable
from device.system.paths import cannot_use, open_file

_WRITE_COMPANIONS = "train the model again, or write its companions again with convert.source.keras_h5.write_companions"


def write_companions(path: Path, companions: Companions) -> None:
    """Write the companions into a Keras HDF5 file, replacing any that it has; the file is replaced atomically.

    Raises:
        ConversionError: `path` is not an HDF5 file, or cannot be read or written; it is unchanged.
    """
    with _opened(path):
        pass  # checked by its errors
    fix = "free some space, or write to another folder"
    try:
        content = io.BytesIO(path.read_bytes())
        with h5py.File(content, "r+") as file:
            add_companions(file, companions)
        write_bytes(path, content.getbuffer())
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConversionError(f"{path}: companions cannot be written to it ({reason})", fix=fix) from None


def add_companions(file: h5py.File, companions: Companions) -> None:
    """Add the companions to an open HDF5 file, replacing any that it has.

    Each entry of `Companions.entries()` becomes a UTF-8 scalar string dataset of its name in the group `edge_mcnn`.
    """
    if HDF5_GROUP in file:
        del file[HDF5_GROUP]
    group = file.create_group(HDF5_GROUP)
    for name, text in companions.entries().items():
        group.create_dataset(name, data=text, dtype=h5py.string_dtype("utf-8"))


def read_companions(path: Path) -> Companions:
    """Read the companions that `write_companions` wrote.

    Raises:
        ConversionError: not an HDF5 file, no group `edge_mcnn`, or an entry of the group is missing or corrupted.
    """
    companions = find_companions(path)
    if companions is None:
        raise ConversionError(
            f"{displayable(path)}: has no group {HDF5_GROUP!r} with labels, vocabulary and front end, so its "
            "predictions would have no meaning",
            fix="train it with `edge-mcnn train`, or add them with convert.source.keras_h5.write_companions",
        )
    return companions


def find_companions(path: Path) -> Companions | None:
    """Read the companions; None if the file has no group `edge_mcnn`, as a file that other programs wrote.

    Raises:
        ConversionError: not an HDF5 file, or an entry of the group `edge_mcnn` is missing or corrupted.
    """
    with _opened(path) as file:
        group = file.get(HDF5_GROUP)
        if not isinstance(group, h5py.Group):
            return None
        entries = {str(name): _text(path, name, dataset) for name, dataset in group.items()}
    try:
        return Companions.from_entries(entries)
    except BundleError as error:
        raise ConversionError(
            f"{displayable(path)}: group {HDF5_GROUP!r}: {error.message}", fix=_WRITE_COMPANIONS
        ) from None


def read_configuration(path: Path) -> tuple[dict[str, Any], str]:
    """The network's Keras configuration, `{"class_name": ..., "config": ...}`, and the version of Keras that stored it.

    Raises:
        ConversionError: not an HDF5 file, or a file of weights only.
    """
    with _opened(path) as file:
        stored = file.attrs.get("model_config")
        version = _decoded(file.attrs.get("keras_version", ""))
    if stored is None:
        raise ConversionError(
            f"{displayable(path)}: holds no network, only weights or other data",
            fix="build the network in Python, call load_weights on it, and save it with model.save('Model.h5')",
        )
    try:
        configuration = json.loads(_decoded(stored))
    except (ValueError, RecursionError) as error:
        raise ConversionError(
            f"{displayable(path)}: damaged: model_config is not JSON ({error})", fix="save the model again"
        ) from None
    if not isinstance(configuration, dict):
        raise ConversionError(
            f"{displayable(path)}: damaged: model_config is not a JSON object", fix="save the model again"
        )
    return configuration, version


def refuse_external_data(weights: Path) -> None:
    """Refuse an HDF5 file that refers to other files: an untrusted model must not read from this disk.

    Raises:
        ConversionError: the file has a link to another file, or data stored in one.
        OSError, KeyError, ValueError, RuntimeError: raised by h5py, the file is damaged.
    """
    with h5py.File(weights) as file:
        groups: list[h5py.Group] = [file]
        seen = set()
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.SoftLink):
                    continue  # its target is within the file, and is visited under its own name
                found = None if isinstance(link, h5py.ExternalLink) else group[name]
                if found is None or (isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)):
                    raise ConversionError(
                        f"{group.name.rstrip('/')}/{name} is stored in another file", fix="save the model again"
                    )
                address = h5py.h5o.get_info(found.id).addr
                if isinstance(found, h5py.Group) and address not in seen:
                    seen.add(address)
                    groups.append(found)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open the file for reading; every failure of HDF5 becomes a `ConversionError`."""
    try:
        with open_file(path) as file:
            signature = file.read(len(HDF5_SIGNATURE))
    except (OSError, ValueError) as error:
        raise cannot_use(path, error, ConversionError, fix="name a Model.h5") from None
    if signature != HDF5_SIGNATURE:
        raise ConversionError(
            f"{displayable(path)}: not an HDF5 file", fix="give the Model.h5 that Keras's model.save wrote"
        )
    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConversionError(
            f"{displayable(path)}: damaged or cut short ({reason})", fix="copy or save it again"
        ) from None


def _text(path: Path, name: str, dataset: object) -> str:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != () or h5py.check_string_dtype(dataset.dtype) is None:
        raise ConversionError(f"{displayable(path)}: {HDF5_GROUP}/{name} is not one text", fix=_WRITE_COMPANIONS)
    return _decoded(dataset[()])


def _decoded(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
