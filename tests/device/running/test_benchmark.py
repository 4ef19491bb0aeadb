"""The benchmark. How fast a machine is no test says: only that what is told is what was measured."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, fields, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import soundfile
import typer
from rich.console import Console

from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.errors import BenchmarkError, InterpreterError
from device.running import benchmark_cli
from device.running.benchmark import measuring, rehearsal, stages
from device.running.benchmark.figures import Benchmark, Choice, InterpreterCall, Machine, Rehearsal, Stage
from device.running.benchmark.machine import cores, machine_name
from device.running.benchmark.rehearsal import CLIP, Pace
from device.running.benchmark.verdict import LEAST_AVAILABLE_MB, LEAST_REAL_TIME_FACTOR, verdict
from device.sentence import FRAME_SECONDS, Frame
from device.settings import EndpointSettings, Settings
from tests.device.test_cli import edge_mcnn, one_line

STAGES = [
    "loudness_gate", "voice_detector", "mel_spectrogram", "picture", "vosk_feed", "vosk_last_words", "token_ids",
    "interpreter",
]  # fmt: skip
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


@pytest.fixture(scope="module")
def measured(speech_model: Path) -> Benchmark:
    return measuring.benchmark(Settings(), seconds=0.5)


def slow(factor: float, **chosen: Any) -> Benchmark:
    return replace(GOOD, real_time_factor=factor, settings=replace(GOOD.settings, **chosen))


def short_of_memory(available_mb: float, **chosen: Any) -> Benchmark:
    rehearsed = replace(GOOD.rehearsal, available_mb=available_mb)
    return replace(GOOD, rehearsal=rehearsed, settings=replace(GOOD.settings, **chosen))


def shown(found: Benchmark, **options: Any) -> str:
    out = StringIO()
    benchmark_cli.show(found, verdict(found), Console(file=out, highlight=False, **options))
    return out.getvalue()


def test_every_stage_is_measured(measured: Benchmark) -> None:
    assert list(measured.stages) == STAGES
    for name, stage in measured.stages.items():
        assert 0 < stage.median_ms <= stage.p95_ms, name
        assert stage.runs >= 3, name
        assert (stage.core_share is None) == (stage.per == "utterance"), name
    heard = stages.spoken(EndpointSettings())
    assert measured.stages["voice_detector"].runs % sum(map(len, heard)) == 0


def test_the_figures_fit_each_other(measured: Benchmark) -> None:
    shares = [stage.core_share for stage in measured.stages.values() if stage.core_share is not None]
    assert measured.core_share == pytest.approx(sum(shares), abs=1e-4)
    assert measured.real_time_factor == pytest.approx(1 / measured.core_share, rel=0.01)
    alone = measured.stages["vosk_feed"].core_share
    assert alone is not None
    assert measured.vosk_real_time_factor == pytest.approx(1 / alone, rel=0.01)
    started = measured.rehearsal
    assert started.ready_s == pytest.approx(started.imports_s + started.model_s + started.speech_model_s, abs=0.02)
    assert min(started.imports_s, started.speech_model_s) > 0
    assert 0 < started.endpoint_to_light_median_ms <= started.endpoint_to_light_worst_ms


def test_the_fresh_process_hears_the_clip(measured: Benchmark) -> None:
    assert measured.rehearsal.utterances == 3
    assert 100 < measured.rehearsal.peak_mb < measured.machine.memory_mb, "Vosk alone takes more"
    assert 0 < measured.rehearsal.available_mb < measured.machine.memory_mb


def test_the_network_is_asked_with_each_number_of_threads(measured: Benchmark) -> None:
    calls, default = measured.interpreter_calls, Settings().classifier
    threads = {each for each in (1, 2, 4, 8, 16, 32, 64, 128, 256) if each <= cores()} | {default.threads}
    for runtime in stages.installed_runtimes():
        assert {call.threads for call in calls if call.runtime == runtime} == threads
    [selected] = [call for call in calls if call.selected]
    assert (selected.runtime, selected.threads) == (measured.settings.runtime, default.threads)
    assert selected.median_ms == measured.stages["interpreter"].median_ms


def test_a_runtime_that_breaks_is_told_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(DEFAULT_BUNDLE)
    asked = stages._asked

    def broken(bundle: Any, runtime: str, threads: int, seconds: float) -> tuple[str, list[float]]:
        if runtime == "tflite-runtime":
            raise InterpreterError("it does not go with the numpy that is installed")
        return asked(bundle, runtime, threads, seconds)

    monkeypatch.setattr(stages, "_asked", broken)
    calls, unusable, _ = stages.interpreter_calls(Settings(), bundle, ["ai-edge-litert", "tflite-runtime"], 1, 0.1)
    assert {call.runtime for call in calls} == {"ai-edge-litert"}
    assert "numpy" in unusable["tflite-runtime"]


def test_the_clip() -> None:
    sound = soundfile.info(CLIP)
    assert (sound.format, sound.samplerate, sound.channels) == ("FLAC", 16_000, 1)
    assert CLIP.stat().st_size < 150_000


def test_only_speech_is_measured() -> None:
    heard = stages.spoken(EndpointSettings())
    seconds = [len(frames) * FRAME_SECONDS for frames in heard]
    assert seconds == pytest.approx([2.14, 1.89, 2.08], abs=0.1), "of each sentence, neither pre-roll nor hang-over"
    assert stages.spoken(EndpointSettings(gate_dbfs=0.0)) == []
    [cut, *_] = stages.spoken(EndpointSettings(longest_s=1.0))
    assert len(stages._by_second([1.0] * len(cut))) == 1
    assert stages._by_second([1.0] * 62 + [99.0]) == pytest.approx([1 / FRAME_SECONDS] * 2)


class Clock:
    """In place of `time`: moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("cost_s", "lags_s"),
    [
        (0.010, [0.010, 0.020, 0.030, 0.040, 0.010, 0.020, 0.030, 0.040]),  # done when the next block comes
        (0.050, [0.050, 0.100, 0.150, 0.200, 0.122, 0.172, 0.222, 0.272]),  # each block is later than the one before
    ],
)
def test_work_that_is_not_done_in_time_delays_what_follows(
    cost_s: float, lags_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(rehearsal, "time", clock)
    pace, lags = Pace(4 * FRAME_SECONDS), []
    for _ in pace.frames((Frame(None, n * FRAME_SECONDS, 0.0) for n in range(8)), FRAME_SECONDS):  # type: ignore[arg-type]  # no samples
        clock.now += cost_s
        lags.append(pace.lag_s())
    assert lags == pytest.approx(lags_s)


@pytest.mark.parametrize(
    ("script", "told"),
    [("kill -9 $$", "memory ran out"), ("echo first >&2; echo last words >&2; exit 3", "status 3 (last words)")],
)
def test_a_fresh_process_that_dies(script: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(rehearsal.sys, "executable", str(python))  # type: ignore[attr-defined]  # a module's import
    with pytest.raises(BenchmarkError) as caught:
        rehearsal.rehearse(Settings())
    assert told in str(caught.value)


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
    assert verdict(short_of_memory(LEAST_AVAILABLE_MB)).enough_memory
    judged = verdict(short_of_memory(LEAST_AVAILABLE_MB - 1))
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
    if status:
        with pytest.raises(typer.Exit) as left:
            benchmark_cli.run(Settings(), seconds=1, json=True)
        assert left.value.exit_code == status
    else:
        benchmark_cli.run(Settings(), seconds=1, json=True)
    table = json.loads(capsys.readouterr().out)
    judged = table.pop("verdict")
    assert judged == {**asdict(verdict(found)), "lines": list(verdict(found).lines)}
    assert table == json.loads(json.dumps(asdict(found)))


def test_the_command_prints_one_object(speech_model: Path) -> None:
    done = edge_mcnn("benchmark", "--json", "--seconds", "0.1")
    table = json.loads(done.stdout)
    assert done.stderr == ""
    assert list(table) == [*(each.name for each in fields(Benchmark)), "verdict"]
    assert list(table["stages"]) == STAGES
    assert done.returncode == (0 if table["verdict"]["keeps_up"] and table["verdict"]["enough_memory"] else 1)


def test_mistakes_get_one_line(speech_model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("hello, this is not a model")
    one_line(edge_mcnn("benchmark", "--model", tmp_path / "text.tflite"), "not a TFLite model")
    one_line(edge_mcnn("benchmark", "--config", tmp_path / "none.toml"), "none.toml")
    deaf = {"EDGE_MCNN_ENDPOINT_GATE_DBFS": "0.0"}
    one_line(edge_mcnn("benchmark", environment=deaf), "endpoint.gate_dbfs")
    assert edge_mcnn("benchmark", "--seconds", "0").returncode == 2


def test_a_file_of_the_working_folder_is_not_run(speech_model: Path, tmp_path: Path) -> None:
    (tmp_path / "device.py").write_text("raise SystemExit('a stranger')")
    script = "from device.running.benchmark.rehearsal import rehearse as r, Settings as s; print(r(s()).utterances)"
    root = str(Path(measuring.__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.stdout == "3\n"


def test_the_fresh_process_has_the_memory_for_itself(speech_model: Path) -> None:
    code = """
import sys, device.cli, device.running.benchmark_cli
from device.running.benchmark import measuring
from device.settings import Settings
measuring.rehearse = lambda _: sys.exit(f"numpy is there: {'numpy' in sys.modules}")
measuring.benchmark(Settings())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "numpy is there: False\n"


def test_the_name_of_the_machine(tmp_path: Path) -> None:
    board, cpu, none = tmp_path / "model", tmp_path / "cpuinfo", tmp_path / "none"
    board.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    cpu.write_text("processor\t: 0\nmodel name\t: First: the one\n\nprocessor\t: 1\nmodel name\t: Second\n")
    assert machine_name(board, cpu) == "Raspberry Pi 5 Model B Rev 1.0"
    assert machine_name(none, cpu) == "First: the one"
    assert machine_name(none, none) == os.uname().machine
