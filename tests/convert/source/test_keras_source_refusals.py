"""Files without a readable network: each gets one clear line, without internals of the reader."""

import json
import zipfile
from pathlib import Path

import pytest

from convert.source.keras_source import WEIGHTS_ENTRY, read_source
from convert.source.model_spec import read_spec
from device.errors import ConversionError
from tests.convert.third_party_models import IGNORE_HDF5_WARNING, MODEL, keras_file, with_false_size

pytestmark = pytest.mark.filterwarnings(IGNORE_HDF5_WARNING, "ignore:Duplicate name:UserWarning")


def refusal(path: Path) -> str:
    """The error of a file, which must be one line."""
    with pytest.raises(ConversionError) as caught:
        read_source(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["Model.keras", "Model.h5"])
def test_cut_short(part: float, name: str, keras_3_files: Path, tmp_path: Path) -> None:
    content = (keras_3_files / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    assert "damaged or cut short" in refusal(tmp_path / name)


def test_flipped_bytes(keras_3_files: Path, tmp_path: Path) -> None:
    content = bytearray((keras_3_files / "Model.keras").read_bytes())
    with zipfile.ZipFile(keras_3_files / "Model.keras") as archive:
        start = archive.getinfo("config.json").header_offset + 200
    content[start : start + 8] = b"\xff" * 8
    (tmp_path / "Model.keras").write_bytes(content)
    assert "damaged" in refusal(tmp_path / "Model.keras")


def without(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in {"metadata.json", "config.json", WEIGHTS_ENTRY} - set(names):
            archive.writestr(name, "{}")
    return path


@pytest.mark.parametrize("name", ["metadata.json", "config.json", WEIGHTS_ENTRY])
def test_entry_is_missing(name: str, tmp_path: Path) -> None:
    assert f"not a Keras model, it has no {name}; save it with model.save" in refusal(
        without(tmp_path / "a.keras", name)
    )


def test_other_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("a.png", b"")
    assert "not a Keras model" in refusal(tmp_path / "pictures.zip")


def test_duplicate_configuration(tmp_path: Path) -> None:
    # One reader may use the first, another the last.
    assert "has config.json 2 times" in refusal(keras_file(tmp_path / "Model.keras", MODEL, times=2))


def test_unpacks_to_too_much_text(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "Model.keras", f'"{" " * (65 << 20)}"')
    assert path.stat().st_size < 1 << 20
    assert "unpacks to more bytes than a model can have" in refusal(path)


def test_weights_claim_to_be_too_large(tmp_path: Path) -> None:
    path = with_false_size(tmp_path / "Model.keras", WEIGHTS_ENTRY, 3 << 30)
    assert path.stat().st_size < 2000
    assert "unpacks to more bytes than a model can have" in refusal(path)


def test_configuration_is_more_than_it_claims(tmp_path: Path) -> None:
    assert "damaged" in refusal(with_false_size(tmp_path / "Model.keras", "config.json", 10))


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
    assert message in refusal(keras_file(tmp_path / "Model.keras", text))


@pytest.mark.parametrize("settings", [None, [], {}, {"input_dim": None}, {"input_dim": "many"}])
def test_embedding_without_its_settings(settings: object, keras_3_files: Path) -> None:
    stored = json.loads(json.dumps(read_source(keras_3_files / "Model.keras").configuration))
    (embedding,) = (layer for layer in stored["config"]["layers"] if layer["class_name"] == "Embedding")
    hidden = {"class_name": "Embedding", **({} if settings is None else {"config": settings})}
    embedding["config"]["embeddings_constraint"] = hidden
    with pytest.raises(ConversionError, match="an Embedding does not state how many rows it has"):
        read_spec(stored)


@pytest.mark.parametrize("content", [b"PK", b"# Keras\n", b"PK\x05\x06" + bytes(18)])
def test_other_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "Model.keras").write_bytes(content)
    assert "not an HDF5 file, a .keras file or a SavedModel folder" in refusal(tmp_path / "Model.keras")


def test_tflite_model(tmp_path: Path) -> None:
    (tmp_path / "Model.h5").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    assert "is a TFLite model already; convert the Model.h5 or Model.keras that it" in refusal(tmp_path / "Model.h5")


def test_no_file(tmp_path: Path) -> None:
    assert "no such file or folder; name a Model.h5 or Model.keras that" in refusal(tmp_path / "Model.keras")


def test_weights_alone(keras_3_files: Path) -> None:
    assert "holds no network, only weights or other data" in refusal(keras_3_files / "Model.weights.h5")


def test_other_folder(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    assert "a folder without saved_model.pb, so not a SavedModel" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb"])
@pytest.mark.parametrize("content", [b"\xff" * 100, b"<html></html>", b"\x12\xff\xff\xff\xff\x0f"])
def test_garbage_in_a_saved_model(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    (tmp_path / name).write_bytes(content)
    assert "damaged: not a SavedModel; save it again" in refusal(tmp_path)


def test_empty_saved_model(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert "exported for inference" in refusal(tmp_path)
