"""Measures what a new recogniser costs, whether it is prepared or not, and the memory of recognisers by their life.

    python -m benchmarks.recognisers [FOLDER]

FOLDER holds FLAC or WAV files of single utterances, for memory; without it, the few recordings of the tests are used.
Prints one JSON object:

    first: for new recognisers, prepared ones and used ones, in turns: CPU milliseconds of an utterance, and how many
        milliseconds after the end of its pause the prediction would come on boards that are slower than this machine by
        a factor, mean and worst. The CPU time of each block of audio is multiplied by the factor.
    lives: for numbers of utterances per recogniser, each in a process of its own that loads what `listen` loads: CPU
        seconds per second of speech, and peak memory at the end and after loading, 10^6 bytes.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in `edge-mcnn listen`, before numpy is imported

import numpy as np
from numpy.typing import NDArray

from device.audio.audio_file import Recording
from device.events import BLOCK_SECONDS, FRAME_LENGTH, SAMPLE_RATE
from device.loading import LoadedModels, load_transcriber
from device.recognition.transcriber import Transcriber
from device.settings.schema import EndpointSettings, Settings
from device.system.machine import peak_mb

NEW, PREPARED, USED = "new", "prepared", "used"
LIVES = (1, 4, 16, 32)
BOARD = "15"
"""How many times slower than this machine the board of the goal is: one on which a new recogniser would be late."""
SLOWER = ("8", "10", "12", BOARD)
_ROUNDS = 3
_BLOCK = round(BLOCK_SECONDS * SAMPLE_RATE)
_EXPECTED_S = 0.35
"""Seconds of pause after which the prediction is computed with the default settings."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of an utterance."""

    begin: float
    """Until the first block can be fed."""
    blocks: tuple[float, ...]
    """Each block of audio."""
    text: float
    """The words at the end."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.begin + sum(self.blocks) + self.text

    def late_s(self, factor: float) -> float:
        """Seconds from the end of the pause to the words on a machine that is slower by `factor`; 0 if on time."""
        done = 0.0
        for number, block in enumerate(self.blocks):
            done = max(done, (number + 1) * BLOCK_SECONDS) + factor * (block + (self.begin if number == 0 else 0))
        spoken_s = len(self.blocks) * BLOCK_SECONDS
        done = max(done, spoken_s + _EXPECTED_S) + factor * self.text
        return max(0.0, done - spoken_s - EndpointSettings().hang_over_s)


def cost(transcriber: Transcriber, samples: NDArray[np.int16]) -> Cost:
    """Transcribe an utterance in blocks, as they come from a microphone."""
    started = time.process_time()
    transcription = transcriber.begin()
    times = [time.process_time()]
    for start in range(0, len(samples), _BLOCK):
        block = samples[start : start + _BLOCK]
        for frame in range(0, len(block), FRAME_LENGTH):
            transcription.feed(block[frame : frame + FRAME_LENGTH])
        times.append(time.process_time())
    transcription.text()
    return Cost(times[0] - started, tuple(np.diff(times)), time.process_time() - times[-1])


def first() -> dict[str, Any]:
    """What the first utterance of a recogniser costs, against later ones."""
    from tests.conftest import CLIPS  # here, because the processes of `life` load nothing that `listen` does not load

    settings = Settings()
    once = replace(settings, transcriber=replace(settings.transcriber, utterances_per_recogniser=1))
    renewed, lasting = load_transcriber(once), load_transcriber(settings)
    clips = [_samples(path) for path in sorted(CLIPS.glob("austen-*.flac"))]
    for path in sorted(CLIPS.glob("espeak-*.flac")) * 2:  # other words: nobody repeats the same sentences
        cost(lasting, _samples(path))
    costs: dict[str, list[Cost]] = defaultdict(list)
    for _ in range(_ROUNDS):
        for clip in clips:
            costs[NEW].append(cost(renewed, clip))
            renewed.prepare(wait=True)
            costs[PREPARED].append(cost(renewed, clip))
    for clip in clips:
        costs[USED].append(cost(lasting, clip))
    return {
        name: {
            "cpu_ms": 1000 * statistics.mean(each.total for each in found),
            "late_ms": {
                factor: [1000 * reduced(each.late_s(float(factor)) for each in found) for reduced in (_mean, max)]
                for factor in SLOWER
            },
        }
        for name, found in costs.items()
    }


def life(utterances: int, folder: Path) -> dict[str, float]:
    """CPU and memory of this process, if it listens to the recordings in the folder."""
    import edge_mcnn.main  # noqa: F401  # likewise
    from device.audio.microphone import portaudio_version

    portaudio_version()  # loads it

    settings = Settings()
    chosen = replace(settings.transcriber, utterances_per_recogniser=utterances)
    transcriber = LoadedModels.load(replace(settings, transcriber=chosen)).transcriber
    loaded, cpu_s, spoken_s = peak_mb(), 0.0, 0.0
    for path in sorted(path for kind in ("*.flac", "*.wav") for path in folder.rglob(kind)):
        samples = _samples(path)
        started = time.process_time()
        transcriber.prepare(wait=True)
        cost(transcriber, samples)
        cpu_s, spoken_s = cpu_s + time.process_time() - started, spoken_s + len(samples) / SAMPLE_RATE
    return {"cpu": cpu_s / spoken_s, "peak_mb": peak_mb(), "loaded_mb": loaded}


def _mean(values: Iterable[float]) -> float:
    return statistics.mean(values)


def _samples(path: Path) -> NDArray[np.int16]:
    return np.concatenate([frame.samples for frame in Recording(path, silence_after_s=0.0).frames()])


def _main(arguments: list[str]) -> None:
    if arguments[:1] == ["--life"]:
        print(json.dumps(life(int(arguments[1]), Path(arguments[2]))))
        return
    from tests.conftest import CLIPS

    folder = arguments[0] if arguments else str(CLIPS)
    lives = {}
    for utterances in LIVES:
        command = [sys.executable, "-m", "benchmarks.recognisers", "--life", str(utterances), folder]
        lives[utterances] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    print(json.dumps({"first": first(), "lives": lives}))


if __name__ == "__main__":
    _main(sys.argv[1:])
