"""Networks whose weights are missing, corrupted, in another file or of another network are refused when loaded."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import tf_keras

from convert.source.keras_loading import load_network
from convert.source.keras_source import WEIGHTS_ENTRY, read_source
from device.errors import ConversionError
from tests.convert.third_party_models import IGNORE_HDF5_WARNING, keras_file, network, with_false_size

pytestmark = pytest.mark.filterwarnings(IGNORE_HDF5_WARNING, "ignore:Duplicate name:UserWarning")


def refusal(path: Path) -> str:
    """The error about the weights of a network, which must be one line; the rest of the file is readable."""
    source = read_source(path)
    with pytest.raises(ConversionError) as caught:
        load_network(path, source.format, source.keras, source.stored)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def configuration(keras_3_files: Path) -> str:
    with zipfile.ZipFile(keras_3_files / "Model.keras") as archive:
        return archive.read("config.json").decode()


def test_weights_are_more_than_they_claim(keras_3_files: Path, tmp_path: Path) -> None:
    path = with_false_size(tmp_path / "Model.keras", WEIGHTS_ENTRY, 10, configuration(keras_3_files))
    assert "Keras cannot load the network: Bad CRC-32" in refusal(path)


def test_weights_are_corrupted(keras_3_files: Path, tmp_path: Path) -> None:
    path = keras_file(tmp_path / "Model.keras", configuration(keras_3_files), weights=b"x" * 1000)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(WEIGHTS_ENTRY).header_offset + 30 + len(WEIGHTS_ENTRY)
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    assert "Keras cannot load the network: Error -3 while decompressing" in refusal(path)


def fewer(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        del group[next(name for name in group if name.startswith("dense"))]


def none_at_all(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["model_weights"]


def of_another_shape(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visit(lambda name: found.append(name) if name.endswith("embeddings:0") else None)
        name = (found or [next(name for name in _datasets(file) if "embeddings" in name)])[0]
        del file[name]
        file[name] = [1.0, 2.0]


def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    return names


def linked(path: Path) -> None:
    move_first_dataset(path, lambda file, name, _: file.__setitem__(name, h5py.ExternalLink("other.h5", "/there")))


def stored_externally(path: Path) -> None:
    def store(file: h5py.File, name: str, data: Any) -> None:
        raw = path.parent / "other.raw"
        raw.write_bytes(data.tobytes())
        file.create_dataset(name, data.shape, data.dtype, external=[(str(raw), 0, data.nbytes)])

    move_first_dataset(path, store)


def virtual(path: Path) -> None:
    def store(file: h5py.File, name: str, data: Any) -> None:
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[...] = h5py.VirtualSource("other.h5", "there", data.shape)
        file.create_virtual_dataset(name, layout)

    move_first_dataset(path, store)


def move_first_dataset(path: Path, store: Callable[[h5py.File, str, Any], None]) -> None:
    """Move weights to another file in such a way that Keras would read the same values."""
    with h5py.File(path, "r+") as file:
        name = _datasets(file)[0]
        data = file[name][()]
        del file[name]
        with h5py.File(path.parent / "other.h5", "w") as other:
            other["there"] = data
        store(file, name, data)


@pytest.mark.parametrize("move", [linked, stored_externally, virtual])
@pytest.mark.parametrize("name", ["Model.h5", "Model.keras"])
def test_weights_in_another_file(move: Callable[[Path], None], name: str, keras_3_files: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(keras_3_files / name, tmp_path))
    if name == "Model.h5":
        move(path)
    else:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path)
        move(tmp_path / WEIGHTS_ENTRY)
        path.unlink()
        with zipfile.ZipFile(path, "w") as archive:
            for entry in ("config.json", "metadata.json", WEIGHTS_ENTRY):
                archive.write(tmp_path / entry, entry)
    assert "is stored in another file; save the model again" in refusal(path)


@pytest.mark.parametrize("break_weights", [fewer, none_at_all, of_another_shape])
@pytest.mark.parametrize("version", [2, 3])
def test_weights_do_not_fit(
    break_weights: Callable[[Path], None], version: int, keras_3_files: Path, tmp_path: Path
) -> None:
    path = tmp_path / "Model.h5"
    if version == 3:
        shutil.copy(keras_3_files / path.name, path)
    else:
        network(tf_keras).save(path)
    break_weights(path)
    assert "Keras cannot load the network" in refusal(path)


def test_saved_model_without_its_variables(tmp_path: Path) -> None:
    network(tf_keras).save(tmp_path / "model", save_format="tf")
    shutil.rmtree(tmp_path / "model" / "variables")
    assert "Keras cannot load the network" in refusal(tmp_path / "model")
