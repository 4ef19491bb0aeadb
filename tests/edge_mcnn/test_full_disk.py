"""Commands on a full disk: one message, nothing after it, status 1, and files as they were before."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.convert import tutorial_models
from tests.edge_mcnn.command_line import assert_refused
from tests.full_disk import edge_mcnn_on_full_disk

WORDS = {"a": "one", "b": "two"}
ROWS = [f",{words},{label},{split}" for split in ("train", "validation") for label, words in WORDS.items()]
MODEL = Path(__file__).parents[2] / "device/models/sentiment.tflite"
CLIP = Path(__file__).parents[1] / "fixtures/speech/austen-0880.flac"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["audio,text,label,split", *ROWS]))
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        ("settings", "--show"),
        ("--help",),
        ("train", "--help"),
        ("lights", "wiring"),
        ("inspect", str(MODEL)),
        ("inspect", "--json", str(MODEL)),
        ("classify", "--json", str(CLIP)),
    ],
    ids=" ".join,
)
def test_standard_output_that_is_full(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_mcnn", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert_refused(done, "standard output cannot be written (No space left on device)", "free some space")


def test_wiring(tmp_path: Path) -> None:
    drawing = tmp_path / "w.svg"
    drawing.write_text("before")
    assert_refused(edge_mcnn_on_full_disk("lights", "wiring", "--svg", drawing), "w.svg: cannot be written")
    assert content(tmp_path) == {"w.svg": b"before"}


@pytest.mark.parametrize(
    ("largest", "message"),
    [(0, "temporary files cannot be written"), (1000, "Model.h5.checkpoint: cannot be written (File too large)")],
)
def test_train(largest: int, message: str, table: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "Model.h5"
    output.parent.mkdir()
    output.write_bytes(b"before")
    done = edge_mcnn_on_full_disk(
        "train", table, "--network", "evidence", "--epochs", "1", "--output", output, largest=largest
    )
    assert_refused(done, message)
    assert content(output.parent) == {"Model.h5": b"before"}


def test_pictures_and_transcribe(tmp_path: Path, speech_model: Path) -> None:
    assert speech_model.is_dir()
    table = tmp_path / "table.csv"
    table.write_text(f"audio,text,label\n{CLIP},hi,a\n{CLIP},hi,b\n")
    assert_refused(edge_mcnn_on_full_disk("pictures", table, "--output", tmp_path / "images"), "images: cannot be")
    assert_refused(edge_mcnn_on_full_disk("transcribe", table, "--output", tmp_path / "t.csv"), "cannot be written")
    assert set(content(tmp_path)) <= {"table.csv", "t.csv.transcripts.jsonl"}


@pytest.mark.parametrize("largest", [0, 2000], ids=["no temporary folder", "temporary files"])
def test_convert(largest: int, tmp_path: Path) -> None:
    network = tutorial_models.tutorial_model(text_first=True)
    source = tutorial_models.save(network, tmp_path / "Model.h5", tutorial_models.companions())
    (tmp_path / "Model.tflite").write_bytes(b"before")
    before = content(tmp_path)
    assert_refused(edge_mcnn_on_full_disk("convert", source, largest=largest), "temporary files cannot be written (")
    assert content(tmp_path) == before
