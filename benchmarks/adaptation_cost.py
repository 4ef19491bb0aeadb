"""Measures what adapting to a voice costs: seconds and memory to learn, and milliseconds per prediction.

    python -m benchmarks.adaptation_cost [CALLS]

Learning is measured for simulated examples of a speaker with both models that ship, each number of examples in a
process of its own. Predictions without and with adaptation take turns in one process, so that the difference does not
depend on what else the machine does. Prints a page in Markdown.
"""

import json
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.adaptation.adapted_classifier import UNLABELLED, AdaptedClassifier
from device.adaptation.profile import SESSION, Example, Profile
from device.adaptation.speaker_variation import speaker_variation
from device.bundle import SHIPPED_BUNDLES, Bundle, bundle_path, read_bundle
from device.events import UtteranceFeatures
from device.front_end.spectrogram import silent_image
from device.recognition.classifier import Classifier

FITS = (("sentiment", 9), ("emotions", 35), ("emotions", 100), ("emotions", 300))
"""Models and numbers of examples: three of each of three classes, five of each of seven, and what corrections add."""
_REPEATS = 5
_CALLS = 600
_WARM_UP = 10


@dataclass(frozen=True)
class FitCost:
    """The cost of validating a profile and adapting to it."""

    seconds: float
    """Median duration in seconds."""
    traced_bytes: int
    """Largest amount of memory that Python and numpy held in addition, bytes."""
    resident_bytes: int
    """By how much the largest amount of memory of the process grew, bytes."""


@dataclass(frozen=True)
class RateCost:
    """The cost of a prediction."""

    plain_ms: float
    """Median milliseconds of `Classifier.run`."""
    rated_ms: float
    """Median milliseconds of `AdaptedClassifier.rate`, in the same run."""


def simulated(bundle: Bundle, count: int) -> Profile:
    """Return examples of a speaker who differs from others as the speaker variation of the bundle describes.

    Args:
        bundle: a bundle with speaker variation.
        count: number of examples, of all classes in turn.
    """
    variation = speaker_variation(bundle.companions)
    assert variation is not None, "the models that ship have it"
    own, labels = variation.statistics, bundle.companions.labels
    random = np.random.default_rng(0)
    offset = random.normal(size=own.means.shape[1]) * np.sqrt(own.between_speakers)
    variances = 1 + own.between_speakers + own.between_kinds
    adapted = AdaptedClassifier(Classifier(bundle), bundle)
    examples = []
    for place in range(count):
        label = place % len(labels)
        kind = random.choice(np.flatnonzero(own.classes == label))
        features = own.means[kind] + offset + random.normal(size=len(offset))
        # What a network predicts that knows how speakers are on average.
        densities = -0.5 * own.strength * ((features - own.means) ** 2 / variances).sum(axis=1)
        logits = np.array([np.logaddexp.reduce(densities[own.classes == each]) for each in range(len(labels))])
        logits -= np.logaddexp.reduce(logits)
        examples.append(Example.now(labels[label], UtteranceFeatures(features, logits), SESSION))
    return Profile(adapted.identity, tuple(examples))


def fit_cost(model: str, count: int, repeats: int = _REPEATS) -> FitCost:
    """Measure in this process; the growth of its memory is right only if nothing was measured in it before."""
    bundle = read_bundle(bundle_path(model))
    adapted = AdaptedClassifier(Classifier(bundle), bundle)
    profile = simulated(bundle, count)
    before = _largest_memory()
    adapted.use(profile)
    resident = _largest_memory() - before
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        adapted.use(profile)
        times.append(time.perf_counter() - began)
    tracemalloc.start()
    held = tracemalloc.get_traced_memory()[0]
    adapted.use(profile)
    traced = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()
    return FitCost(float(np.median(times)), traced, resident)


def rate_costs(model: str, calls: int = _CALLS) -> dict[str, RateCost]:
    """Measure predictions before and after learning; those of the bare network and of the other take turns."""
    bundle = read_bundle(bundle_path(model))
    network = Classifier(bundle)
    adapted = AdaptedClassifier(network, bundle, unlabelled=UNLABELLED)
    random = np.random.default_rng(0)
    front_end = bundle.companions.front_end
    image = random.random(silent_image(front_end).shape, np.float32)
    ids = random.integers(0, 100, front_end.sequence_length).astype(np.int32)

    def measure() -> RateCost:
        plain, rated = [], []
        for _ in range(calls + _WARM_UP):
            plain.append(_ms(lambda: network.run(image, ids)))
            rated.append(_ms(lambda: adapted.rate(image, ids)))
        return RateCost(float(np.median(plain[_WARM_UP:])), float(np.median(rated[_WARM_UP:])))

    found = {"without examples": measure()}
    profile = simulated(bundle, 300)
    adapted.use(profile)
    assert adapted.uses_examples, "the examples are made so that they help"
    found["with 300 examples"] = measure()
    for example in profile.examples[:UNLABELLED]:
        adapted.add_unlabelled(example.utterance)
    utterance = adapted.rate(image, ids)[1]
    rating = measure()
    adding = float(np.median([_ms(lambda: adapted.add_unlabelled(utterance)) for _ in range(max(3, calls // 10))]))
    found[f"the same, and {UNLABELLED} utterances without a label"] = rating
    found["the same, and adding one of these after each prediction"] = RateCost(
        rating.plain_ms, rating.rated_ms + adding
    )
    return found


def page(fits: dict[tuple[str, int], FitCost], rates: dict[str, dict[str, RateCost]]) -> str:
    """Return the page."""
    lines = [
        "Learning: validate the profile, and adapt to it.",
        "",
        "| model | examples | seconds | memory of Python and numpy | memory of the process |",
        "|---|---|---|---|---|",
    ]
    for (model, count), fit in fits.items():
        memory = f"{_mb(fit.traced_bytes)} | {_mb(fit.resident_bytes)}"
        lines.append(f"| {model} | {count} | {fit.seconds:.3f} | {memory} |")
    lines += [
        "",
        "Predicting, one thread:",
        "",
        "| model | profile | network alone | adapted | difference |",
        "|---|---|---|---|---|",
    ]
    for model, costs in rates.items():
        for name, cost in costs.items():
            difference = cost.rated_ms - cost.plain_ms
            lines.append(
                f"| {model} | {name} | {cost.plain_ms:.3f} ms | {cost.rated_ms:.3f} ms | {difference:.3f} ms |"
            )
    return "\n".join(lines) + "\n"


def main(calls: int) -> None:
    """Measure everything and print the page."""
    fits = {}
    for model, count in FITS:
        command = [sys.executable, "-m", "benchmarks.adaptation_cost", "fit", model, str(count)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=Path(__file__).parents[1])
        fits[model, count] = FitCost(**json.loads(done.stdout))
    print(page(fits, {model: rate_costs(model, calls) for model in SHIPPED_BUNDLES}), end="")


def _largest_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


if __name__ == "__main__":
    if sys.argv[1:2] == ["fit"]:
        print(json.dumps(vars(fit_cost(sys.argv[2], int(sys.argv[3])))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else _CALLS)
