"""A trained network as it lies on disk: its format, its Keras, its configuration. Nothing in it is built or run here.

`.h5` (HDF5) and `.keras` (a zip) come from Keras 2 and 3, a SavedModel folder with its layers in it from Keras 2.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convert.source import keras_h5 as model_file
from convert.source.allowlist import refuse_code
from convert.source.keras3_config import as_keras_2
from device.bundle import HDF5_SIGNATURE, Companions
from device.errors import ConversionError

Format = Literal["hdf5", "keras", "saved_model"]
WEIGHTS_ENTRY = "model.weights.h5"
_LARGEST_TEXT = 64 << 20
_LARGEST_WEIGHTS = 2 << 30
"""What a TFLite file can hold at most."""
_HALF = ("mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class Source:
    """A network and where it came from."""

    path: Path
    """File or folder."""
    format: Format
    keras: int
    """2 or 3."""
    stored: dict[str, Any]
    """Its configuration, free of code, in single precision throughout."""
    configuration: dict[str, Any]
    """The same as Keras 2 writes it; the same object, if Keras 2 did."""
    companions: Companions | None
    """What it carries, None if nothing."""
    size: int
    """Bytes, of a folder those of all its files."""
    sha256: str
    """Of the file, or of the files of the folder in the order of their names."""


def read_source(path: Path) -> Source:
    """Read everything but the weights.

    Raises:
        ConversionError: no such file, damaged, of another kind, without a network, or with code in it.
    """
    format_ = _format(path)
    companions = None
    if format_ == "hdf5":
        stored, version = model_file.read_configuration(path)
        companions = model_file.find_companions(path)
    elif format_ == "keras":
        stored, version = _read_keras_zip(path)
    else:
        stored, version = _read_saved_model(path), "2"
    try:
        stored = _in_single_precision(stored)
        refuse_code(stored)
        keras = 3 if version.startswith("3") else 2
        configuration = as_keras_2(stored) if keras == 3 else stored
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ConversionError(
            f"{path}: its configuration is not one of a functional Keras model; build it with Model(inputs, outputs)"
        ) from None
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return Source(
        path, format_, keras, stored, configuration, companions, sum(file.stat().st_size for file in files), _sum(files)
    )


def _format(path: Path) -> Format:
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "saved_model"
        raise ConversionError(f"{path}: a folder without saved_model.pb, so no SavedModel; give a Model.h5 or .keras")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror}); give the path of a Model.h5") from None
    if start == HDF5_SIGNATURE:
        return "hdf5"
    if start[:4] == b"PK\x03\x04":
        return "keras"
    if start[4:8] == b"TFL3":
        raise ConversionError(f"{path}: is a TFLite model already; `edge-mcnn inspect` says what is in it")
    raise ConversionError(
        f"{path}: not an HDF5 file, a .keras file or a SavedModel folder; give what Keras's model.save wrote"
    )


def _read_keras_zip(path: Path) -> tuple[dict[str, Any], str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist()]
            for name in ("config.json", "metadata.json", WEIGHTS_ENTRY):
                if name not in names:
                    raise ConversionError(f"{path}: no Keras model, it has no {name}; save it with model.save")
                if names.count(name) > 1:  # one reader may take the first, another the last
                    raise ConversionError(f"{path}: has {name} {names.count(name)} times; save it with model.save")
            weights = archive.getinfo(WEIGHTS_ENTRY)
            if weights.file_size > _LARGEST_WEIGHTS or any(
                archive.getinfo(name).file_size > _LARGEST_TEXT for name in ("config.json", "metadata.json")
            ):
                raise ConversionError(f"{path}: unpacks to more than a model can be; save it again")
            texts = [archive.read(name) for name in ("config.json", "metadata.json")]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(f"{path}: damaged or cut short ({error}); copy or save it again") from None
    try:
        stored, metadata = (json.loads(text) for text in texts)
        # The rest says how it was compiled, which may well name a loss of the user's own, and is of no use here.
        return {key: stored[key] for key in ("module", "class_name", "config") if key in stored}, str(
            metadata["keras_version"]
        )
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ConversionError(f"{path}: damaged: its configuration is not JSON of Keras ({error})") from None


def _read_saved_model(folder: Path) -> dict[str, Any]:
    """The configuration in a SavedModel that Keras 2 wrote: in a file beside it, or up to TensorFlow 2.4 in it."""
    try:
        kept = folder / "keras_metadata.pb"
        if kept.is_file():
            texts = [text for node in _fields(kept.read_bytes(), 1) for text in _fields(node, 5)]
        else:
            content = (folder / "saved_model.pb").read_bytes()
            # meta_graphs, object_graph_def, nodes, user_object, metadata
            texts = list(_nested(content, 2, 7, 1, 4, 3))
    except OSError as error:
        raise ConversionError(f"{folder}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise ConversionError(f"{folder}: damaged: not a SavedModel; save it again") from None
    for text in texts:
        try:
            table = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(table, dict) and table.get("class_name") in ("Functional", "Model", "Sequential"):
            # The first that is a model is the outermost.
            plain: dict[str, Any] = _without_tuples({"class_name": table["class_name"], "config": table.get("config")})
            return plain
    raise ConversionError(
        f"{folder}: exported for inference, its layers are not in it any more, and without them its LSTM cannot become "
        "one TFLite operator; convert the Model.keras or Model.h5 that model.save wrote before the export"
    )


def _nested(content: bytes, *numbers: int) -> Iterator[bytes]:
    if not numbers:
        yield content
        return
    for field in _fields(content, numbers[0]):
        yield from _nested(field, *numbers[1:])


def _fields(content: bytes, number: int) -> list[bytes]:
    """What is in a protobuf message under a number, where the message's definition is not at hand.

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
    """Half precision is for training on a GPU; the weights are in single precision in any case."""
    if isinstance(node, dict):
        return {key: _in_single_precision(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_in_single_precision(value) for value in node]
    return "float32" if node in _HALF else node


def _sum(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()
