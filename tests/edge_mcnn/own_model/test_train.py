import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from convert.source.keras_h5 import find_companions
from device.bundle import Companions
from device.errors import EdgeMcnnError, TrainingError
from device.front_end.parameters import FrontEnd
from device.system.display import displayable
from edge_mcnn.own_model.train import train_command
from tests.edge_mcnn.command_line import edge_mcnn


@pytest.fixture
def app() -> typer.Typer:
    application = typer.Typer()
    application.command()(train_command)
    return application


def test_help_names_the_options(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    for expected in (
        "audio, text, label, split",
        "--audio-root",
        "--vgg19-weights",
        "--card",
        "--resume",
        "--fast-lstm",
        "--tensorboard",
        "--no-augment",
        "--from",
        "labels.txt",
        "TF_CONFIG",
        "edge-mcnn convert",
    ):
        assert expected in result.output


def test_options_reach_the_trainer(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.fit.trainer

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(training.fit.trainer, "train", lambda *arguments: calls.append(arguments))
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"licence": "CC0"}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audio").mkdir()
    (tmp_path / "w.h5").touch()
    table_file = tmp_path / "t.csv"
    table_file.write_text(
        "audio,text,label,split\n"
        + "".join(f",word,{label},{split}\n" for label in ("a", "b") for split in ("train", "validation")),
        encoding="utf-8",
    )
    options = [str(table_file), "-o", "x.h5", "--epochs", "2", "--batch-size", "4", "--learning-rate", "0.01"]
    options += ["--seed", "9"]
    options += ["--audio-root", "audio", "--vgg19-weights", "w.h5", "--balanced", "--card", str(card)]
    options += ["--text", "both", "--pictures", "p", "--network", "mine", "--patience", "3", "--resume"]
    options += ["--fast-lstm", "--tensorboard", "runs/1"]
    options += ["--allow-identical"]
    options += ["--no-augment"]
    assert CliRunner().invoke(app, options).exit_code == 0
    source, output, settings = calls[0]
    assert (source.name, output) == (str(table_file), Path("x.h5"))
    assert [clip.label for clip in source.clips] == ["a", "a", "b", "b"]
    assert (settings.epochs, settings.batch_size, settings.learning_rate, settings.seed) == (2, 4, 0.01, 9)
    assert (settings.vgg19_weights, settings.balanced) == (Path("w.h5"), True)
    assert (settings.text, settings.image_cache) == ("both", Path("p"))
    assert (settings.network, settings.patience, settings.resume) == ("mine", 3, True)
    assert settings.fast_lstm
    assert settings.tensorboard == Path("runs/1")
    assert settings.allow_identical
    assert settings.augment is False
    assert settings.card["licence"] == "CC0"
    assert settings.card["command"].startswith("edge-mcnn")

    assert CliRunner().invoke(app, [str(table_file)]).exit_code == 0
    assert calls[1][1] == Path("Model.h5")
    assert calls[1][2].vgg19_weights == "imagenet"
    assert (calls[1][2].network, calls[1][2].patience, calls[1][2].resume) == ("tutorial", None, False)
    assert not calls[1][2].fast_lstm
    assert not calls[1][2].allow_identical
    assert calls[1][2].augment is None
    assert (calls[1][2].epochs, calls[1][2].batch_size, calls[1][2].step_size) == (13, 16, 1e-4)


def test_base_reaches_the_trainer(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.fit.trainer
    from training.base_model import base

    calls: list[tuple[Any, ...]] = []
    read: list[tuple[Any, ...]] = []
    monkeypatch.setattr(training.fit.trainer, "train", lambda *arguments: calls.append(arguments))
    companions = Companions(("a", "b"), ("word",), FrontEnd(image_height=32))

    def read_base(*arguments: Any) -> base.BaseModel:
        read.append(arguments)
        return base.BaseModel(arguments[0], "base", "0", "evidence", companions, None, ())

    monkeypatch.setattr(base, "read_base", read_base)
    rows = "".join(f",word,{label},{split}\n" for label in "ab" for split in ("train", "dev"))
    (tmp_path / "t.csv").write_text(f"audio,text,label,split\n{rows}")
    (tmp_path / "B.h5").touch()
    command = [str(tmp_path / "t.csv"), "--from"]
    assert CliRunner().invoke(app, [*command, str(tmp_path / "B.h5")]).exit_code == 0
    assert read.pop() == (tmp_path / "B.h5",)
    settings = calls.pop()[2]
    assert (settings.network, settings.front_end) == ("evidence", companions.front_end)
    assert CliRunner().invoke(app, [*command, "sentiment", "--network", "tutorial"]).exit_code == 0
    assert read.pop() == (Path("sentiment"),)
    assert calls.pop()[2].network == "tutorial"  # refused by the trainer
    result = CliRunner().invoke(app, [*command, "sentiment", "--vgg19-weights", str(tmp_path / "B.h5")])
    assert result.exit_code == 2
    missing = CliRunner().invoke(app, [*command, str(tmp_path / "missing.h5")])
    assert isinstance(missing.exception, EdgeMcnnError)
    assert "or the name of a model that ships: sentiment, emotions" in str(missing.exception)


def test_cross_validation_is_requested(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.fit.folds

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(training.fit.folds, "validate_and_train", lambda *arguments: calls.append(arguments))
    rows = "".join(f",word,{label},{split}\n" for label in "ab" for split in ("train", "dev"))
    (tmp_path / "t.csv").write_text(f"audio,text,label,split\n{rows}")
    for options, expected in (
        (["--folds", "5"], (5, 1)),
        (["--seeds", "3"], (None, 3)),
        (["--folds", "2", "--seeds", "3"], (2, 3)),
    ):
        assert CliRunner().invoke(app, [str(tmp_path / "t.csv"), *options]).exit_code == 0
        assert calls.pop()[3:5] == expected
    assert CliRunner().invoke(app, [str(tmp_path / "t.csv"), "--folds", "1"]).exit_code == 2


def test_identical_recordings_are_refused_before_training(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.fit.trainer

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(training.fit.trainer, "train", lambda *arguments: calls.append(arguments))
    rows = "".join(f"{label}{split}.wav,word,{label},{split}\n" for label in "ab" for split in ("train", "dev"))
    (tmp_path / "t.csv").write_text(f"audio,text,label,split\n{rows}")
    for name in ("atrain", "adev", "btrain"):
        (tmp_path / f"{name}.wav").write_bytes(b"same")
    (tmp_path / "bdev.wav").write_bytes(b"other")
    result = CliRunner().invoke(app, [str(tmp_path / "t.csv")])
    assert isinstance(result.exception, TrainingError)
    assert f"{tmp_path / 'atrain.wav'} and {tmp_path / 'adev.wav'}; the scores would" in result.exception.message
    assert "--allow-identical" in result.exception.fix
    assert not calls
    assert CliRunner().invoke(app, [str(tmp_path / "t.csv"), "--allow-identical"]).exit_code == 0
    assert len(calls) == 1


def test_without_tensorflow(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, [str(tmp_path / "t.csv")])
    assert isinstance(result.exception, TrainingError)
    assert result.exception.message.endswith("which is not installed")
    assert 'pip install "edge-mcnn[train]"' in result.exception.fix


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such file"),
        (b"{", "not valid JSON"),
        (b"[1]", "expected a JSON object"),
        (b'"\xe9"', "line 1: the byte 0xe9 is not UTF-8"),
    ],
)
def test_bad_card(content: bytes | None, expected: str, app: typer.Typer, tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    if content is not None:
        card.write_bytes(content)
    (tmp_path / "t.csv").touch()
    result = CliRunner().invoke(app, [str(tmp_path / "t.csv"), "--card", str(card)])
    assert isinstance(result.exception, EdgeMcnnError)
    assert str(card) in result.exception.message
    assert expected in result.exception.message
    assert "--card" in result.exception.fix or "UTF-8" in result.exception.fix


def test_importing_the_command_is_light() -> None:
    code = (
        "import sys, edge_mcnn.own_model.train, edge_mcnn.own_model.evaluate; "
        "print([m for m in ('tensorflow', 'tf_keras', 'librosa', 'numpy', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_names_that_are_not_utf8_are_trained_on_saved_and_evaluated(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 [x]")
    folder.mkdir()
    table, model, report = folder / "t.csv", folder / os.fsdecode(b"m\xe9.h5"), folder / os.fsdecode(b"r\xe9")
    rows = "".join(f",word {label},{label},{split}\n" for label in ("a", "[b]") for split in ("train", "validation"))
    table.write_text(f"audio,text,label,split\n{rows}")
    done = edge_mcnn("train", table, "--network", "evidence", "--epochs", "1", "--output", model)
    assert done.returncode == 0, done.stderr
    assert f"saved {displayable(model)}" in done.stdout
    assert "[b]" in done.stdout
    companions = find_companions(model)
    assert companions is not None
    assert companions.labels == ("[b]", "a")
    assert r"caf\xe9 [x]/t.csv'" in companions.card["command"]
    done = edge_mcnn("evaluate", model, table, "--text-only", "--output", report)
    assert done.returncode == 0, done.stderr
    assert r"# Evaluation of m\\xe9.h5" in (report / "report.md").read_text("utf-8")
