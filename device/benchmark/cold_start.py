"""Starts a fresh process as `edge-mcnn listen` starts, and lets it process the clip instead of a microphone.

Start time and memory can only be measured in a process that has loaded nothing else. Call this before loading anything
heavy: on a small board there is no room for two such processes.
"""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.benchmark.results import ColdStart
from device.errors import AudioError, BenchmarkError, EdgeMcnnError
from device.settings.check import settings_from_table
from device.settings.schema import Settings

if TYPE_CHECKING:
    from device.events import Frame

CLIP = Path(__file__).with_name("clip.flac")
_MODULE = "device.benchmark.cold_start"
_DAEMON = "device.daemon.daemon"
_ROOT = str(Path(__file__).resolve().parents[2])


def measure_cold_start(settings: Settings, entry_point: str = "") -> ColdStart:
    """Let a fresh process start and process the clip, with these settings and this environment.

    Args:
        settings: the daemon's settings.
        entry_point: module that starts the daemon, imported first so that its start-up time counts; empty for the
            daemon alone.

    Raises:
        BenchmarkError: the process could not do it, or was killed.
    """
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    started = time.monotonic()  # all processes share this clock
    with subprocess.Popen(
        # -P: a file in the user's working folder must not be imported instead of a module of the same name.
        [sys.executable, "-P", "-m", _MODULE, *filter(None, [entry_point, _DAEMON])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            output, errors = process.communicate(json.dumps(asdict(settings)))
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise _failure(process.returncode, errors)
    report = json.loads(output.splitlines()[-1])
    if error := report.get("error"):
        raise BenchmarkError(error["message"], fix=error["fix"])
    return _result(started, **report)


def _result(
    started: float, imported: float, model_loaded: float, ready: float, latencies_ms: list[float], **memory: float
) -> ColdStart:
    """Turn the report of the fresh process, whose times are readings of the clock, into durations."""
    return ColdStart(
        imports_s=round(imported - started, 2),
        model_load_s=round(model_loaded - imported, 2),
        speech_model_load_s=round(ready - model_loaded, 2),
        ready_s=round(ready - started, 2),
        utterances=len(latencies_ms),
        endpoint_to_light_median_ms=round(statistics.median(latencies_ms), 2),
        endpoint_to_light_worst_ms=round(max(latencies_ms), 2),
        **memory,
    )


def _failure(status: int, errors: str) -> BenchmarkError:
    if status == -signal.SIGKILL:
        return BenchmarkError(
            "a fresh edge-mcnn process was killed while it loaded or listened, by a user or because the memory ran out",
            fix="stop the service if it runs (sudo systemctl stop edge-mcnn), close other programs and try again",
        )
    last = ([line for line in errors.splitlines() if line.strip()] or ["no output"])[-1]
    return BenchmarkError(f"a fresh edge-mcnn process ended with status {status} ({last.strip()[:300]})")


class MicrophonePacing:
    """Plays frames from a file with the timing of a microphone, without waiting for it: block by block.

    Work that is not finished when the next block arrives delays what follows, so the lag is that of a real microphone.

    Args:
        block_s: seconds of audio in a block.
    """

    def __init__(self, block_s: float) -> None:
        self._block_s = block_s
        self._arrived_s = self._started_s = 0.0  # in seconds of audio
        self._clock = 0.0

    def frames(self, frames: Iterable["Frame"], frame_s: float) -> Iterator["Frame"]:
        """Yield the frames as fast as they are consumed; each lasts `frame_s` seconds."""
        idle_s = 0.0
        for frame in frames:
            # A frame arrives at the end of its block; a thousandth of a block absorbs rounding errors.
            self._arrived_s = math.ceil((frame.start_s + frame_s) / self._block_s - 1e-3) * self._block_s
            self._started_s = max(idle_s, self._arrived_s)
            self._clock = time.perf_counter()
            yield frame
            idle_s = self._started_s + time.perf_counter() - self._clock

    def lag_s(self) -> float:
        """Seconds from the arrival of the last frame to now."""
        return self._started_s + time.perf_counter() - self._clock - self._arrived_s


def _process_clip(settings: Settings, modules: Iterable[str]) -> dict[str, Any]:
    """Do the work of the fresh process.

    Returns:
        The report for the parent process: clock readings, latencies and memory, as `_result` expects them.
    """
    for module in modules:  # for the time and memory that the imports take
        import_module(module)
    from device.adaptation.adapted_classifier import AdaptedClassifier
    from device.audio.audio_file import Recording
    from device.events import BLOCK_SECONDS, FRAME_SECONDS
    from device.loading import LoadedModels, load_transcriber, open_bundle
    from device.recognition.classifier import Classifier
    from device.system import machine
    from device.system.streams.stderr import announce

    imported = time.monotonic()
    bundle = open_bundle(settings)
    classifier = Classifier(bundle, runtime=settings.classifier.runtime, threads=settings.classifier.threads)
    model_loaded = time.monotonic()
    transcriber = load_transcriber(settings, announce)
    ready = time.monotonic()
    adapted = AdaptedClassifier(classifier, bundle)
    models = LoadedModels(settings, bundle.companions, transcriber, classifier, adapted)
    recording = Recording(CLIP, silence_after_s=settings.endpoint.hang_over_s + settings.endpoint.pre_roll_s)
    transcriber.prepare(wait=True)  # as in the quiet before somebody speaks, which the clip does not have
    pacing = MicrophonePacing(BLOCK_SECONDS)
    latencies_ms = []
    for prediction in models.pipeline().predictions(pacing.frames(recording.frames(), FRAME_SECONDS)):
        lag_s = pacing.lag_s()
        if prediction.utterance.ending == "silence":
            latencies_ms.append(1000 * lag_s)
    if not latencies_ms:
        raise AudioError(
            "with these settings no speech is detected in a clip of plain speech",
            fix="check endpoint.gate_dbfs, endpoint.speech_probability and endpoint.onset_s",
        )
    return {
        "imported": imported,
        "model_loaded": model_loaded,
        "ready": ready,
        "latencies_ms": latencies_ms,
        "peak_memory_mb": machine.peak_mb(),
        "available_memory_mb": machine.available_mb(),
    }


def _main(modules: Iterable[str]) -> None:
    try:
        report = _process_clip(settings_from_table(json.load(sys.stdin)), modules)
    except EdgeMcnnError as error:
        report = {"error": {"message": error.message, "fix": error.fix}}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
