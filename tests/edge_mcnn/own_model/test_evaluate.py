import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from device.bundle import DEFAULT_BUNDLE
from device.errors import PathError, TrainingError
from edge_mcnn.own_model.evaluate import evaluate_command
from training.data.meld import LABELS


@pytest.fixture
def app() -> typer.Typer:
    application = typer.Typer()
    application.command()(evaluate_command)
    return application


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and a table that are empty."""
    monkeypatch.chdir(tmp_path)
    for name in ("m.h5", "t.csv"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def table(corpus: Path) -> Path:
    return corpus


def test_help_names_the_options(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    for expected in ("--text-only", "--audio-only", "--split", "--audio-root", "--json", "report.html", "speaker"):
        assert expected in result.output


def test_the_shipped_bundle_as_json_with_report(table: Path, tmp_path: Path) -> None:
    # In a separate process: standard output must contain one JSON object and nothing else, and no tensorflow is needed.
    code = (
        "import sys\nfrom edge_mcnn.main import main\n"
        f"sys.argv = ['edge-mcnn', 'evaluate', {str(DEFAULT_BUNDLE)!r}, {str(table)!r}, '--json', '-o', 'out']\n"
        "try:\n    main()\nfinally:\n    assert 'tensorflow' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    output = json.loads(result.stdout)
    assert output["labels"] == ["negative", "neutral", "positive"]
    assert output["results"]["audio + text"]["rows"] == 8
    assert output["command"].startswith("edge-mcnn evaluate")
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8")) == output
    assert output["command"] in (tmp_path / "out" / "report.md").read_text("utf-8")
    assert (tmp_path / "out" / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert len((tmp_path / "out" / "predictions.csv").read_text("utf-8").splitlines()) == 1 + 8
    assert "wrote out/report.md, report.html and predictions.csv" in result.stderr


def test_tables_on_the_terminal(app: typer.Typer, table: Path) -> None:
    result = CliRunner().invoke(app, [str(DEFAULT_BUNDLE), str(table), "--text-only", "--split", "train"])
    assert result.exit_code == 0
    assert "text only" in result.output
    assert "audio only" not in result.output


def test_thresholds(app: typer.Typer, table: Path) -> None:
    options = [str(DEFAULT_BUNDLE), str(table), "--text-only", "--split", "train", "--thresholds", "0.8"]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0
    assert "confidence for a precision of 0.8, text only" in result.output
    assert "18 predictions are too few" in result.output
    result = CliRunner().invoke(app, [*options, "--json"])
    assert json.loads(result.stdout)["thresholds"]["all"]["predictions"] == 18


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--text-only", "--audio-only"], "exclude each other"),
        (["--split", "dev"], "Invalid value"),
        (["--runtime", "onnx"], "'onnx' is not one of auto, ai-edge-litert"),
        (["--audio-only", "--word-errors", "0.2"], "--word-errors corrupts the text"),
        (["--word-errors", "1.5"], "Invalid value"),
        (["--meld", "MELD.Raw"], "name one corpus"),
        (["--worst", "5"], "add --output FOLDER"),
        (["--thresholds", "80"], "Invalid value"),
    ],
)
def test_wrong_options(options: list[str], expected: str, app: typer.Typer, in_folder: Path) -> None:
    (in_folder / "MELD.Raw").mkdir()
    result = CliRunner().invoke(app, ["m.h5", "t.csv", *options], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 2
    assert expected in result.output


def test_evaluates_the_transcripts_of_vosk(app: typer.Typer, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    lines = ["audio,text,label,split,text_vosk"]
    lines += [f"a.wav,i hate you,{label},validation,thank you so much i love it" for label in ("positive", "negative")]
    table = tmp_path / "transcripts.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    confusions = {}
    for text in ("reference", "vosk"):
        options = [str(DEFAULT_BUNDLE), str(table), "--text-only", "--text", text, "--json"]
        result = CliRunner().invoke(app, options)
        assert result.exit_code == 0, result.output
        confusions[text] = json.loads(result.stdout)["results"]["text only"]["confusion"]
    assert confusions["reference"] != confusions["vosk"]


def test_meld_needs_no_films_for_text_and_caches_the_images_for_audio(
    app: typer.Typer, meld: Path, tmp_path: Path
) -> None:
    for name in ("train", "dev", "test"):
        shutil.copy(meld / f"{name}_sent_emo.csv", tmp_path)
    result = CliRunner().invoke(app, [str(DEFAULT_BUNDLE), "--meld", str(tmp_path), "--text-only", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["results"]["text only"]["rows"] == 8
    options = ["--split", "train", "--audio-only", "--pictures", str(tmp_path / "p"), "--json"]
    result = CliRunner().invoke(app, [str(DEFAULT_BUNDLE), "--meld", str(meld), *options])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["results"]["audio only"]["rows"] == len(list((tmp_path / "p").glob("*.png"))) == 11
    assert [Path(path).name for path in output["recordings_missing"]] == ["dia3_utt0.mp4"]
    assert output["clips_skipped"] == len(output["recordings_unreadable"]) == 4
    assert output["labels_without_clips"] == ["neutral"]


def test_a_model_that_ships_is_evaluated_by_its_name(app: typer.Typer, meld: Path) -> None:
    options = ["--meld", str(meld), "--target", "emotion", "--split", "train", "--text-only", "--json"]
    result = CliRunner().invoke(app, ["emotions", *options])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["results"]["text only"]["rows"] > 0
    assert set(output["labels"]) == set(LABELS["emotion"])


def test_names_the_missing_package(app: typer.Typer, in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf_keras" else object())
    result = CliRunner().invoke(app, ["m.h5", "t.csv"])
    assert in_folder
    assert isinstance(result.exception, TrainingError)
    assert "evaluating needs tf_keras" in result.exception.message
    assert 'pip install "edge-mcnn[train]"' in result.exception.fix


def test_an_unusable_report_folder_is_refused_first(app: typer.Typer, in_folder: Path) -> None:
    result = CliRunner().invoke(app, ["m.h5", "t.csv", "-o", str(in_folder / "m.h5")])
    assert isinstance(result.exception, PathError)
    assert "is a file, not a folder" in str(result.exception)
