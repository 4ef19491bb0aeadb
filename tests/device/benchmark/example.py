"""Results of a benchmark with invented numbers, for tests of what is concluded from them and printed."""

from dataclasses import replace
from typing import Any

from device.benchmark.results import BenchmarkResults, ColdStart, InterpreterCall, MeasuredSettings, Stage
from device.system.machine import Machine

STAGES = [
    "loudness_gate", "voice_detector", "mel_spectrogram", "spectrogram_image", "vosk_feed", "vosk_final_result",
    "token_ids", "interpreter",
]  # fmt: skip
PER_UTTERANCE = Stage("utterance", 1.0, 2.0, 3, None)
LITERT = InterpreterCall("ai-edge-litert", 2, 4.0, 5.0, selected=True)
GOOD = BenchmarkResults(
    machine=Machine("Raspberry Pi Zero 2 W Rev 1.0", 4, "aarch64", 64, 448.0, {"python": "3.11.2"}),
    settings=MeasuredSettings("", "ai-edge-litert", 2, "quick", 16),
    cold_start=ColdStart(1.0, 2.0, 3.0, 6.0, 250.0, 150.0, 3, 41.2, 50.0),
    stages={
        **dict.fromkeys(STAGES, PER_UTTERANCE),
        "loudness_gate": Stage("frame", 0.003, 0.004, 9, 0.0001),
        "vosk_feed": Stage("second", 160.0, 170.0, 9, 0.1638),
    },
    core_share=0.1639,
    times_real_time=6.1,
    vosk_times_real_time=6.11,
    interpreter_calls=(LITERT,),
    unusable_runtimes={},
)


def slow(times_real_time: float, **settings: Any) -> BenchmarkResults:
    return replace(GOOD, times_real_time=times_real_time, settings=replace(GOOD.settings, **settings))


def short_of_memory(available_mb: float, **settings: Any) -> BenchmarkResults:
    cold_start = replace(GOOD.cold_start, available_memory_mb=available_mb)
    return replace(GOOD, cold_start=cold_start, settings=replace(GOOD.settings, **settings))
