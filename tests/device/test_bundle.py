import io
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.bundle import Companions, pack, read_bundle
from device.errors import BundleError
from device.front_end.parameters import FrontEnd

FLATBUFFER = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 4
COMPANIONS = Companions(("positive", "neutral", "negative"), ("the", "i'm", "caf\u00e9"), FrontEnd(), {"name": "test"})


def write(folder: Path, content: bytes) -> Path:
    path = folder / "Model.tflite"
    path.write_bytes(content)
    return path


def repacked(**changed: str | None) -> bytes:
    """A bundle with some entries replaced, or left out where None."""
    buffer = io.BytesIO(FLATBUFFER)
    with zipfile.ZipFile(buffer, "a") as archive, zipfile.ZipFile(io.BytesIO(pack(FLATBUFFER, COMPANIONS))) as whole:
        for name in whole.namelist():
            text = changed.get(name.partition(".")[0], whole.read(name).decode())
            if text is not None:
                archive.writestr(name, text)
    return buffer.getvalue()


def test_gives_back_what_was_packed(tmp_path: Path) -> None:
    content = pack(FLATBUFFER, COMPANIONS)
    bundle = read_bundle(write(tmp_path, content))
    assert bundle.model == content
    assert content.startswith(FLATBUFFER)
    assert bundle.companions.labels == COMPANIONS.labels
    assert bundle.companions.vocabulary == COMPANIONS.vocabulary
    assert bundle.companions.front_end == COMPANIONS.front_end
    assert bundle.companions.card["name"] == "test"


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
    ("content", "told"),
    [
        (b"", "not a TFLite model"),
        (b"hello", "not a TFLite model"),
        (b"\x89HDF\r\n\x1a\n" + b"x" * 50, "run `edge-mcnn convert`"),
        (FLATBUFFER, "without labels"),
        (pack(FLATBUFFER, COMPANIONS)[:-40], "without labels"),
        (pack(FLATBUFFER, COMPANIONS).replace(bytes(range(9)), bytes(9), 1), "checksum"),
        (repacked(labels=None), "carries no labels.txt"),
        (repacked(vocabulary=None), "carries no vocabulary.txt"),
        (repacked(front_end=None), "carries no front_end.json"),
        (repacked(model_card=None), "checksum"),
        (repacked(labels="only\n"), "labels: 1 found"),
        (repacked(labels="a\na\n"), "twice"),
        (repacked(labels="a\n\nb\n"), "empty"),
        (repacked(vocabulary="two words\n"), "contains a space"),
        (repacked(vocabulary="x\n" * 3), "twice"),
        (repacked(front_end="{"), "not valid JSON"),
        (repacked(model_card="[]"), "expected a JSON object"),
        (repacked(labels="x" * (17 << 20)), "larger than 16 MB"),
    ],
)
def test_bad_bundles_get_a_clear_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(BundleError, match=told) as caught:
        read_bundle(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(tmp_path / "none.tflite")
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(tmp_path)


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
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
    with zipfile.ZipFile(io.BytesIO(pack(FLATBUFFER, COMPANIONS))) as whole:
        entries = {name: whole.read(name).decode() for name in whole.namelist()}
    return Companions.from_entries(entries)
