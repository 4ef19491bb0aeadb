"""Output and exit status of `edge-mcnn benchmark`."""

import json
from dataclasses import asdict, fields, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from device.benchmark import run
from device.benchmark.results import BenchmarkResults
from device.benchmark.verdict import judge
from edge_mcnn.setup import benchmark as benchmark_cli
from tests.device.benchmark.example import GOOD, STAGES, short_of_memory, slow
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn

pytestmark = pytest.mark.slow


def shown(results: BenchmarkResults, **options: Any) -> str:
    output = StringIO()
    benchmark_cli.show(results, judge(results), Console(file=output, highlight=False, markup=False, **options))
    return output.getvalue()


def test_the_output_fits_a_terminal_and_has_no_colours_in_a_pipe() -> None:
    text = shown(replace(GOOD, unusable_runtimes={"tflite-runtime": "refuses [it]"}), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    for part in ("Raspberry Pi Zero 2 W", "16.4%", "250 MB", "41 ms", "refuses [it]", "keeps up, at 6.1"):
        assert part in text
    assert "\x1b[1;32m" in shown(GOOD, width=80, force_terminal=True, color_system="standard")
    assert "\x1b[1;31m" in shown(slow(0.9), width=80, force_terminal=True, color_system="standard")


@pytest.mark.parametrize(("results", "status"), [(GOOD, 0), (slow(0.9), 1), (short_of_memory(50), 1)])
def test_exit_status_and_json(
    results: BenchmarkResults, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "benchmark", lambda *_, **__: results)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # the command sets it, and other tests must not inherit it
    if status:
        with pytest.raises(typer.Exit) as exited:
            benchmark_cli.benchmark_command(seconds=1, json=True)
        assert exited.value.exit_code == status
    else:
        benchmark_cli.benchmark_command(seconds=1, json=True)
    table = json.loads(capsys.readouterr().out)
    verdict = table.pop("verdict")
    assert verdict == {**asdict(judge(results)), "lines": list(judge(results).lines)}
    assert table == json.loads(json.dumps(asdict(results)))


def test_the_cold_start_imports_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points: list[str] = []

    def measure(*_: object, entry_point: str, **__: object) -> BenchmarkResults:
        entry_points.append(entry_point)
        return GOOD

    monkeypatch.setattr(run, "benchmark", measure)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    benchmark_cli.benchmark_command(seconds=1, json=True)
    assert entry_points == ["edge_mcnn.main"]


def test_the_command_prints_one_object(speech_model: Path) -> None:
    done = edge_mcnn("benchmark", "--json", "--seconds", "0.1")
    table = json.loads(done.stdout)
    assert done.stderr == ""
    assert list(table) == [*(each.name for each in fields(BenchmarkResults)), "verdict"]
    assert list(table["stages"]) == STAGES
    assert done.returncode == (0 if table["verdict"]["keeps_up"] and table["verdict"]["enough_memory"] else 1)


def test_mistakes_are_refused(speech_model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("hello, this is not a model")
    assert_refused(edge_mcnn("benchmark", "--model", tmp_path / "text.tflite"), "not a TFLite model")
    assert_refused(edge_mcnn("benchmark", "--config", tmp_path / "none.toml"), "none.toml")
    always_closed_gate = {"EDGE_MCNN_ENDPOINT_GATE_DBFS": "0.0"}
    assert_refused(edge_mcnn("benchmark", environment=always_closed_gate), "endpoint.gate_dbfs")
    assert edge_mcnn("benchmark", "--seconds", "0").returncode == 2
