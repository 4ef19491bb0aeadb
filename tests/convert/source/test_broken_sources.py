"""Files that hold no network that can be read: one clear line each, and no trace of what the reader is made of."""

import json
import zipfile
from pathlib import Path

import pytest

from convert.source.keras_source import WEIGHTS_ENTRY, read_source
from convert.source.model_spec import examine
from device.errors import ConversionError
from tests.convert.strangers import HDF5_IS_LEGACY, MODEL, claiming, keras_file

pytestmark = pytest.mark.filterwarnings(HDF5_IS_LEGACY, "ignore:Duplicate name:UserWarning")


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


def test_weights_claim_to_be_too_large(tmp_path: Path) -> None:
    path = claiming(tmp_path / "Model.keras", WEIGHTS_ENTRY, 3 << 30)
    assert path.stat().st_size < 2000
    assert "unpacks to more than a model can be" in told(path)


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
