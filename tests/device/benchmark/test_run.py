"""The complete benchmark. No test depends on how fast a machine is, only on whether the results are consistent."""

import subprocess
import sys

import pytest

from device.benchmark.results import BenchmarkResults
from device.benchmark.stages import speech_frames
from device.recognition.runtimes import installed_runtimes
from device.settings.schema import EndpointSettings, Settings
from device.system.machine import cores
from tests.device.benchmark.example import STAGES

pytestmark = pytest.mark.slow


def test_every_stage_is_measured(results: BenchmarkResults) -> None:
    assert list(results.stages) == STAGES
    for name, stage in results.stages.items():
        assert 0 < stage.median_ms <= stage.p95_ms, name
        assert stage.runs >= 3, name
        assert (stage.core_share is None) == (stage.per == "utterance"), name
    utterances = speech_frames(EndpointSettings())
    assert results.stages["voice_detector"].runs % sum(map(len, utterances)) == 0


def test_the_results_are_consistent(results: BenchmarkResults) -> None:
    shares = [stage.core_share for stage in results.stages.values() if stage.core_share is not None]
    assert results.core_share == pytest.approx(sum(shares), abs=1e-4)
    assert results.times_real_time == pytest.approx(1 / results.core_share, rel=0.01)
    vosk = results.stages["vosk_feed"].core_share
    assert vosk is not None
    assert results.vosk_times_real_time == pytest.approx(1 / vosk, rel=0.01)
    start = results.cold_start
    assert start.ready_s == pytest.approx(start.imports_s + start.model_load_s + start.speech_model_load_s, abs=0.02)
    assert min(start.imports_s, start.speech_model_load_s) > 0
    assert 0 < start.endpoint_to_light_median_ms <= start.endpoint_to_light_worst_ms


def test_the_fresh_process_detects_the_speech_of_the_clip(results: BenchmarkResults) -> None:
    assert results.cold_start.utterances == 3
    assert 100 < results.cold_start.peak_memory_mb < results.machine.memory_mb, "Vosk alone needs more"
    assert 0 < results.cold_start.available_memory_mb < results.machine.memory_mb


def test_the_network_is_measured_with_each_number_of_threads(results: BenchmarkResults) -> None:
    calls, default = results.interpreter_calls, Settings().classifier
    threads = {each for each in (1, 2, 4, 8, 16, 32, 64, 128, 256) if each <= cores()} | {default.threads}
    for runtime in installed_runtimes():
        assert {call.threads for call in calls if call.runtime == runtime} == threads
    [selected] = [call for call in calls if call.selected]
    assert (selected.runtime, selected.threads) == (results.settings.runtime, default.threads)
    assert selected.median_ms == results.stages["interpreter"].median_ms


def test_the_fresh_process_has_the_memory_for_itself() -> None:
    code = """
import sys, edge_mcnn.main, edge_mcnn.setup.benchmark
from device.benchmark import run
from device.settings.schema import Settings
run.measure_cold_start = lambda *_: sys.exit(f"numpy is imported: {'numpy' in sys.modules}")
run.benchmark(Settings())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "numpy is imported: False\n"
