"""What the figures of a benchmark mean, what is shown of them, and the exit status."""

import json
from dataclasses import asdict, replace
from io import StringIO
from typing import Any

import pytest
import typer
from rich.console import Console

from device.benchmark import run as measuring
from device.benchmark.results import Benchmark, Choice, InterpreterCall, Rehearsal, Stage
from device.benchmark.verdict import LEAST_REAL_TIME_FACTOR, MIN_AVAILABLE_MB, verdict
from device.system.machine import Machine
from edge_mcnn import benchmark as benchmark_cli
from tests.device.benchmark.test_benchmark import STAGES

ONCE = Stage("utterance", 1.0, 2.0, 3, None)
LITERT = InterpreterCall("ai-edge-litert", 2, 4.0, 5.0, selected=True)
GOOD = Benchmark(
    machine=Machine("Raspberry Pi Zero 2 W Rev 1.0", 4, "aarch64", 64, 448.0, {"python": "3.11.2"}),
    settings=Choice("", "ai-edge-litert", 2, "quick", 16),
    rehearsal=Rehearsal(1.0, 2.0, 3.0, 6.0, 250.0, 150.0, 3, 41.2, 50.0),
    stages={
        **dict.fromkeys(STAGES, ONCE),
        "loudness_gate": Stage("frame", 0.003, 0.004, 9, 0.0001),
        "vosk_feed": Stage("second", 160.0, 170.0, 9, 0.1638),
    },
    core_share=0.1639,
    real_time_factor=6.1,
    vosk_real_time_factor=6.11,
    interpreter_calls=(LITERT,),
    unusable_runtimes={},
)


def slow(factor: float, **chosen: Any) -> Benchmark:
    return replace(GOOD, real_time_factor=factor, settings=replace(GOOD.settings, **chosen))


def short_of_memory(available_mb: float, **chosen: Any) -> Benchmark:
    rehearsed = replace(GOOD.rehearsal, available_mb=available_mb)
    return replace(GOOD, rehearsal=rehearsed, settings=replace(GOOD.settings, **chosen))


def shown(found: Benchmark, **options: Any) -> str:
    out = StringIO()
    benchmark_cli.show(found, verdict(found), Console(file=out, highlight=False, **options))
    return out.getvalue()


def test_a_machine_that_keeps_up() -> None:
    judged = verdict(GOOD)
    assert judged.keeps_up
    assert judged.enough_memory
    assert judged.lines == (
        "This machine keeps up with 6.1 times real time; an utterance is answered in 41 ms after the pause.",
    )


def test_a_slow_machine_is_told_what_helps() -> None:
    assert verdict(slow(LEAST_REAL_TIME_FACTOR)).keeps_up
    judged = verdict(slow(LEAST_REAL_TIME_FACTOR - 0.01))
    assert not judged.keeps_up
    assert judged.enough_memory
    assert "too little for other work" in judged.lines[0]
    assert "sound is lost" in verdict(slow(0.9)).lines[0]
    assert "close other programs" in judged.lines[1]
    for setting in ("search", "utterances_per_recogniser", "64-bit"):
        assert setting not in judged.lines[1], "nothing to gain there"
    helped = verdict(slow(0.9, search="thorough", utterances_per_recogniser=1)).lines[1]
    assert 'search = "quick"' in helped
    assert "utterances_per_recogniser = 16" in helped
    old = replace(slow(0.9), machine=replace(GOOD.machine, bits=32))
    assert "64-bit" in verdict(old).lines[1]


def test_short_memory_is_told_what_helps() -> None:
    assert verdict(short_of_memory(MIN_AVAILABLE_MB)).enough_memory
    judged = verdict(short_of_memory(MIN_AVAILABLE_MB - 1))
    assert judged.keeps_up
    assert not judged.enough_memory
    assert "utterances_per_recogniser = 1," in judged.lines[1]
    assert "utterances" not in verdict(short_of_memory(50, utterances_per_recogniser=1)).lines[1]
    both = verdict(replace(short_of_memory(50, utterances_per_recogniser=4), real_time_factor=0.9))
    assert "utterances_per_recogniser = 16" not in both.lines[1], "there is no memory for it"


@pytest.mark.parametrize(
    ("now_ms", "other_ms", "proposed"),
    [
        (40.0, 35.0, False),  # faster by less than a fifth
        (4.0, 3.2, False),  # by more, and too little to notice
        (4.0, 2.0, True),
        (2.0, 4.0, False),
    ],
)
def test_a_clearly_faster_call_is_proposed(now_ms: float, other_ms: float, proposed: bool) -> None:
    other = InterpreterCall("ai-edge-litert", 1, other_ms, 99.0, selected=False)
    lines = verdict(replace(GOOD, interpreter_calls=(replace(LITERT, median_ms=now_ms), other))).lines[1:]
    told = "The network answers in 2.0 ms instead of 4.0 ms with these settings: [classifier] threads = 1."
    assert lines == ((told,) if proposed else ())


def test_another_runtime_is_proposed() -> None:
    chosen = InterpreterCall("tflite-runtime", 2, 25.0, 26.0, selected=True)
    there = replace(GOOD, interpreter_calls=(chosen, replace(LITERT, selected=False)))
    assert '[classifier] runtime = "ai-edge-litert".' in verdict(there).lines[1]
    missing = replace(
        GOOD, interpreter_calls=(chosen,), stages={**GOOD.stages, "interpreter": replace(ONCE, median_ms=25)}
    )
    assert "pip install ai-edge-litert" in verdict(missing).lines[1]
    assert len(verdict(replace(missing, unusable_runtimes={"ai-edge-litert": "refuses"})).lines) == 1


def test_what_is_shown_fits_a_terminal_and_has_no_colours_in_a_pipe() -> None:
    text = shown(replace(GOOD, unusable_runtimes={"tflite-runtime": "refuses [it]"}), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    for told in ("Raspberry Pi Zero 2 W", "16.4%", "250 MB", "41.2 ms", "refuses [it]", "keeps up with 6.1"):
        assert told in text
    assert "\x1b[1;32m" in shown(GOOD, width=80, force_terminal=True, color_system="standard")
    assert "\x1b[1;31m" in shown(slow(0.9), width=80, force_terminal=True, color_system="standard")


@pytest.mark.parametrize(("found", "status"), [(GOOD, 0), (slow(0.9), 1), (short_of_memory(50), 1)])
def test_exit_status(
    found: Benchmark, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "benchmark", lambda *_, **__: found)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # the command sets it, and other tests must not inherit it
    if status:
        with pytest.raises(typer.Exit) as left:
            benchmark_cli.benchmark_command(seconds=1, json=True)
        assert left.value.exit_code == status
    else:
        benchmark_cli.benchmark_command(seconds=1, json=True)
    table = json.loads(capsys.readouterr().out)
    judged = table.pop("verdict")
    assert judged == {**asdict(verdict(found)), "lines": list(verdict(found).lines)}
    assert table == json.loads(json.dumps(asdict(found)))
