"""The fresh process, and the timing of a microphone that it imitates."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from device.benchmark import cold_start
from device.benchmark.cold_start import CLIP, MicrophonePacing, measure_cold_start
from device.errors import BenchmarkError
from device.events import FRAME_SECONDS, Frame
from device.settings.schema import EndpointSettings, Settings


def test_the_clip() -> None:
    info = soundfile.info(CLIP)
    assert (info.format, info.samplerate, info.channels) == ("FLAC", 16_000, 1)
    assert CLIP.stat().st_size < 150_000


class Clock:
    """Replaces `time`; it moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("cost_s", "lags_s"),
    [
        (0.010, [0.010, 0.020, 0.030, 0.040, 0.010, 0.020, 0.030, 0.040]),  # finished when the next block arrives
        (0.050, [0.050, 0.100, 0.150, 0.200, 0.122, 0.172, 0.222, 0.272]),  # each block is later than the one before
    ],
)
def test_unfinished_work_delays_what_follows(
    cost_s: float, lags_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(cold_start, "time", clock)
    pacing, lags = MicrophonePacing(4 * FRAME_SECONDS), []
    for _ in pacing.frames((Frame(None, n * FRAME_SECONDS, 0.0) for n in range(8)), FRAME_SECONDS):  # type: ignore[arg-type]  # no samples
        clock.now += cost_s
        lags.append(pacing.lag_s())
    assert lags == pytest.approx(lags_s)


@pytest.mark.parametrize(
    ("script", "message", "fix"),
    [
        ("kill -9 $$", "because the memory ran out", "sudo systemctl stop edge-mcnn"),
        ("echo first >&2; echo last words >&2; exit 3", "status 3 (last words)", ""),
        ("exit 3", "status 3 (no output)", ""),
    ],
)
def test_a_fresh_process_that_dies(
    script: str, message: str, fix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(cold_start.sys, "executable", str(python))  # type: ignore[attr-defined]  # a module's import
    with pytest.raises(BenchmarkError) as caught:
        measure_cold_start(Settings())
    assert message in caught.value.message
    assert fix in caught.value.fix


def test_an_error_of_the_fresh_process_keeps_its_fix(speech_model: Path) -> None:
    with pytest.raises(BenchmarkError, match="no speech is detected in a clip of plain speech") as caught:
        measure_cold_start(Settings(endpoint=EndpointSettings(gate_dbfs=0.0)))
    assert "endpoint.gate_dbfs" in caught.value.fix


def test_the_entry_point_is_imported_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "entry_point_of_a_test.py").write_text("raise SystemExit('imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(BenchmarkError, match=r"status 1 \(imported\)"):
        measure_cold_start(Settings(), "entry_point_of_a_test")


def test_a_file_in_the_working_folder_is_not_imported(speech_model: Path, tmp_path: Path) -> None:
    (tmp_path / "device.py").write_text("raise SystemExit('a file of the user')")
    script = (
        "from device.benchmark.cold_start import measure_cold_start as m, Settings; print(m(Settings()).utterances)"
    )
    root = str(Path(cold_start.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.stdout == "3\n"
