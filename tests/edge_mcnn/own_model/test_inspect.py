import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from convert.tflite_model.inspection import inspect_bundle
from device.bundle import DEFAULT_BUNDLE, Companions, Transitions, pack, read_bundle
from device.errors import BundleError
from device.front_end.parameters import FrontEnd
from edge_mcnn.own_model.inspect import runs_on, show
from tests.convert.tflite_model.operator_probe import packed
from tests.convert.tflite_model.test_flatbuffer import TWO_GRAPHS, two_graphs
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn

LABELS = ("positive", "negative")


def bundle(folder: Path, flatbuffer: bytes = TWO_GRAPHS, card: dict[str, Any] | None = None) -> Path:
    path = folder / "Model.tflite"
    path.write_bytes(pack(flatbuffer, Companions(LABELS, ("the", "a"), FrontEnd(), card or {})))
    return path


def test_a_model_that_ships_is_inspected_by_its_name() -> None:
    labels = [json.loads(edge_mcnn("inspect", *name, "--json").stdout)["labels"] for name in (["emotions"], [])]
    assert labels[0] == ["neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust"]
    assert labels[1] == ["negative", "neutral", "positive"]
    assert_refused(edge_mcnn("inspect", "emotion"), "the name of a model that ships: sentiment, emotions")


def test_transitions_are_a_table_of_shares(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    assert "Conversation" not in shown(path)
    assert inspect_bundle(path).as_dict()["transitions"] is None
    transitions = Transitions(((0.75, 0.25), (0.4, 0.6)), (0.55, 0.45))
    labels = ("[red]", "negative")
    path.write_bytes(pack(TWO_GRAPHS, Companions(labels, ("the", "a"), FrontEnd(), transitions=transitions)))
    text = shown(path)
    section = text[text.index("Conversation") : text.index("Model card")].splitlines()[1:5]
    assert [line.split() for line in section] == [
        ["after", "[red]", "negative"],
        ["[red]", "75%", "25%"],
        ["negative", "40%", "60%"],
        ["in", "general", "55%", "45%"],
    ]
    table = inspect_bundle(path).as_dict()["transitions"]
    assert table == {"following": [[0.75, 0.25], [0.4, 0.6]], "frequencies": [0.55, 0.45]}


def test_what_the_model_needs_to_adapt_to_a_voice(tmp_path: Path) -> None:
    text = shown(DEFAULT_BUNDLE)
    section = text[text.index("Adapting to a voice") : text.index("Model card")]
    assert section.split() == (
        [
            "Adapting",
            "to",
            "a",
            "voice",
            "features",
            "32,",
            "of",
            "the",
            "layer",
            "audio_statistics",
            "kinds",
            "of",
            "speech",
            "7",
            "in",
            "3",
            "classes",
        ]
    )
    assert "convert it again for an embedding" in shown(bundle(tmp_path, with_signature()))
    shipped = read_bundle(DEFAULT_BUNDLE)
    without = replace(shipped.companions, speaker_variation=None)
    path = tmp_path / "without.tflite"
    path.write_bytes(pack(shipped.model[: shipped.flatbuffer_size], without))
    assert "the speakers of its training corpus are not known" in shown(path)
    assert inspect_bundle(path).as_dict()["speaker_variation"] is None


def test_damaged_speaker_variation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.tflite"
    companions = Companions(("a", "b"), ("the", "a"), FrontEnd(), speaker_variation="{}")
    path.write_bytes(pack(TWO_GRAPHS, companions))
    assert_refused(edge_mcnn("inspect", path), "speaker_variation.json: expected a JSON object")


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


def test_json_of_the_shipped_bundle() -> None:
    done = edge_mcnn("inspect", "--json", DEFAULT_BUNDLE)
    assert (done.returncode, done.stderr) == (0, "")
    table = json.loads(done.stdout)
    shipped = read_bundle(DEFAULT_BUNDLE)
    assert table["bytes"] == len(shipped.model)
    assert (
        table["flatbuffer_sha256"] == shipped.companions.card["flatbuffer_sha256"] == table["card"]["flatbuffer_sha256"]
    )
    assert table["runtimes"] == {"tflite-runtime": [], "ai-edge-litert": []}
    assert {each["name"]: (each["shape"], each["dtype"]) for each in table["inputs"]} == {
        "features": ([1, 32], "int32"),
        "images": ([1, 64, 64, 3], "float32"),
    }
    assert {each["name"]: (each["shape"], each["dtype"]) for each in table["outputs"]} == {
        "probabilities": ([1, 3], "float32"),
        "embedding": ([1, 947], "float32"),
    }
    assert table["speaker_variation"] == {"layer": "audio_statistics", "features": 32, "kinds": 7}
    assert table["labels"] == list(shipped.companions.labels)
    assert table["vocabulary"]["size"] == len(shipped.companions.vocabulary)
    assert table["vocabulary"]["first"] == list(shipped.companions.vocabulary[:12])
    assert table["front_end"] == json.loads(shipped.companions.front_end.to_json())
    assert table["card"] == shipped.companions.card
    assert sum(group["bytes"] for group in table["operators"]) == table["weights_bytes"]
    assert sum(table["stored"].values()) == table["weights_bytes"] < table["flatbuffer_bytes"] < table["bytes"]


@pytest.mark.parametrize("width", [80, 200])
def test_text_fits_the_terminal(width: int) -> None:
    lines = shown(DEFAULT_BUNDLE, width).splitlines()
    assert max(map(len, lines[1:])) <= width
    text = "\n".join(lines)
    for expected in (
        "tflite-runtime 2.14 and LiteRT",
        "int8 per channel",
        "1 x 64 x 64 x 3",
        "trim_db",
        "  limits\n    - ",
    ):
        assert expected in text
    assert "{" not in text.partition("Model card")[2]


def test_the_card_is_printed_as_lines(tmp_path: Path) -> None:
    card = {
        "name": "n",
        "scores": [{"words": 0.123456789, "audio": None}, [1, 2]],
        "none": [],
        "a": {"b": {"c": True}},
        "long": "word " * 30,
    }
    text = shown(bundle(tmp_path, with_signature(), card))
    assert text.partition("Model card\n")[2].splitlines()[:10] == [
        "  name: n",
        "  scores",
        "    - words: 0.123457",
        "      audio: none",
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


def test_runs_on() -> None:
    new = {"name": "FULLY_CONNECTED", "version": 12, "newest": 10}
    flex = {"name": "FlexErf", "version": 1, "newest": 0}
    assert runs_on({"tflite-runtime": [], "ai-edge-litert": []}) == "tflite-runtime 2.14 and LiteRT"
    assert (
        runs_on({"tflite-runtime": [new], "ai-edge-litert": []})
        == "LiteRT only: FULLY_CONNECTED version 12 (tflite-runtime 2.14 supports 10)"
    )
    assert runs_on({"tflite-runtime": [new, flex], "ai-edge-litert": [flex]}) == (
        "no supported runtime: FULLY_CONNECTED version 12, FlexErf version 1 "
        "(tflite-runtime 2.14 supports 10, none); FlexErf version 1 (LiteRT supports none)"
    )


def test_required_runtime_is_printed(tmp_path: Path) -> None:
    model = two_graphs()
    del model.subgraphs[1:], model.signatureDefs[1:]
    text = shown(bundle(tmp_path, packed(model), {"requires": "ai-edge-litert"}))
    assert "  runs on       LiteRT only: FULLY_CONNECTED version 12" in text
    assert "  requires      ai-edge-litert" in text


def test_without_the_signature(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    assert inspect_bundle(path).inputs == []
    assert "none: edge-mcnn cannot run a model without the signature serving_default" in shown(path)


def test_an_untrusted_file_cannot_control_the_terminal(tmp_path: Path) -> None:
    model = two_graphs()
    model.operatorCodes[1].customCode = b"\x1b[31mred\x07"
    text = shown(bundle(tmp_path, packed(model), {"\x1b[2J": "\x9b1m [bold]x[/bold]", "requires": "\x1b"}))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "[bold]x[/bold]" in text


def test_a_card_that_is_nested_too_deep(tmp_path: Path) -> None:
    card: dict[str, Any] = {}
    for _ in range(200):
        card = {"deeper": card}
    path = bundle(tmp_path, with_signature(), card)
    with pytest.raises(BundleError, match=r"model_card\.json: nested more than 20 levels deep"):
        inspect_bundle(path)


def test_an_invalid_flatbuffer_with_a_valid_checksum(tmp_path: Path) -> None:
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
    ("make", "message"),
    [
        (lambda content: content.replace(b"serving_default", b"serving_defeat!", 1), "checksum"),
        (lambda content: content[: len(content) // 2], "without labels, vocabulary and front end"),
        (lambda content: content[:1000], "without labels, vocabulary and front end"),
        (lambda _: TWO_GRAPHS, "without labels, vocabulary and front end"),
        (lambda _: bomb(), "labels.txt: larger than 16 MB"),
        (lambda _: b"just a text\n", "not a TFLite model"),
        (lambda _: b"", "not a TFLite model"),
        (lambda _: b"\x89HDF\r\n\x1a\n" + bytes(100), "run `edge-mcnn convert` on it first"),
        (None, "no such file"),
    ],
    ids=["changed", "half", "start", "bare", "bomb", "text", "empty", "h5", "missing"],
)
def test_a_file_that_is_no_bundle_is_refused(make: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "Model.tflite"
    if make:
        path.write_bytes(make(DEFAULT_BUNDLE.read_bytes()))
    done = edge_mcnn("inspect", path)
    assert_refused(done, message)
    assert done.stdout == ""
    assert done.stderr.startswith(f"edge-mcnn: {path}: ")


def test_nothing_heavy_and_no_runtime() -> None:
    code = (
        "import sys\n"
        "for name in ('tflite_runtime', 'ai_edge_litert', 'tensorflow', 'h5py', 'flatbuffers'):\n"
        "    sys.modules[name] = None\n"
        "from edge_mcnn.own_model.inspect import inspect_command\n"
        "assert not {'numpy', 'rich.table', 'convert.tflite_model.inspection'} & set(sys.modules)\n"
        "inspect_command()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Model card" in done.stdout
