"""The benchmark. How fast a machine is no test says: only that what is told is what was measured."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import soundfile

from device.benchmark import cold_start as rehearsal
from device.benchmark import run as measuring
from device.benchmark import stages
from device.benchmark.cold_start import CLIP, Pace
from device.benchmark.results import Benchmark
from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.errors import BenchmarkError, InterpreterError
from device.events import FRAME_SECONDS, Frame
from device.settings.schema import EndpointSettings, Settings
from device.system.machine import cores, machine_name
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn

STAGES = [
    "loudness_gate", "voice_detector", "mel_spectrogram", "picture", "vosk_feed", "vosk_last_words", "token_ids",
    "interpreter",
]  # fmt: skip


@pytest.fixture(scope="module")
def measured(speech_model: Path) -> Benchmark:
    return measuring.benchmark(Settings(), seconds=0.5)


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


def test_the_command_prints_one_object(speech_model: Path) -> None:
    done = edge_mcnn("benchmark", "--json", "--seconds", "0.1")
    table = json.loads(done.stdout)
    assert done.stderr == ""
    assert list(table) == [*(each.name for each in fields(Benchmark)), "verdict"]
    assert list(table["stages"]) == STAGES
    assert done.returncode == (0 if table["verdict"]["keeps_up"] and table["verdict"]["enough_memory"] else 1)


def test_mistakes_are_refused(speech_model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("hello, this is not a model")
    assert_refused(edge_mcnn("benchmark", "--model", tmp_path / "text.tflite"), "not a TFLite model")
    assert_refused(edge_mcnn("benchmark", "--config", tmp_path / "none.toml"), "none.toml")
    deaf = {"EDGE_MCNN_ENDPOINT_GATE_DBFS": "0.0"}
    assert_refused(edge_mcnn("benchmark", environment=deaf), "endpoint.gate_dbfs")
    assert edge_mcnn("benchmark", "--seconds", "0").returncode == 2


def test_a_file_of_the_working_folder_is_not_run(speech_model: Path, tmp_path: Path) -> None:
    (tmp_path / "device.py").write_text("raise SystemExit('a stranger')")
    script = "from device.benchmark.cold_start import rehearse as r, Settings as s; print(r(s()).utterances)"
    root = str(Path(measuring.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.stdout == "3\n"


def test_the_fresh_process_has_the_memory_for_itself(speech_model: Path) -> None:
    code = """
import sys, edge_mcnn.main, edge_mcnn.benchmark
from device.benchmark import run as measuring
from device.settings.schema import Settings
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
