"""A bundle that only the newer runtime can run: made when asked for, marked, and refused by a device without it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tf_keras import layers
from typer.testing import CliRunner

from convert.convert import ConversionReport, convert
from convert.options import Choices
from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.tflite_model.inspection import inspect_bundle
from device.bundle import read_bundle
from device.errors import InterpreterError
from device.recognition.classifier import Classifier
from edge_mcnn.convert import convert_command
from tests.convert import networks
from tests.convert.conftest import INSTALLED
from tests.convert.networks import companions, save, tutorial

pytestmark = [pytest.mark.filterwarnings(networks.SEEDING), pytest.mark.usefixtures("in_this_process")]


def with_a_large_dense_layer(images: Any) -> Any:
    x = layers.Flatten()(layers.Conv2D(8, 5, strides=4, activation="relu")(images))
    return layers.Reshape((1, 1, 64))(layers.Dense(64, activation="relu")(x))  # 115,200 weights


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tutorial(with_a_large_dense_layer), tmp_path_factory.mktemp("dense") / "Model.h5", companions())


def converted(source: Path, folder: Path, requires: str | None) -> tuple[ConversionReport, dict[str, int]]:
    report = convert(source, folder / "Model.tflite", choices=Choices(requires=requires))
    operators = read_flatbuffer(report.target.read_bytes()).operators
    return report, {operator.name: operator.version for operator in operators if operator.name == "FULLY_CONNECTED"}


def test_runs_everywhere_unless_told_otherwise(source: Path, tmp_path: Path) -> None:
    report, versions = converted(source, tmp_path, None)
    assert versions["FULLY_CONNECTED"] <= 10
    assert report.requires is None
    assert report.runtimes == tuple(INSTALLED.values())
    assert "requires" not in read_bundle(report.target).companions.card


def test_only_where_it_is_asked_for(source: Path, tmp_path: Path) -> None:
    report, versions = converted(source, tmp_path, "ai-edge-litert")
    assert versions["FULLY_CONNECTED"] >= 12
    assert report.requires == "ai-edge-litert"
    assert report.runtimes == ("LiteRT",)
    bundle = read_bundle(report.target)
    assert bundle.companions.card["requires"] == "ai-edge-litert"
    assert set(bundle.companions.card["agreement"]) >= {"LiteRT", "tolerance", "asked"}
    Classifier(bundle, runtime="ai-edge-litert")
    with pytest.raises(InterpreterError, match="requires ai-edge-litert"):
        Classifier(bundle, runtime="tflite-runtime")
    told = inspect_bundle(report.target)
    assert told.requires == "ai-edge-litert"
    assert [each["name"] for each in told.runtimes["tflite-runtime"]] == ["FULLY_CONNECTED"]
    assert told.runtimes["ai-edge-litert"] == []


def test_asked_for_and_not_needed_is_not_marked(small_model: Path, tmp_path: Path) -> None:
    report = convert(small_model, tmp_path / "Model.tflite", choices=Choices(requires="ai-edge-litert"))
    assert report.requires is None
    assert report.runtimes == tuple(INSTALLED.values())


def test_command_says_so(source: Path, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(convert_command)
    arguments = [str(source), "-o", str(tmp_path / "x.tflite"), "--requires", "ai-edge-litert", "--tolerance", "0.2"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "this model requires ai-edge-litert; a device without it reports an error" in result.stdout
    card = json.loads(json.dumps(dict(read_bundle(tmp_path / "x.tflite").companions.card)))
    assert card["agreement"]["tolerance"] == 0.2
