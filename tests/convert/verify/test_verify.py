"""The runtimes run at the same time, and a refusal of one of them ends the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convert import subprocess_job
from convert.verify.verify import verify
from device.errors import ConversionError

_EXPECTED = np.eye(2, dtype=np.float32)


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[str], found: Any) -> dict[str, Any]:
    @contextmanager
    def started(_step: str, _module: str, arguments: list[str]) -> Iterator[Any]:
        runtime, *_, output = arguments
        events.append(f"start {runtime}")

        def finish(_progress: Any) -> None:
            events.append(f"finish {runtime}")
            np.save(output, found)

        try:
            yield SimpleNamespace(finish=finish)
        finally:
            events.append(f"end {runtime}")

    monkeypatch.setattr(subprocess_job, "started", started)
    return verify(
        tmp_path / "bundle.tflite",
        tmp_path / "samples.npz",
        _EXPECTED,
        ["yes", "no"],
        ["tflite-runtime", "ai-edge-litert"],
        tolerance=0.1,
        fix="allow more",
        progress=lambda stage, done=0, total=0: None,
    )


def test_all_run_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    agreements = run(tmp_path, monkeypatch, events, _EXPECTED)
    assert list(agreements) == ["tflite-runtime", "ai-edge-litert"]
    assert events[:2] == ["start tflite-runtime", "start ai-edge-litert"]
    assert events[2:4] == ["finish tflite-runtime", "finish ai-edge-litert"]


def test_the_first_that_disagrees_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    with pytest.raises(ConversionError, match="in tflite-runtime the converted model's probabilities differ up to 1"):
        run(tmp_path, monkeypatch, events, _EXPECTED[::-1])
    assert events[2:] == ["finish tflite-runtime", "end ai-edge-litert", "end tflite-runtime"]
