"""Measures the light while someone speaks: how soon it is right, how often it changes, and what it costs.

    python -m benchmarks.response.preview FOLDER [--model emotions] [--speakers actor11,actor12] [--clips 100] [--json]

FOLDER holds recordings, see `benchmarks.response.recordings`. The right light is that of the class of the prediction
when the utterance is over. A flip is a change from the light of one class to that of another one within an utterance,
the change to the right one at its end included; the first light of an utterance is none. Each recording is replayed
with and without previews, in turns, which gives the CPU time of both, and verifies that the predictions are the same.
With --json it prints the times, seconds from the last voiced frame, and the flips of each utterance.
"""

import argparse
import ctypes
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.response.recordings import clips, scene
from benchmarks.response.replay import Update, replay
from device.events import Frame, Prediction, Preview
from device.loading import LoadedModels
from device.outputs.base import Speech
from device.settings.schema import ClassifierSettings, Settings


@dataclass(frozen=True)
class Follower:
    """A light that follows previews, for `Pipeline`; nothing else of an utterance is computed for it."""

    update: Update
    watching: bool = False
    previewing: bool = True
    shows_previews: bool = False

    def preview(self, preview: Preview) -> None:
        """Light the class of the preview."""
        self.update(preview.light)

    def frame(self, frame: Frame) -> None:
        """Do nothing: it does not watch."""

    def speech(self, speech: Speech) -> None:
        """Do nothing: it does not watch."""


@dataclass(frozen=True)
class Course:
    """How the light followed one utterance."""

    lights: tuple[tuple[float, str], ...]
    """Each light that came on, with its time, seconds of audio; the last one is the right one."""
    prediction: Prediction
    truth: str
    """The class that the corpus names; empty if it names none."""
    last_sound_s: float | None
    """End of the last audible sound of the recording, seconds of audio; None if it is not in this utterance."""

    @property
    def right_s(self) -> float:
        """Seconds from the last voiced frame to the right light; negative if it was on before."""
        return self.lights[-1][0] - self.prediction.utterance.speech_end_s

    @property
    def since_sound_s(self) -> float | None:
        """Seconds from the last audible sound to the right light."""
        return None if self.last_sound_s is None else self.lights[-1][0] - self.last_sound_s

    @property
    def flips(self) -> int:
        """Number of flips."""
        return len(self.lights) - 1

    @property
    def wrong_s(self) -> float:
        """Seconds in which another light was on than the right one."""
        right = self.lights[-1][1]
        return sum(end - start for (start, label), (end, _) in pairwise(self.lights) if label != right)


def courses(models: LoadedModels, samples: NDArray[np.int16], *, truth: str, last_sound_s: float) -> list[Course]:
    """Replay a recording with previews.

    Args:
        models: the models.
        samples: shape (n,), mono, 16 kHz.
        truth: the class that the corpus names; empty if it names none.
        last_sound_s: end of the last audible sound, seconds of audio.

    Returns:
        One for each utterance, in order.
    """
    updates: list[tuple[float, str]] = []

    def note(audio_s: float, label: str | None) -> None:
        if label is not None:
            updates.append((audio_s, label))

    found = []
    for timed in replay(lambda update: models.pipeline(Follower(update)), samples, note):
        utterance = timed.prediction.utterance
        own = [each for each in updates if utterance.start_s < each[0] <= timed.audio_s]
        lights = tuple(_changes([*own, (timed.audio_s, timed.prediction.label)]))
        inside = utterance.start_s <= last_sound_s <= utterance.end_s
        found.append(Course(lights, timed.prediction, truth, last_sound_s if inside else None))
    return found


def _changes(updates: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    changes: list[tuple[float, str]] = []
    for at, label in updates:
        if not changes or changes[-1][1] != label:
            changes.append((at, label))
    return changes


def summary(found: Sequence[Course]) -> list[str]:
    """The lines about courses: median and 95th percentile, and shares of utterances."""
    right = [each.right_s for each in found]
    sound = [each.since_sound_s for each in found if each.since_sound_s is not None]
    flips = [float(each.flips) for each in found]
    before = np.mean([each.right_s <= 0 for each in found])
    early = [each for each in found if each.lights[0][0] < each.prediction.utterance.end_s]
    lines = [
        f"utterances                                      {len(found)}",
        f"last voiced frame to the right light            {_spread(right)} s",
        f"last audible sound to the right light           {_spread(sound)} s",
        f"flips per utterance                             {_spread(flips)}, mean {np.mean(flips):.3f}",
        f"right light before the last voiced frame        {before:.0%}",
        f"a light before the end of the pause             {len(early) / len(found):.0%}",
        f"wrong light                                     {np.mean([each.wrong_s for each in found]):.3f} s",
    ]
    known = [each for each in found if each.truth]
    if known and {each.truth for each in known} <= set(known[0].prediction.probabilities):
        first = np.mean([each.lights[0][1] == each.truth for each in known])
        last = np.mean([each.lights[-1][1] == each.truth for each in known])
        lines.append(f"class of the corpus: first light, prediction    {first:.1%}, {last:.1%}")
    return lines


def as_json(found: Sequence[Course]) -> dict[str, list[float]]:
    """By quantity its value for each utterance: when the right light and the prediction came, and the flips."""
    return {
        "right_s": [each.right_s for each in found],
        "final_s": [each.prediction.utterance.end_s - each.prediction.utterance.speech_end_s for each in found],
        "flips": [float(each.flips) for each in found],
    }


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    median, high = np.quantile(values, (0.5, 0.95))
    return f"median {median:.2f}, 95th percentile {high:.2f}"


def _plain(models: LoadedModels, samples: NDArray[np.int16]) -> list[Prediction]:
    return [timed.prediction for timed in replay(lambda _: models.pipeline(), samples)]


def _essence(prediction: Prediction) -> tuple[str, dict[str, float]]:
    return prediction.text, dict(prediction.probabilities)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="", help="model of the settings, such as emotions")
    parser.add_argument("--speakers", default="", help="speakers of labels.csv, separated by commas; default: all")
    parser.add_argument("--clips", type=int, help="number of recordings, spread over the folder; default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    settings = replace(Settings(), classifier=ClassifierSettings(model=chosen.model))
    # A transcriber each: on words that it has met, one is faster.
    with_previews, without = LoadedModels.load(settings), LoadedModels.load(settings)
    speakers = set(filter(None, chosen.speakers.split(",")))
    recordings = [each for each in clips(chosen.folder) if not speakers or each.speaker in speakers]
    if chosen.clips:
        recordings = list(islice(recordings, 0, None, max(1, len(recordings) // chosen.clips)))[: chosen.clips]
    found: list[Course] = []
    cpu_s = [0.0, 0.0]
    changed = 0
    for number, clip in enumerate(recordings):
        put = scene(clip)
        by_turn: list[list[Prediction]] = [[], []]
        for turn in (0, 1) if number % 2 else (1, 0):
            # Kaldi adds random noise to the audio (dither); without a seed some words differ from run to run.
            ctypes.CDLL(None).srand(number)
            started = time.process_time()
            if turn:
                own = courses(with_previews, put.samples, truth=clip.sentiment, last_sound_s=put.last_sound_s)
                found += [each for each in own if each.prediction.utterance.ending == "silence"]
                by_turn[turn] = [each.prediction for each in own]
            else:
                by_turn[turn] = _plain(without, put.samples)
            cpu_s[turn] += time.process_time() - started
        changed += [*map(_essence, by_turn[0])] != [*map(_essence, by_turn[1])]
    cost = cpu_s[1] / cpu_s[0]
    if chosen.json:
        print(json.dumps({**as_json(found), "changed": changed, "cpu": cost}))
        return
    print("\n".join(summary(found)))
    print(f"recordings with other words or probabilities    {changed}")
    print(f"CPU time, with previews against without         {cost:.3f}")


if __name__ == "__main__":
    main()
