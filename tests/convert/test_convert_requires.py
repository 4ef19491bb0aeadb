"""A bundle that only the newer runtime can run: made when allowed, marked, and refused by a device without it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from tf_keras import layers
from typer.testing import CliRunner

from convert import convert as converter
from convert.convert import ConversionReport, convert
from convert.options import ConversionOptions
from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.tflite_model.inspection import inspect_bundle
from device.bundle import read_bundle
from device.errors import InterpreterError
from device.recognition.classifier import Classifier
from edge_mcnn.own_model.convert import convert_command
from tests.convert import tutorial_models
from tests.convert.conftest import INSTALLED, worker_in_this_process
from tests.convert.tutorial_models import companions, save, tutorial_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(tutorial_models.IGNORE_SEEDING_WARNING),
    pytest.mark.usefixtures("in_this_process"),
]


def with_a_large_dense_layer(images: Any) -> Any:
    x = layers.Flatten()(layers.Conv2D(8, 5, strides=4, activation="relu")(images))
    return layers.Reshape((1, 1, 64))(layers.Dense(64, activation="relu")(x))  # 115,200 weights


@dataclass(frozen=True)
class Command:
    """A finished `edge-mcnn convert`."""

    exit_code: int
    stdout: str
    report: ConversionReport


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tutorial_model(with_a_large_dense_layer)
    return save(model, tmp_path_factory.mktemp("dense") / "Model.h5", companions())


@pytest.fixture(scope="module")
def restricted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The conversion to a bundle for LiteRT only, by the command line."""
    app = typer.Typer()
    app.command()(convert_command)
    target = tmp_path_factory.mktemp("restricted") / "x.tflite"
    arguments = [str(source), "-o", str(target), "--requires", "ai-edge-litert", "--tolerance", "0.2"]
    reports: list[ConversionReport] = []

    def convert_and_record(*arguments: Any, **options: Any) -> ConversionReport:
        reports.append(convert(*arguments, **options))
        return reports[-1]

    with worker_in_this_process(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(converter, "convert", convert_and_record)
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    [report] = reports
    assert report.target == target
    return Command(result.exit_code, result.stdout, report)


def fully_connected_version(bundle: Path) -> int:
    operators = read_flatbuffer(bundle.read_bytes()).operators
    return {operator.name: operator.version for operator in operators}["FULLY_CONNECTED"]


def test_runs_everywhere_by_default(source: Path, tmp_path: Path) -> None:
    report = convert(source, tmp_path / "Model.tflite")
    assert fully_connected_version(report.target) <= 10
    assert report.requires is None
    assert report.runtimes == tuple(INSTALLED.values())
    assert "requires" not in read_bundle(report.target).companions.card


def test_requires_a_runtime_if_allowed(restricted: Command) -> None:
    report = restricted.report
    assert fully_connected_version(report.target) >= 12
    assert report.requires == "ai-edge-litert"
    assert report.runtimes == ("LiteRT",)
    bundle = read_bundle(report.target)
    assert bundle.companions.card["requires"] == "ai-edge-litert"
    assert set(bundle.companions.card["agreement"]) >= {"LiteRT", "tolerance", "compared_on"}
    Classifier(bundle, runtime="ai-edge-litert")
    with pytest.raises(InterpreterError, match="requires ai-edge-litert"):
        Classifier(bundle, runtime="tflite-runtime")
    inspection = inspect_bundle(report.target)
    assert inspection.requires == "ai-edge-litert"
    assert [each["name"] for each in inspection.runtimes["tflite-runtime"]] == ["FULLY_CONNECTED"]
    assert inspection.runtimes["ai-edge-litert"] == []


def test_is_not_marked_if_it_runs_everywhere(small_model: Path, tmp_path: Path) -> None:
    options = ConversionOptions(requires="ai-edge-litert")
    report = convert(small_model, tmp_path / "Model.tflite", options=options)
    assert report.requires is None
    assert report.runtimes == tuple(INSTALLED.values())


def test_command_prints_the_requirement(restricted: Command) -> None:
    assert restricted.exit_code == 0
    assert "this model requires ai-edge-litert; a device without it reports an error" in restricted.stdout
    card = json.loads(json.dumps(dict(read_bundle(restricted.report.target).companions.card)))
    assert card["agreement"]["tolerance"] == 0.2
