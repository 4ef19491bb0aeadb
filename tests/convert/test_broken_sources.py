"""Files that hold no network that can be read: one clear line each, and no trace of what the reader is made of."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest
import tf_keras

from convert.loading import load_network
from convert.network import examine
from convert.source import WEIGHTS_ENTRY, read_source
from device.errors import ConversionError
from tests.convert.strangers import HDF5_IS_LEGACY, keras_file, network

pytestmark = pytest.mark.filterwarnings(HDF5_IS_LEGACY, "ignore:Duplicate name:UserWarning")
MODEL: dict[str, Any] = {"class_name": "Functional", "config": {"name": "model", "layers": []}}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same network as `Model.keras`, `Model.h5` and `Model.weights.h5` of Keras 3."""
    folder = tmp_path_factory.mktemp("honest")
    model = network(keras)
    for name in ("Model.keras", "Model.h5"):
        model.save(folder / name)
    model.save_weights(folder / "Model.weights.h5")
    return folder


def told(path: Path) -> str:
    """The one line by which a file is refused."""
    with pytest.raises(ConversionError) as caught:
        read_source(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["Model.keras", "Model.h5"])
def test_cut_short(part: float, name: str, honest: Path, tmp_path: Path) -> None:
    content = (honest / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    assert "damaged or cut short" in told(tmp_path / name)


def test_flipped_bytes(honest: Path, tmp_path: Path) -> None:
    content = bytearray((honest / "Model.keras").read_bytes())
    with zipfile.ZipFile(honest / "Model.keras") as archive:
        start = archive.getinfo("config.json").header_offset + 200
    content[start : start + 8] = b"\xff" * 8
    (tmp_path / "Model.keras").write_bytes(content)
    assert "damaged" in told(tmp_path / "Model.keras")


def without(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in {"metadata.json", "config.json", WEIGHTS_ENTRY} - set(names):
            archive.writestr(name, "{}")
    return path


@pytest.mark.parametrize("name", ["metadata.json", "config.json", WEIGHTS_ENTRY])
def test_entry_is_missing(name: str, tmp_path: Path) -> None:
    assert f"no Keras model, it has no {name}; save it with model.save" in told(without(tmp_path / "a.keras", name))


def test_other_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("a.png", b"")
    assert "no Keras model" in told(tmp_path / "pictures.zip")


def test_configuration_is_there_twice(tmp_path: Path) -> None:
    # One reader may take the first, another the last.
    assert "has config.json 2 times" in told(keras_file(tmp_path / "Model.keras", MODEL, times=2))


def test_unpacks_to_too_much_text(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "Model.keras", f'"{" " * (65 << 20)}"')
    assert path.stat().st_size < 1 << 20
    assert "unpacks to more than a model can be" in told(path)


def configuration(honest: Path) -> str:
    with zipfile.ZipFile(honest / "Model.keras") as archive:
        return archive.read("config.json").decode()


def claiming(path: Path, name: str, size: int, text: str = json.dumps(MODEL)) -> Path:
    """A small file whose directory says that an entry of it unpacks to `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.5.0"}')
        archive.writestr("config.json", text)
        archive.writestr(WEIGHTS_ENTRY, b"x" * 1000)
        archive.getinfo(name).file_size = size
    return path


def test_weights_claim_to_be_too_large(tmp_path: Path) -> None:
    path = claiming(tmp_path / "Model.keras", WEIGHTS_ENTRY, 3 << 30)
    assert path.stat().st_size < 2000
    assert "unpacks to more than a model can be" in told(path)


def test_weights_are_more_than_they_claim(honest: Path, tmp_path: Path) -> None:
    path = claiming(tmp_path / "Model.keras", WEIGHTS_ENTRY, 10, configuration(honest))
    source = read_source(path)
    with pytest.raises(ConversionError, match="Keras cannot load the network: Bad CRC-32"):
        load_network(path, source.format, source.keras, source.stored)


def test_weights_are_garbled(honest: Path, tmp_path: Path) -> None:
    path = keras_file(tmp_path / "Model.keras", configuration(honest), weights=b"x" * 1000)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(WEIGHTS_ENTRY).header_offset + 30 + len(WEIGHTS_ENTRY)
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    source = read_source(path)
    with pytest.raises(ConversionError, match="Keras cannot load the network: Error -3 while decompressing"):
        load_network(path, source.format, source.keras, source.stored)


def test_configuration_is_more_than_it_claims(tmp_path: Path) -> None:
    assert "damaged" in told(claiming(tmp_path / "Model.keras", "config.json", 10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its configuration is not JSON of Keras"),
        ("{", "its configuration is not JSON of Keras"),
        ("[" * 100_000, "its configuration is not JSON of Keras"),
        ('"module"', "its configuration is not JSON of Keras"),
        ("3", "its configuration is not JSON of Keras"),
        ("{}", "its configuration is not one of a functional Keras model"),
        ("[]", "its configuration is not one of a functional Keras model"),
        ('{"class_name": "Functional"}', "its configuration is not one of a functional Keras model"),
        ('{"class_name": "Functional", "config": []}', "its configuration is not one of a functional Keras model"),
    ],
)
def test_other_json(text: str, message: str, tmp_path: Path) -> None:
    assert message in told(keras_file(tmp_path / "Model.keras", text))


@pytest.mark.parametrize("settings", [None, [], {}, {"input_dim": None}, {"input_dim": "many"}])
def test_embedding_without_its_settings(settings: object, honest: Path) -> None:
    stored = json.loads(json.dumps(read_source(honest / "Model.keras").configuration))
    (embedding,) = (layer for layer in stored["config"]["layers"] if layer["class_name"] == "Embedding")
    hidden = {"class_name": "Embedding", **({} if settings is None else {"config": settings})}
    embedding["config"]["embeddings_constraint"] = hidden
    with pytest.raises(ConversionError, match="an Embedding does not say how many rows it has"):
        examine(stored)


@pytest.mark.parametrize("content", [b"", b"PK", b"# Keras\n", b"\x80\x04pickled", b"PK\x05\x06" + bytes(18)])
def test_other_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "Model.keras").write_bytes(content)
    assert "not an HDF5 file, a .keras file or a SavedModel folder" in told(tmp_path / "Model.keras")


def test_tflite_model(tmp_path: Path) -> None:
    (tmp_path / "Model.h5").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    assert "is a TFLite model already; `edge-mcnn inspect` says what is in it" in told(tmp_path / "Model.h5")


def test_no_file(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in told(tmp_path / "Model.keras")


def test_weights_alone(honest: Path) -> None:
    assert "holds no network, only weights or other data" in told(honest / "Model.weights.h5")


def test_other_folder(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    assert "a folder without saved_model.pb, so no SavedModel" in told(tmp_path)


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb"])
@pytest.mark.parametrize("content", [b"\xff" * 100, b"<html></html>", b"\x12\xff\xff\xff\xff\x0f"])
def test_garbage_in_a_saved_model(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    (tmp_path / name).write_bytes(content)
    assert "damaged: not a SavedModel; save it again" in told(tmp_path)


def test_empty_saved_model(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert "exported for inference" in told(tmp_path)


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


def kept_elsewhere(path: Path) -> None:
    def keep(file: h5py.File, name: str, data: Any) -> None:
        raw = path.parent / "other.raw"
        raw.write_bytes(data.tobytes())
        file.create_dataset(name, data.shape, data.dtype, external=[(str(raw), 0, data.nbytes)])

    move_first_dataset(path, keep)


def virtual(path: Path) -> None:
    def keep(file: h5py.File, name: str, data: Any) -> None:
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[...] = h5py.VirtualSource("other.h5", "there", data.shape)
        file.create_virtual_dataset(name, layout)

    move_first_dataset(path, keep)


def move_first_dataset(path: Path, keep: Callable[[h5py.File, str, Any], None]) -> None:
    """Take weights out of the file and put them into another; what Keras reads then is the same."""
    with h5py.File(path, "r+") as file:
        name = _datasets(file)[0]
        data = file[name][()]
        del file[name]
        with h5py.File(path.parent / "other.h5", "w") as other:
            other["there"] = data
        keep(file, name, data)


@pytest.mark.parametrize("move", [linked, kept_elsewhere, virtual])
@pytest.mark.parametrize("name", ["Model.h5", "Model.keras"])
def test_weights_in_another_file(move: Callable[[Path], None], name: str, honest: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(honest / name, tmp_path))
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
    source = read_source(path)
    with pytest.raises(ConversionError, match="is kept in another file; save it again"):
        load_network(path, source.format, source.keras, source.stored)


@pytest.mark.parametrize("break_weights", [fewer, none_at_all, of_another_shape])
@pytest.mark.parametrize("version", [2, 3])
def test_weights_do_not_fit(break_weights: Callable[[Path], None], version: int, honest: Path, tmp_path: Path) -> None:
    path = tmp_path / "Model.h5"
    if version == 3:
        shutil.copy(honest / path.name, path)
    else:
        network(tf_keras).save(path)
    break_weights(path)
    source = read_source(path)
    with pytest.raises(ConversionError, match="Keras cannot load the network") as caught:
        load_network(path, source.format, source.keras, source.stored)
    assert len(str(caught.value).splitlines()) == 1


def test_saved_model_without_its_variables(tmp_path: Path) -> None:
    network(tf_keras).save(tmp_path / "model", save_format="tf")
    shutil.rmtree(tmp_path / "model" / "variables")
    source = read_source(tmp_path / "model")
    with pytest.raises(ConversionError, match="Keras cannot load the network") as caught:
        load_network(tmp_path / "model", source.format, source.keras, source.stored)
    assert len(str(caught.value).splitlines()) == 1
