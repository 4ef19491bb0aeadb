"""Reads a saved network: its file format, its Keras version, its configuration. Nothing in it is built or run here.

`.h5` (HDF5) and `.keras` (a zip) come from Keras 2 and 3, a SavedModel folder that includes its layers from Keras 2.
"""

import hashlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convert.source import keras_h5
from convert.source.allowlist import refuse_code
from convert.source.augmentation import without_augmentation
from convert.source.keras3_config import as_keras_2
from device.bundle import HDF5_SIGNATURE, Companions
from device.errors import ConversionError, EdgeMcnnError
from device.system.display import displayable, shell_quoted
from device.system.paths import cannot_use, file_problem, folder_problem, open_file, require_file, require_no_pointers

Format = Literal["hdf5", "keras", "saved_model"]
WEIGHTS_ENTRY = "model.weights.h5"
_LARGEST_TEXT = 64 << 20
"""Bytes."""
_LARGEST_WEIGHTS = 2 << 30
"""Bytes; a TFLite file cannot hold more."""
_FIX = "name a Model.h5 or Model.keras that model.save wrote, or the folder of a SavedModel"
_START = 64
"""Bytes."""
_KERAS_ONLY = (
    "edge-mcnn converts networks of Keras only: build the network in Keras, train it, and save it with model.save"
)
_OTHER_FORMATS: tuple[tuple[bytes | tuple[bytes, ...], str, str], ...] = (
    ((b"{", b"["), "JSON, so at most the layers without their weights", "save the network with model.save('Model.h5')"),
    (b"\x80", "a pickle, which can carry code", "save the network with model.save('Model.h5')"),
    ((b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"), "a web page", "download the model itself"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first: gunzip, or tar xzf"),
    (b"\x08", "a model of ONNX or a graph of TensorFlow", _KERAS_ONLY),
    (b"\x93NUMPY", "a file of numpy", "save the network with model.save('Model.h5')"),
)
"""First bytes, what they belong to, and the fix."""
_HALF_PRECISION = ("mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class KerasSource:
    """A saved network, without its weights."""

    path: Path
    """File or folder of the network."""
    format: Format
    """Its file format."""
    keras: int
    """Major version of the Keras that saved it: 2 or 3."""
    stored: dict[str, Any]
    """Its configuration, checked to contain no code, with every dtype changed to single precision."""
    configuration: dict[str, Any]
    """The configuration in the notation of Keras 2, without layers that only matter for training; equal to `stored` if
    Keras 2 saved it and it has no such layers."""
    companions: Companions | None
    """Labels, vocabulary and front end in the file, None if it has none."""
    size: int
    """Size in bytes, for a folder that of all its files."""
    sha256: str
    """SHA-256 of the file, or of the files of the folder in the order of their names."""


def read_source(path: Path) -> KerasSource:
    """Read everything except the weights.

    Raises:
        ConversionError: there is no such file, or it is damaged, has another format, holds no network, or carries code.
    """
    format_ = find_format(path)
    companions = None
    if format_ == "hdf5":
        stored, version = keras_h5.read_configuration(path)
        companions = keras_h5.find_companions(path)
    elif format_ == "keras":
        stored, version = _read_keras_zip(path)
    else:
        stored, version = _read_saved_model(path), "2"
    try:
        stored = _in_single_precision(stored)
        refuse_code(stored)
        keras = 3 if version.startswith("3") else 2
        configuration = without_augmentation(as_keras_2(stored) if keras == 3 else stored)
    except ConversionError as error:
        raise name_source(path, error) from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ConversionError(
            f"{displayable(path)}: its configuration is not one of a functional Keras model",
            fix="build the network with Model(inputs, outputs)",
        ) from None
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if format_ == "saved_model" else [path]
        size, sha256 = sum(file.stat().st_size for file in files), _sha256(files)
    except OSError as error:
        raise cannot_use(Path(error.filename or path), error, ConversionError) from None
    return KerasSource(path, format_, keras, stored, configuration, companions, size, sha256)


def name_source(path: Path, error: EdgeMcnnError) -> ConversionError:
    """The same error as a `ConversionError` whose message begins with the path of the model."""
    prefix = f"{displayable(path)}: "
    message = error.message if error.message.startswith(prefix) else f"{prefix}{error.message}"
    return ConversionError(message, fix=error.fix)


def find_format(path: Path) -> Format:
    """The format of a saved network, from the first bytes of its file or the files in its folder.

    Raises:
        ConversionError: it cannot be read, or is none of the formats.
    """
    folder = folder_problem(path) is None
    problem = None if folder else file_problem(path)
    if problem is None and not folder:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ConversionError(f"{displayable(path)}: is not a regular file, but a pipe or a device", fix=_FIX)
            with open_file(path) as file:
                start = file.read(_START)
        except (OSError, ValueError) as error:
            raise cannot_use(path, error, ConversionError, fix=_FIX) from None
    elif problem is not None:
        require_file(path, ConversionError, fix=_FIX)
    if folder:
        return _folder_format(path)
    if start.startswith(HDF5_SIGNATURE):
        return "hdf5"
    if start.startswith(b"PK\x03\x04"):
        return "keras"
    raise _other_format(path, start)


def _folder_format(path: Path) -> Format:
    if os.path.lexists(path / "saved_model.pb"):
        require_no_pointers(path, ConversionError)
    if file_problem(path / "saved_model.pb") is None:
        return "saved_model"
    shown = displayable(path)
    if file_problem(path / "config.json") is None and file_problem(path / WEIGHTS_ENTRY) is None:
        raise ConversionError(
            f"{shown}: is an unpacked Model.keras",
            fix="pack it again inside the folder: zip Model.keras config.json metadata.json model.weights.h5",
        )
    models = sorted(file for suffix in ("h5", "hdf5", "keras") for file in path.glob(f"*.{suffix}"))
    fix = f"name the model in it: edge-mcnn convert {shell_quoted(models[0])}" if models else _FIX
    raise ConversionError(f"{shown}: a folder without saved_model.pb, so not a SavedModel", fix=fix)


def _other_format(path: Path, start: bytes) -> ConversionError:
    """The error about a file that is not a network of Keras, with what it is as far as its first bytes show."""
    shown = displayable(path)
    if not start:
        return ConversionError(f"{shown}: is empty", fix="save or copy the model again")
    if start[4:8] == b"TFL3":
        return ConversionError(
            f"{shown}: is a TFLite model already",
            fix="convert the Model.h5 or Model.keras that it was made from; this one can be inspected with: edge-mcnn "
            f"inspect {shell_quoted(path)}",
        )
    for starts, what, fix in _OTHER_FORMATS:
        if start.lstrip().startswith(starts):
            return ConversionError(f"{shown}: is {what}, not a model saved by Keras", fix=fix)
    if path.suffix == ".pb":
        return ConversionError(
            f"{shown}: is a graph of TensorFlow, not a model saved by Keras", fix="name the folder of a SavedModel"
        )
    return ConversionError(f"{shown}: not an HDF5 file, a .keras file or a SavedModel folder", fix=_FIX)


def _read_keras_zip(path: Path) -> tuple[dict[str, Any], str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist()]
            if any(name.endswith("data.pkl") for name in names):
                raise ConversionError(f"{displayable(path)}: is a model of PyTorch, not of Keras", fix=_KERAS_ONLY)
            for name in ("config.json", "metadata.json", WEIGHTS_ENTRY):
                if name not in names:
                    raise ConversionError(
                        f"{displayable(path)}: not a Keras model, it has no {name}", fix="save it with model.save"
                    )
                if names.count(name) > 1:  # one reader may use the first, another the last
                    raise ConversionError(
                        f"{displayable(path)}: has {name} {names.count(name)} times", fix="save it with model.save"
                    )
            weights = archive.getinfo(WEIGHTS_ENTRY)
            if weights.file_size > _LARGEST_WEIGHTS or any(
                archive.getinfo(name).file_size > _LARGEST_TEXT for name in ("config.json", "metadata.json")
            ):
                raise ConversionError(
                    f"{displayable(path)}: unpacks to more bytes than a model can have", fix="save it again"
                )
            texts = [archive.read(name) for name in ("config.json", "metadata.json")]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ConversionError(
            f"{displayable(path)}: damaged or cut short ({error})", fix="copy or save it again"
        ) from None
    try:
        stored, metadata = (json.loads(text) for text in texts)
        # The other entries describe how it was compiled, which may name a custom loss, and are not needed here.
        return {key: stored[key] for key in ("module", "class_name", "config") if key in stored}, str(
            metadata["keras_version"]
        )
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ConversionError(
            f"{displayable(path)}: damaged: its configuration is not JSON of Keras ({error})",
            fix="save the model again",
        ) from None


def _read_saved_model(folder: Path) -> dict[str, Any]:
    """Read the configuration of a SavedModel of Keras 2: from a second file, or up to TensorFlow 2.4 from the same."""
    try:
        metadata = folder / "keras_metadata.pb"
        if metadata.is_file():
            texts = [text for node in _fields(metadata.read_bytes(), 1) for text in _fields(node, 5)]
        else:
            content = (folder / "saved_model.pb").read_bytes()
            # meta_graphs, object_graph_def, nodes, user_object, metadata
            texts = list(_nested(content, 2, 7, 1, 4, 3))
    except OSError as error:
        raise ConversionError(
            f"{displayable(folder)}: cannot be read ({error.strerror})", fix="make the folder and its files readable"
        ) from None
    except ValueError:
        raise ConversionError(f"{displayable(folder)}: damaged: not a SavedModel", fix="save it again") from None
    for text in texts:
        try:
            table = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(table, dict) and table.get("class_name") in ("Functional", "Model", "Sequential"):
            # The first entry that is a model is the outermost one.
            configuration: dict[str, Any] = _without_tuples(
                {"class_name": table["class_name"], "config": table.get("config")}
            )
            return configuration
    raise ConversionError(
        f"{displayable(folder)}: exported for inference, so its layers are no longer in it, and without them its "
        "LSTM cannot become one TFLite operator",
        fix="convert the Model.keras or Model.h5 that model.save wrote before the export",
    )


def _nested(content: bytes, *numbers: int) -> Iterator[bytes]:
    if not numbers:
        yield content
        return
    for field in _fields(content, numbers[0]):
        yield from _nested(field, *numbers[1:])


def _fields(content: bytes, number: int) -> list[bytes]:
    """The values of a field in a protobuf message whose definition is not available.

    Raises:
        ValueError: not a protobuf message.
    """
    from google.protobuf import empty_pb2, message, unknown_fields

    read = empty_pb2.Empty()
    try:
        read.ParseFromString(content)
    except message.DecodeError as error:
        raise ValueError(str(error)) from None
    return [
        field.data
        for field in unknown_fields.UnknownFieldSet(read)
        if field.field_number == number and isinstance(field.data, bytes)
    ]


def _without_tuples(node: Any) -> Any:
    if isinstance(node, dict):
        if node.get("class_name") == "__tuple__":
            return _without_tuples(node.get("items"))
        return {key: _without_tuples(value) for key, value in node.items()}
    return [_without_tuples(value) for value in node] if isinstance(node, list) else node


def _in_single_precision(node: Any) -> Any:
    """Replace half precision, which is for training on a GPU: the weights are stored in single precision anyway."""
    if isinstance(node, dict):
        return {key: _in_single_precision(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_in_single_precision(value) for value in node]
    return "float32" if node in _HALF_PRECISION else node


def _sha256(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()
