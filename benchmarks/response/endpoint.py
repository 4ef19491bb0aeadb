"""Measures how soon after the last sound the final prediction comes, and what an earlier end of utterance costs.

    python -m benchmarks.response.endpoint [--every N] [--speakers NAME,...] [--curve] FOLDER [FOLDER ...]

Each folder holds recordings, see `benchmarks.response.recordings`; --every replays every Nth of them, --speakers those
of some speakers. --curve compares more lengths of the pause, without words and classes, which is quick: words can only
make a pause longer. Each recording is replayed with each pair of pauses, in turns,
and compared with the replay with one pause of 0.6 s: an utterance of that replay is split if more than one utterance of
the other ends in it, and changed if one does with another class. A recogniser is used for one utterance alone, because
what it recognises depends a little on the utterances before. Prints a Markdown table for each folder. Times are those
of the audio, computing included.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.response.recordings import Clip, Scene, clips, scene
from benchmarks.response.replay import TimedPrediction, Update, replay
from device.audio.endpoint import Endpointer
from device.audio.silero_vad import VoiceDetector
from device.events import UtteranceFeatures
from device.loading import LoadedModels, open_bundle
from device.pipeline import Pipeline
from device.settings.schema import EndpointSettings, Settings

_LONGEST_S = EndpointSettings().hang_over_s
_SHORTEST_S = 0.48


def _named(*pauses: tuple[float, float]) -> dict[str, tuple[float, float]]:
    return {f"{low:g} s" if low == high else f"{low:g} to {high:g} s": (low, high) for low, high in pauses}


PAUSES = _named((_LONGEST_S, _LONGEST_S), (_SHORTEST_S, _LONGEST_S), (0.38, _LONGEST_S), (0.38, 0.38))
"""Shortest and longest pause that ends an utterance, seconds; the first is what the others are compared with."""
_CURVE_S = (0.3, 0.38, 0.45, 0.48, 0.51)
CURVE = _named(
    (_LONGEST_S, _LONGEST_S), *((each, _LONGEST_S) for each in _CURVE_S), *((each, each) for each in _CURVE_S)
)


class Wordless:
    """A transcriber that recognises no words, a transcription, and a classifier that prefers no class."""

    adapted = False

    def begin(self) -> "Wordless":
        """Begin a transcription."""
        return self

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Ignore samples."""

    def text(self) -> str:
        """Return no words."""
        return ""

    def rate(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[dict[str, float], UtteranceFeatures]:
        """Rate the only class."""
        return {"": 1.0}, UtteranceFeatures(np.zeros(1), np.zeros(1))

    def add_unlabelled(self, utterance: UtteranceFeatures) -> None:
        """Learn nothing."""

    def load_if_changed(self) -> bool:
        """Have no profile."""
        return False


Build = Callable[[EndpointSettings], Pipeline]
"""Makes a pipeline for one recording."""


@dataclass
class Response:
    """What was measured with one pair of pauses."""

    utterances: int = 0
    """Utterances of the replay that this one is compared with."""
    split: int = 0
    changed: int = 0
    latencies_s: list[float] = field(default_factory=list)
    """From the last voiced frame to the prediction, for each utterance that a pause ended, seconds."""
    from_sound_s: list[float] = field(default_factory=list)
    """From the last audible sound of a recording to its last prediction, seconds."""
    compute_ms: list[float] = field(default_factory=list)

    def add(self, replayed: Sequence[TimedPrediction], reference: Sequence[TimedPrediction], put: Scene) -> None:
        """Add one recording.

        Args:
            replayed: its predictions.
            reference: its predictions with the pauses that these are compared with.
            put: the recording in its room.
        """
        for utterance in reference:
            own = [each for each in replayed if _ends_in(each, utterance)]
            self.utterances += 1
            self.split += len(own) > 1
            self.changed += len(own) == 1 and own[0].prediction.label != utterance.prediction.label
        paused = [each for each in replayed if each.prediction.utterance.ending == "silence"]
        self.latencies_s += [each.latency_s for each in paused]
        self.compute_ms += [each.compute_ms for each in paused]
        if paused:
            self.from_sound_s.append(paused[-1].since_s(put.last_sound_s))


def with_words(settings: Settings) -> Build:
    """Load the models, and return what makes pipelines of them."""
    transcriber = replace(settings.transcriber, utterances_per_recogniser=1)
    models = LoadedModels.load(replace(settings, transcriber=transcriber))
    return lambda endpoint: replace(models, settings=replace(models.settings, endpoint=endpoint)).pipeline()


def without_words(settings: Settings) -> Build:
    """Return what makes pipelines that only find utterances."""
    companions = open_bundle(settings).companions

    def build(endpoint: EndpointSettings) -> Pipeline:
        detector, models = VoiceDetector(endpoint.gate_dbfs), cast(Any, Wordless())
        return Pipeline(Endpointer(endpoint, detector), models, models, companions)

    return build


def measure(
    build: Build, recordings: Sequence[Clip], pauses: Mapping[str, tuple[float, float]], settings: Settings
) -> dict[str, Response]:
    """Replay recordings with each pair of pauses, in turns.

    Args:
        build: makes the pipelines.
        recordings: what is replayed.
        pauses: by name, as `PAUSES`.
        settings: give everything but the pauses.
    """
    found = {name: Response() for name in pauses}
    for number, clip in enumerate(recordings):
        put = scene(clip, seed=number)
        reference: list[TimedPrediction] | None = None
        for name, (shortest_s, longest_s) in pauses.items():
            endpoint = replace(settings.endpoint, hang_over_s=longest_s, earlier_end_s=longest_s - shortest_s)
            replayed = replay(partial(_pipeline, build, endpoint), put.samples)
            reference = replayed if reference is None else reference
            found[name].add(replayed, reference, put)
    return found


def _pipeline(build: Build, endpoint: EndpointSettings, _update: Update) -> Pipeline:
    return build(endpoint)


def table(found: dict[str, Response]) -> str:
    """Format the measurements as a Markdown table."""
    lines = [
        "| pause that ends an utterance | utterances | split | other class | last voiced frame to prediction, median "
        "/ 95th percentile | last audible sound to prediction | computing |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, response in found.items():
        share = 100 / max(1, response.utterances)
        lines.append(
            f"| {name} | {response.utterances} | {response.split} ({response.split * share:.1f} %) "
            f"| {response.changed} ({response.changed * share:.1f} %) | {_seconds(response.latencies_s)} "
            f"| {_seconds(response.from_sound_s)} | {_median(response.compute_ms):.1f} ms |"
        )
    return "\n".join(lines)


def _ends_in(replayed: TimedPrediction, utterance: TimedPrediction) -> bool:
    whole = utterance.prediction.utterance
    return whole.start_s < replayed.prediction.utterance.speech_end_s <= whole.speech_end_s


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def _seconds(values: Sequence[float]) -> str:
    ordered = sorted(values)
    highest = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0
    return f"{_median(ordered):.2f} / {highest:.2f} s"


def main() -> None:
    """Print a table for each folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--speakers", default="")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("folders", type=Path, nargs="+")
    chosen = parser.parse_args()
    settings = Settings()
    build = without_words(settings) if chosen.curve else with_words(settings)
    for folder in chosen.folders:
        speakers = set(filter(None, chosen.speakers.split(",")))
        recordings = [clip for clip in clips(folder) if not speakers or clip.speaker in speakers][:: chosen.every]
        found = measure(build, recordings, CURVE if chosen.curve else PAUSES, settings)
        print(f"\n### {folder.name}\n\n{table(found)}", flush=True)


if __name__ == "__main__":
    main()
