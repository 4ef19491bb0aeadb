"""A fresh process that starts as `edge-mcnn listen` does and hears the clip instead of a microphone.

What a start takes, and what memory, only a process tells that has loaded nothing else. Its parent is therefore to ask
for it before it loads anything itself: on a small board there is no room for two.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.benchmark.results import Rehearsal
from device.errors import AudioError, BenchmarkError, EdgeMcnnError
from device.settings.check import settings_from_table
from device.settings.schema import Settings

if TYPE_CHECKING:
    from device.events import Frame

CLIP = Path(__file__).with_name("clip.flac")
_MODULE = "device.benchmark.cold_start"
_ROOT = str(Path(__file__).resolve().parents[2])


def rehearse(settings: Settings) -> Rehearsal:
    """Let a fresh process listen, with these settings and this environment.

    Raises:
        BenchmarkError: what it could not do, or how it was killed.
    """
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    began = time.monotonic()  # the same clock in all processes
    with subprocess.Popen(
        # -P: a file of the user's working folder that is called like a module must not be imported in its place.
        [sys.executable, "-P", "-m", _MODULE],
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
        raise BenchmarkError(_failure(process.returncode, errors))
    told = json.loads(output.splitlines()[-1])
    if refusal := told.get("refusal"):
        raise BenchmarkError(refusal)
    return _figures(began, **told)


def _figures(
    began: float, imported: float, understood: float, ready: float, latencies_ms: list[float], **memory: float
) -> Rehearsal:
    """Of what the fresh process told; its times are those of the clock."""
    return Rehearsal(
        imports_s=round(imported - began, 2),
        model_s=round(understood - imported, 2),
        speech_model_s=round(ready - understood, 2),
        ready_s=round(ready - began, 2),
        utterances=len(latencies_ms),
        endpoint_to_light_median_ms=round(statistics.median(latencies_ms), 2),
        endpoint_to_light_worst_ms=round(max(latencies_ms), 2),
        **memory,
    )


def _failure(status: int, errors: str) -> str:
    if status == -signal.SIGKILL:
        return (
            "a fresh edge-mcnn was killed while it loaded or listened: by hand, or because the memory ran out; stop "
            "the service if it runs (sudo systemctl stop edge-mcnn), close other programs and try again"
        )
    last = ([line for line in errors.splitlines() if line.strip()] or ["no last words"])[-1]
    return f"a fresh edge-mcnn ended with status {status} ({last.strip()[:300]})"


class Pace:
    """Sound as a microphone gives it, heard without waiting for it: block by block, each at its time.

    What is not done when the next block comes delays what follows, so the lag is that of a real microphone.

    Args:
        block_s: seconds of sound in a block.
    """

    def __init__(self, block_s: float) -> None:
        self._block_s = block_s
        self._arrived = self._begun_at = 0.0  # in seconds of sound
        self._clock = 0.0

    def frames(self, frames: Iterable["Frame"], frame_s: float) -> Iterator["Frame"]:
        """The frames, as fast as they are taken; each lasts `frame_s`."""
        free = 0.0
        for frame in frames:
            # A frame is there when its block is over; a thousandth for sums of fractions.
            self._arrived = math.ceil((frame.start_s + frame_s) / self._block_s - 1e-3) * self._block_s
            self._begun_at = max(free, self._arrived)
            self._clock = time.perf_counter()
            yield frame
            free = self._begun_at + time.perf_counter() - self._clock

    def lag_s(self) -> float:
        """Seconds from the arrival of the last frame to now."""
        return self._begun_at + time.perf_counter() - self._clock - self._arrived


def _listen(settings: Settings) -> dict[str, Any]:
    """In the fresh process: what it tells its parent."""
    import device.daemon.daemon  # noqa: F401  # for the time and memory that it takes
    from device.audio.audio_file import Recording
    from device.audio.microphone import BLOCK_SECONDS
    from device.events import FRAME_SECONDS
    from device.loading import LoadedModels, load_transcriber, open_bundle
    from device.recognition.classifier import Classifier
    from device.system import machine

    imported = time.monotonic()
    bundle = open_bundle(settings)
    classifier = Classifier(bundle, runtime=settings.classifier.runtime, threads=settings.classifier.threads)
    understood = time.monotonic()
    transcriber = load_transcriber(settings, lambda line: print(line, file=sys.stderr))
    ready = time.monotonic()
    models = LoadedModels(settings, bundle.companions, transcriber, classifier)
    recording = Recording(CLIP, silence_after_s=settings.endpoint.hang_over_s + settings.endpoint.pre_roll_s)
    pace = Pace(BLOCK_SECONDS)
    latencies_ms = []
    for prediction in models.pipeline().predictions(pace.frames(recording.frames(), FRAME_SECONDS)):
        lag_s = pace.lag_s()
        if prediction.utterance.ending == "silence":
            latencies_ms.append(1000 * lag_s)
    if not latencies_ms:
        raise AudioError(
            "the settings let nobody be heard in a clip of plain speech; look at endpoint.gate_dbfs, "
            "endpoint.speech_probability and endpoint.onset_s"
        )
    return {
        "imported": imported,
        "understood": understood,
        "ready": ready,
        "latencies_ms": latencies_ms,
        "peak_mb": machine.peak_mb(),
        "available_mb": machine.available_mb(),
    }


def _main() -> None:
    try:
        told = _listen(settings_from_table(json.load(sys.stdin)))
    except EdgeMcnnError as error:
        told = {"refusal": str(error)}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    _main()
