import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from convert.tflite_model.inspection import inspect_bundle
from device.bundle import DEFAULT_BUNDLE, Companions, pack, read_bundle
from device.errors import BundleError
from device.front_end.parameters import FrontEnd
from edge_mcnn.inspect import runs_on, show
from tests.convert.tflite_model.operator_probe import packed
from tests.convert.tflite_model.test_flatbuffer import TWO_GRAPHS, two_graphs

LABELS = ("positive", "negative")


def bundle(folder: Path, flatbuffer: bytes = TWO_GRAPHS, card: dict[str, Any] | None = None) -> Path:
    path = folder / "Model.tflite"
    path.write_bytes(pack(flatbuffer, Companions(LABELS, ("the", "a"), FrontEnd(), card or {})))
    return path


def with_signature(name: bytes = b"serving_default") -> bytes:
    model = two_graphs()
    model.signatureDefs[0].signatureKey = name
    return packed(model)


def shown(path: Path, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(inspect_bundle(path), console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def edge_mcnn(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_mcnn", "inspect", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_tells_of_the_bundle_that_ships() -> None:
    done = edge_mcnn("--json", DEFAULT_BUNDLE)
    assert (done.returncode, done.stderr) == (0, "")
    table = json.loads(done.stdout)
    whole = read_bundle(DEFAULT_BUNDLE)
    assert table["bytes"] == len(whole.model)
    assert (
        table["flatbuffer_sha256"] == whole.companions.card["flatbuffer_sha256"] == table["card"]["flatbuffer_sha256"]
    )
    assert table["runtimes"] == {"tflite-runtime": [], "ai-edge-litert": []}
    assert {each["name"]: (each["shape"], each["dtype"]) for each in table["inputs"]} == {
        "features": ([1, 32], "int32"),
        "images": ([1, 64, 64, 3], "float32"),
    }
    assert table["outputs"] == [{"name": "probabilities", "shape": [1, 3], "dtype": "float32"}]
    assert table["labels"] == list(whole.companions.labels)
    assert table["vocabulary"]["size"] == len(whole.companions.vocabulary)
    assert table["vocabulary"]["first"] == list(whole.companions.vocabulary[:12])
    assert table["front_end"] == json.loads(whole.companions.front_end.to_json())
    assert table["card"] == whole.companions.card
    assert sum(group["bytes"] for group in table["operators"]) == table["weights_bytes"]
    assert sum(table["stored"].values()) == table["weights_bytes"] < table["flatbuffer_bytes"] < table["bytes"]


@pytest.mark.parametrize("width", [80, 200])
def test_reads_well_in_a_terminal(width: int) -> None:
    lines = shown(DEFAULT_BUNDLE, width).splitlines()
    assert max(map(len, lines[1:])) <= width
    text = "\n".join(lines)
    for told in (
        "tflite-runtime 2.14 and LiteRT",
        "int8 per channel",
        "1 x 64 x 64 x 3",
        "trim_db",
        "  limits\n    - ",
    ):
        assert told in text
    assert "{" not in text.partition("Model card")[2]


def test_the_card_is_a_list_of_lines(tmp_path: Path) -> None:
    card = {
        "name": "n",
        "scores": [{"words": 0.123456789, "sound": None}, [1, 2]],
        "none": [],
        "a": {"b": {"c": True}},
        "long": "word " * 30,
    }
    text = shown(bundle(tmp_path, with_signature(), card))
    assert text.partition("Model card\n")[2].splitlines()[:10] == [
        "  name: n",
        "  scores",
        "    - words: 0.123457",
        "      sound: none",
        "    - 1, 2",
        "  none: none",
        "  a",
        "    b",
        "      c: yes",
        "  long: " + " ".join(["word"] * 14),
    ]


def test_each_constant_counts_once(tmp_path: Path) -> None:
    """The weights (12 bytes) belong to both operators, the bias (16 bytes) to one."""
    inspection = inspect_bundle(bundle(tmp_path, with_signature()))
    groups = {group.name: group for group in inspection.operators}
    assert groups["FULLY_CONNECTED"].bytes == 28
    assert groups["FULLY_CONNECTED"].stored == {"int32 per tensor": 16, "int8 per channel": 12}
    assert (groups["FlexErf"].count, groups["FlexErf"].bytes, groups["FlexErf"].stored) == (1, 0, {})
    assert inspection.weights_bytes == 28
    assert [each["name"] for each in inspection.inputs + inspection.outputs] == ["x", "y"]


def test_which_runtimes() -> None:
    new = {"name": "FULLY_CONNECTED", "version": 12, "newest": 10}
    flex = {"name": "FlexErf", "version": 1, "newest": 0}
    assert runs_on({"tflite-runtime": [], "ai-edge-litert": []}) == "tflite-runtime 2.14 and LiteRT"
    assert (
        runs_on({"tflite-runtime": [new], "ai-edge-litert": []})
        == "LiteRT only: FULLY_CONNECTED version 12 (tflite-runtime 2.14 knows 10)"
    )
    assert runs_on({"tflite-runtime": [new, flex], "ai-edge-litert": [flex]}) == (
        "no runtime known to edge-mcnn: FULLY_CONNECTED version 12, FlexErf version 1 "
        "(tflite-runtime 2.14 knows 10, none); FlexErf version 1 (LiteRT knows none)"
    )


def test_says_what_it_requires(tmp_path: Path) -> None:
    model = two_graphs()
    del model.subgraphs[1:], model.signatureDefs[1:]
    text = shown(bundle(tmp_path, packed(model), {"requires": "ai-edge-litert"}))
    assert "  runs on       LiteRT only: FULLY_CONNECTED version 12" in text
    assert "  requires      ai-edge-litert" in text


def test_without_the_signature(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    assert inspect_bundle(path).inputs == []
    assert "without a signature serving_default" in shown(path)


def test_a_stranger_cannot_paint_the_terminal(tmp_path: Path) -> None:
    model = two_graphs()
    model.operatorCodes[1].customCode = b"\x1b[31mred\x07"
    text = shown(bundle(tmp_path, packed(model), {"\x1b[2J": "\x9b1m [bold]x[/bold]", "requires": "\x1b"}))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "[bold]x[/bold]" in text


def test_a_card_without_a_floor(tmp_path: Path) -> None:
    card: dict[str, Any] = {}
    for _ in range(200):
        card = {"deeper": card}
    path = bundle(tmp_path, with_signature(), card)
    with pytest.raises(BundleError, match=r"model_card\.json: nested more than 20 deep"):
        inspect_bundle(path)


def test_a_flatbuffer_that_is_none_but_has_its_sum(tmp_path: Path) -> None:
    path = bundle(tmp_path, b"\xff\xff\xff\xffTFL3" + bytes(64))
    with pytest.raises(BundleError, match=f"^{path}: damaged: an offset points outside"):
        inspect_bundle(path)


def bomb() -> bytes:
    buffer = io.BytesIO(TWO_GRAPHS)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in ("labels.txt", "vocabulary.txt"):
            archive.writestr(name, bytes(200 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda whole: whole.replace(b"serving_default", b"serving_defeat!", 1), "checksum"),
        (lambda whole: whole[: len(whole) // 2], "without labels, vocabulary and front end"),
        (lambda whole: whole[:1000], "without labels, vocabulary and front end"),
        (lambda _: TWO_GRAPHS, "without labels, vocabulary and front end"),
        (lambda _: bomb(), "labels.txt: larger than 16 MB"),
        (lambda _: b"just a text\n", "not a TFLite model"),
        (lambda _: b"", "not a TFLite model"),
        (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(100), "run `edge-mcnn convert` on it first"),
        (None, "cannot be read"),
    ],
    ids=["changed", "half", "start", "bare", "bomb", "text", "empty", "h5", "missing"],
)
def test_what_is_no_bundle_gets_one_line(make: Any, told: str, tmp_path: Path) -> None:
    path = tmp_path / "Model.tflite"
    if make:
        path.write_bytes(make(DEFAULT_BUNDLE.read_bytes()))
    done = edge_mcnn(path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"edge-mcnn: {path}: ")
    assert told in line


def test_nothing_heavy_and_no_runtime() -> None:
    code = (
        "import sys\n"
        "for name in ('tflite_runtime', 'ai_edge_litert', 'tensorflow', 'h5py', 'flatbuffers'):\n"
        "    sys.modules[name] = None\n"
        "from edge_mcnn.inspect import inspect_command\n"
        "assert not {'numpy', 'rich.table', 'convert.tflite_model.inspection'} & set(sys.modules)\n"
        "inspect_command()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Model card" in done.stdout
