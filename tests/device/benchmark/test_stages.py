"""Timing of the stages, one by one."""

from typing import Any

import pytest

from device.benchmark import stages
from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.errors import InterpreterError
from device.events import FRAME_SECONDS
from device.settings.schema import EndpointSettings, Settings


def test_only_speech_is_measured() -> None:
    utterances = stages.speech_frames(EndpointSettings())
    seconds = [len(frames) * FRAME_SECONDS for frames in utterances]
    assert seconds == pytest.approx([2.14, 1.89, 2.08], abs=0.1), "each sentence without pre-roll and hang-over"
    assert stages.speech_frames(EndpointSettings(gate_dbfs=0.0)) == []
    [cut, *_] = stages.speech_frames(EndpointSettings(longest_s=1.0))
    assert len(stages._by_second([1.0] * len(cut))) == 1
    assert stages._by_second([1.0] * 62 + [99.0]) == pytest.approx([1 / FRAME_SECONDS] * 2)


def test_a_broken_runtime_is_reported_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(DEFAULT_BUNDLE)
    time_calls = stages._time_calls

    def broken(bundle: Any, runtime: str, threads: int, seconds: float) -> tuple[str, list[float]]:
        if runtime == "tflite-runtime":
            raise InterpreterError("incompatible with the installed numpy", fix="run: pip install ai-edge-litert")
        return time_calls(bundle, runtime, threads, seconds)

    monkeypatch.setattr(stages, "_time_calls", broken)
    calls, unusable, _ = stages.measure_interpreters(Settings(), bundle, ["ai-edge-litert", "tflite-runtime"], 1, 0.1)
    assert {call.runtime for call in calls} == {"ai-edge-litert"}
    assert unusable == {"tflite-runtime": "incompatible with the installed numpy; run: pip install ai-edge-litert"}
