import io
import json
import struct
import subprocess
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.bundle import (
    DEFAULT_BUNDLE,
    NAME_A_MODEL,
    SHIPPED_BUNDLES,
    Companions,
    Transitions,
    bundle_path,
    pack,
    read_bundle,
    shipped_name,
)
from device.errors import BundleError
from device.front_end.parameters import FrontEnd

FLATBUFFER = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 4
COMPANIONS = Companions(("positive", "neutral", "negative"), ("the", "i'm", "caf\u00e9"), FrontEnd(), {"name": "test"})


def write(folder: Path, content: bytes) -> Path:
    path = folder / "Model.tflite"
    path.write_bytes(content)
    return path


def repacked(**changed: str | None) -> bytes:
    """Pack a bundle with some entries replaced, or left out where None."""
    buffer = io.BytesIO(FLATBUFFER)
    with zipfile.ZipFile(buffer, "a") as archive, zipfile.ZipFile(io.BytesIO(pack(FLATBUFFER, COMPANIONS))) as packed:
        for name in packed.namelist():
            text = changed.get(name.partition(".")[0], packed.read(name).decode())
            if text is not None:
                archive.writestr(name, text)
    return buffer.getvalue()


def test_reading_returns_the_packed_parts(tmp_path: Path) -> None:
    content = pack(FLATBUFFER, COMPANIONS)
    bundle = read_bundle(write(tmp_path, content))
    assert bundle.model == content
    assert bundle.flatbuffer_size == len(FLATBUFFER)
    assert content.startswith(FLATBUFFER)
    assert bundle.companions.labels == COMPANIONS.labels
    assert bundle.companions.vocabulary == COMPANIONS.vocabulary
    assert bundle.companions.front_end == COMPANIONS.front_end
    assert bundle.companions.card["name"] == "test"


TRANSITIONS = Transitions(((0.5, 0.25, 0.25), (0.2, 0.6, 0.2), (0.1, 0.2, 0.7)), (0.25, 0.35, 0.4))


def test_transitions_are_packed_and_read(tmp_path: Path) -> None:
    assert read_bundle(write(tmp_path, pack(FLATBUFFER, COMPANIONS))).companions.transitions is None
    carrying = replace(COMPANIONS, transitions=TRANSITIONS)
    assert read_bundle(write(tmp_path, pack(FLATBUFFER, carrying))).companions.transitions == TRANSITIONS


def table(following: object, frequencies: object = (0.25, 0.35, 0.4)) -> str:
    return json.dumps({"following": following, "frequencies": frequencies})


ROWS = [list(row) for row in TRANSITIONS.following]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a JSON object with the numbers"),
        ("[]", "expected a JSON object with the numbers"),
        ("{}", "expected a JSON object with the numbers"),
        ("[" * 100_000, "expected a JSON object with the numbers"),
        (table(3), "expected a JSON object with the numbers"),
        (table([["a", "b", "c"]] * 3), "expected a JSON object with the numbers"),
        (table(["abc"] * 3), "expected a JSON object with the numbers"),
        (table([[True, 0, 0]] * 3), "expected a JSON object with the numbers"),
        (table(ROWS, None), "expected a JSON object with the numbers"),
        (table([[10**400, 0, 0]] * 3), "expected a JSON object with the numbers"),
        (table(ROWS[:2]), "not a row and a frequency for each class"),
        (table([row[:2] for row in ROWS]), "not a row and a frequency for each class"),
        (table(ROWS, [0.5, 0.5]), "not a row and a frequency for each class"),
        (table([[0.5, 0.5], [0.5, 0.5]], [0.5, 0.5]), "transitions: of 2 classes, and there are 3 labels"),
        (table([[1.0, 0.0, 0.0], *ROWS[1:]]), "not a list of probabilities that add up to 1"),
        (table([[0.6, 0.6, -0.2], *ROWS[1:]]), "not a list of probabilities that add up to 1"),
        (table([[0.5, 0.25, 0.3], *ROWS[1:]]), "not a list of probabilities that add up to 1"),
        (table([[float("nan"), 0.5, 0.5], *ROWS[1:]]), "not a list of probabilities that add up to 1"),
    ],
)
def test_wrong_transitions_are_refused(tmp_path: Path, text: str, message: str) -> None:
    content = io.BytesIO(pack(FLATBUFFER, COMPANIONS))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("transitions.json", text)
    path = write(tmp_path, content.getvalue())
    with pytest.raises(BundleError, match=message) as error:
        read_bundle(path)
    assert str(error.value).startswith(f"{path}: ")
    assert error.value.fix == "copy the model again, or convert it again"


def test_same_content_gives_same_bytes() -> None:
    assert pack(FLATBUFFER, COMPANIONS) == pack(FLATBUFFER, COMPANIONS)


def test_any_zip_tool_lists_it(tmp_path: Path) -> None:
    listing = subprocess.run(
        ["python3", "-m", "zipfile", "--list", write(tmp_path, pack(FLATBUFFER, COMPANIONS))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in ("labels.txt", "vocabulary.txt", "front_end.json", "model_card.json"):
        assert name in listing


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TFLite model"),
        (b"hello", "not a TFLite model"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 1\n", "holds a pointer of Git LFS .*git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 50, "run `edge-mcnn convert`"),
        (FLATBUFFER, "without labels"),
        (pack(FLATBUFFER, COMPANIONS)[:-40], "without labels"),
        (pack(FLATBUFFER, COMPANIONS).replace(bytes(range(9)), bytes(9), 1), "checksum"),
        (repacked(labels=None), "carries no labels.txt"),
        (repacked(vocabulary=None), "carries no vocabulary.txt"),
        (repacked(front_end=None), "carries no front_end.json"),
        (repacked(model_card=None), "checksum"),
        (repacked(labels="only\n"), "labels: 1 found"),
        (repacked(labels="a\na\n"), "repeated"),
        (repacked(labels="a\n\nb\n"), "empty"),
        (repacked(vocabulary="two words\n"), "contains a space"),
        (repacked(vocabulary="x\n" * 3), "repeated"),
        (repacked(front_end="{"), "not valid JSON"),
        (repacked(model_card="[]"), "expected a JSON object"),
        (repacked(labels="x" * (17 << 20)), "larger than 16 MB"),
    ],
)
def test_a_bad_bundle_gets_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(BundleError, match=message) as error:
        read_bundle(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (b"hello", NAME_A_MODEL),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 50, "run `edge-mcnn convert` on it first"),
        (FLATBUFFER, "convert it again with `edge-mcnn convert`"),
        (pack(FLATBUFFER, COMPANIONS).replace(bytes(range(9)), bytes(9), 1), "copy it again"),
        (repacked(front_end='{"version": 2}'), "update edge-mcnn"),
    ],
)
def test_the_fix_is_apart_from_the_message(tmp_path: Path, content: bytes, fix: str) -> None:
    with pytest.raises(BundleError) as error:
        read_bundle(write(tmp_path, content))
    assert error.value.fix == fix
    assert fix not in error.value.message


def packed_as(compression: int) -> bytes:
    buffer = io.BytesIO(FLATBUFFER)
    with zipfile.ZipFile(buffer, "a", compression) as archive:
        archive.writestr("labels.txt", bytes(1000))
    return buffer.getvalue()


def many_entries(count: int) -> bytes:
    buffer = io.BytesIO(FLATBUFFER)
    with zipfile.ZipFile(buffer, "a") as archive:
        for number in range(count):
            archive.writestr(str(number), "")
    return buffer.getvalue()


def with_directory_field(content: bytes, offset: int, kind: str, *values: int) -> bytes:
    """Change some fields of the first entry in the zip's directory."""
    place = content.index(b"PK\x01\x02") + offset
    return content[:place] + struct.pack(kind, *values) + content[place + struct.calcsize(kind) :]


def lying_bomb() -> bytes:
    """Pack 200 MB that claim to be 1000 bytes."""
    buffer = io.BytesIO(FLATBUFFER)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", bytes(200 << 20))
    return with_directory_field(buffer.getvalue(), 24, "<I", 1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            packed_as(zipfile.ZIP_BZIP2),
            "labels.txt: compressed by a method that edge-mcnn does not use; convert",
        ),  # zipfile unpacks these without a limit
        (
            packed_as(zipfile.ZIP_LZMA),
            "labels.txt: compressed by a method that edge-mcnn does not use; convert",
        ),
        (many_entries(101), "more than 100 files"),
        (many_entries(100), "carries no labels.txt"),
        (lying_bomb(), "damaged: its companions cannot be unpacked"),
        (with_directory_field(pack(FLATBUFFER, COMPANIONS), 24, "<I", 17 << 20), "labels.txt: larger than 16 MB"),
        (
            with_directory_field(pack(FLATBUFFER, COMPANIONS), 42, "<I", len(pack(FLATBUFFER, COMPANIONS)) - 10),
            "damaged",
        ),
        (with_directory_field(pack(FLATBUFFER, COMPANIONS), 42, "<I", 0xFFFFFFF0), "damaged"),
        (pack(FLATBUFFER, COMPANIONS).replace(b"labels.txt", b"Labels.txt", 1), "damaged"),
    ],
)
def test_a_hostile_zip_gets_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=message) as error:
            read_bundle(write(tmp_path, content))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value)


def test_memory_stays_close_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, pack(FLATBUFFER, COMPANIONS))
    tracemalloc.start()
    try:
        read_bundle(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_larger_than_any_bundle(tmp_path: Path) -> None:
    path = tmp_path / "Model.tflite"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(BundleError, match="larger than 1024 MB"):
        read_bundle(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        read_bundle(tmp_path / "none.tflite")
    with pytest.raises(BundleError, match="is a folder") as error:
        read_bundle(tmp_path)
    assert error.value.message.startswith(f"{tmp_path}: ")
    assert error.value.fix == NAME_A_MODEL


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
@settings(max_examples=200)
def test_a_changed_bundle_is_refused_or_the_same(position: int, change: bytes) -> None:
    import tempfile

    content = bytearray(pack(FLATBUFFER, COMPANIONS))
    position %= len(content)
    content[position : position + len(change)] = change
    with tempfile.TemporaryDirectory() as folder:
        try:
            bundle = read_bundle(write(Path(folder), bytes(content)))
        except BundleError:
            return
    assert bundle.companions == read_back()


def read_back() -> Companions:
    entries = {}
    with zipfile.ZipFile(io.BytesIO(pack(FLATBUFFER, COMPANIONS))) as packed:
        entries = {name: packed.read(name).decode() for name in packed.namelist()}
    return Companions.from_entries(entries)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("sentiment", ("negative", "neutral", "positive")),
        ("emotions", ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")),
    ],
)
def test_each_bundle_that_ships_is_small_and_has_the_classes_of_its_name(name: str, labels: tuple[str, ...]) -> None:
    path = bundle_path(name)
    assert shipped_name(path) == name == path.stem
    assert read_bundle(path).companions.labels == labels
    assert path.stat().st_size < 3_000_000


def test_a_name_wins_over_a_file_and_any_other_text_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    Path("emotions").write_bytes(b"another model")
    assert bundle_path("emotions") == SHIPPED_BUNDLES["emotions"]
    assert bundle_path("") == DEFAULT_BUNDLE == SHIPPED_BUNDLES["sentiment"]
    assert bundle_path("./emotions").read_bytes() == b"another model"
    assert bundle_path("~/Model.tflite") == Path("/home/me/Model.tflite")
    assert shipped_name(Path("emotions")) is None
    with pytest.raises(BundleError, match="Emotions: no such file or folder") as error:
        read_bundle(bundle_path("Emotions"))
    assert error.value.fix.endswith("the name of a model that ships: sentiment, emotions")


def test_a_card_holds_any_name(tmp_path: Path) -> None:
    card = {"table": "caf\udce9.csv", "command": "\x1b[31m\u202e"}
    shipped = read_bundle(DEFAULT_BUNDLE)
    path = tmp_path / "Model.tflite"
    companions = replace(shipped.companions, card=card)
    path.write_bytes(pack(shipped.model[: shipped.flatbuffer_size], companions))
    read = read_bundle(path).companions.card
    assert {name: read[name] for name in card} == card
