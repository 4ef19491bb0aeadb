"""Measures whether the cost grows: per second of audio after ten hours, and with the length of an utterance.

    python -m benchmarks.growth

The audio is processed as fast as possible. Prints one JSON object.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in `edge-mcnn listen`, before numpy is imported

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.framer import Framer
from device.events import SAMPLE_RATE, Frame
from device.loading import LoadedModels
from device.pipeline import Pipeline
from device.settings.schema import Settings
from tests.conftest import CLIPS

QUIET, TALK = "quiet", "talk"
_HOURS = 10
_QUIET_S = 1500
_LENGTHS_S = (2, 4, 8, 14)
_ROUNDS = 5


def _pause(seconds: float) -> NDArray[np.int16]:
    return (np.random.default_rng(2).standard_normal(round(seconds * SAMPLE_RATE)) * 8).astype(np.int16)


def _clips() -> list[NDArray[np.int16]]:
    return [soundfile.read(path, dtype="int16")[0] for path in sorted(CLIPS.glob("austen-*.flac"))]


def _costs(pipeline: Pipeline, segments: Iterable[tuple[str, NDArray[np.int16]]]) -> list[tuple[str, float]]:
    """Process the segments of audio in one stream; return the name and the CPU seconds per second of each."""
    costs: list[tuple[str, float]] = []
    framer = Framer(SAMPLE_RATE)

    def frames() -> Iterator[Frame]:
        for name, samples in segments:
            started = time.process_time()
            for start in range(0, len(samples), 2048):
                yield from framer.push(samples[start : start + 2048, None], arrived_at=0.0)
            costs.append((name, (time.process_time() - started) / len(samples) * SAMPLE_RATE))

    for _ in pipeline.predictions(frames()):
        pass
    return costs


def hours() -> dict[str, list[float]]:
    """CPU seconds per second of audio for the same silence and the same talk, in the first rounds and in the last."""
    settings = Settings()
    clips = _clips()
    # As many utterances as a recogniser serves: each round begins with a new one and has the same work to do.
    talk = np.concatenate(
        [
            part
            for number in range(settings.transcriber.utterances_per_recogniser)
            for part in (clips[number % len(clips)], _pause(1.0))
        ]
    )
    quiet = _pause(_QUIET_S)
    segments = [(QUIET, quiet), (TALK, talk)] * round(_HOURS * 3600 / (_QUIET_S + len(talk) / SAMPLE_RATE))
    costs = _costs(_models(settings).pipeline(), segments)
    found: dict[str, list[float]] = {}
    for name in (QUIET, TALK):
        values = [cost for segment, cost in costs if segment == name]
        found |= {f"{name}, at the start": values[:_ROUNDS], f"{name}, after {_HOURS} h": values[-_ROUNDS:]}
    return found


def lengths() -> dict[int, list[float]]:
    """CPU seconds for one utterance, by its length in seconds, each with a new recogniser."""
    settings = Settings()
    models = _models(replace(settings, transcriber=replace(settings.transcriber, utterances_per_recogniser=1)))
    spoken = np.concatenate(_clips())
    found: dict[int, list[float]] = {length: [] for length in _LENGTHS_S}
    for _ in range(_ROUNDS):
        for length, costs in found.items():
            utterance = np.concatenate([spoken[: length * SAMPLE_RATE], _pause(1.0)])
            [(_, per_second)] = _costs(models.pipeline(), [("", utterance)])
            costs.append(per_second * len(utterance) / SAMPLE_RATE)
    return found


@dataclass(frozen=True)
class Fit:
    """A straight line through costs by the amount of work, such as those of utterances by their length in seconds."""

    fixed_s: float
    """Cost, such as CPU seconds, whatever the amount of work."""
    per_second_s: float
    """Additional cost for each unit of work, such as a second of an utterance."""
    max_error: float
    """Largest distance of a cost from the line, as a share of that cost."""


def fit(costs: Mapping[int, float] | Mapping[float, float]) -> Fit:
    """Fit the line by least squares."""
    seconds, cpu_s = np.array(list(costs)), np.array(list(costs.values()))
    slope, fixed = np.polyfit(seconds, cpu_s, 1)
    errors = np.abs(fixed + slope * seconds - cpu_s) / cpu_s
    return Fit(float(fixed), float(slope), float(errors.max()))


def _models(settings: Settings) -> LoadedModels:
    return LoadedModels.load(settings, lambda line: print(line, file=sys.stderr))


if __name__ == "__main__":
    print(json.dumps({"lengths": lengths(), "hours": hours()}))
