"""Measures what a few examples of a speaker's voice gain, for speakers that the audio branch was not trained on.

    python -m benchmarks.adaptation DATA [--output FOLDER]

DATA holds ravdess/, nemo/ and emodb/, as for the default model, whose images, statistics and heads are used: those of
the five folds for the actors of RAVDESS, and the one that ships for the speakers of EMO-DB. Of each speaker five clips
per class are drawn as examples; all others are the test clips, the same for every number of examples. Prints a page in
Markdown, and writes it and its plot to adaptation.md and adaptation.png in FOLDER.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from device.adaptation.adapted_classifier import features_of_logits, general_statistics
from device.adaptation.speaker_adaptation import adapt, cross_validate
from device.adaptation.speaker_variation import SpeakerStatistics
from device.errors import EdgeMcnnError
from device.front_end.parameters import FrontEnd
from device.system.atomic_write import write_bytes, write_text
from training.default_model.audio_branch.acted_speech import EMO_DB, NEMO, RAVDESS
from training.default_model.audio_branch.audio_training import (
    FOLDS,
    AudioTrainingSettings,
    LabelledStatistics,
    fold_of,
    labelled_statistics,
    predict,
    train_head,
)
from training.default_model.audio_branch.augmented_images import CopySettings, corpus_images
from training.default_model.class_sets import EMOTIONS, SENTIMENT, ClassSet
from training.default_model.fusion import BranchLogits, softmax, temperature
from training.default_model.recipe import speaker_variation_of
from training.evaluation.bootstrap import Groups, interval, resample
from training.evaluation.plots import to_png
from training.evaluation.scores import Scores

EXAMPLES = (0, 1, 3, 5)
"""Numbers of examples of each class."""
_DRAWS = 5
_UNLABELLED = 30
"""Number of further utterances of the speaker, without a label."""
_CORRECTIONS = 100
_SEED = 1

Adapter = Callable[["Speaker", NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""Returns the evidence for the test clips, from a speaker, places of examples, their classes, and of the test clips."""


@dataclass(frozen=True)
class Speaker:
    """The recordings of a speaker, with the output of a network that was not trained on them."""

    corpus: str
    """Title of the corpus."""
    number: int
    """Number of the speaker in the corpus."""
    logits: NDArray[np.float64]
    """Calibrated logits, shape (clips, classes)."""
    features: NDArray[np.float64]
    """Features for the adaptation, shape (clips, n)."""
    elsewhere: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Logits and features of the same clips as another room and microphone would have recorded them."""
    labels: NDArray[np.int64]
    """Class of each clip, shape (clips,)."""
    statistics: SpeakerStatistics
    """Of the speakers that the network was trained on."""


def read_speakers(data: Path, cache: Path, classes: ClassSet, console: Console) -> list[Speaker]:
    """Return the speakers of RAVDESS and of EMO-DB, each with a network that was not trained on that speaker."""
    settings = AudioTrainingSettings()
    images = [
        corpus_images(data, each, cache, classes=classes, front_end=FrontEnd(), copies=CopySettings(), console=console)
        for each in (RAVDESS, NEMO, EMO_DB)
    ]
    ravdess, nemo, emodb = (labelled_statistics(each, cache, console) for each in images)
    fold = fold_of(images[0].speakers)
    found: list[tuple[str, Any, LabelledStatistics, NDArray[np.int64], NDArray[np.bool_]]] = []
    for part in range(FOLDS):
        held_out = fold == part
        head = train_head([ravdess.take(~held_out), nemo], len(classes.labels), (_SEED, part), settings, cache)
        found.append((RAVDESS.title, head, ravdess.take(held_out), images[0].speakers[held_out], ~held_out))
    head = train_head([ravdess, nemo], len(classes.labels), (_SEED, FOLDS), settings, cache)
    found.append((EMO_DB.title, head, emodb, images[2].speakers, np.ones(len(fold), np.bool_)))

    # The first copy is the recording itself, the last one is augmented.
    logits = [predict(head, tested.statistics[:, [0, -1]]) for _, head, tested, _, _ in found]
    own = [place for place, (name, *_) in enumerate(found) if name == RAVDESS.title]
    labels = np.concatenate([found[place][2].labels for place in own])
    all_speakers = np.concatenate([found[place][3] for place in own])
    divisor = temperature(
        BranchLogits(np.concatenate([logits[place][:, 0] for place in own]), labels, all_speakers), equal_classes=True
    )
    speakers = []
    for (name, _, tested, numbers, trained), own_logits in zip(found, logits, strict=True):
        variation = speaker_variation_of(
            [ravdess.take(trained), nemo],
            [images[0].speakers[trained], images[1].speakers],
            [1.0, settings.further_weight],
        )
        features = variation.features(tested.statistics[:, [0, -1]])
        calibrated = own_logits.astype(np.float64) / divisor
        for number in np.unique(numbers).tolist():
            clips = numbers == number
            elsewhere = calibrated[clips, 1], features[clips, 1]
            labels, statistics = tested.labels[clips], variation.statistics
            speakers.append(
                Speaker(name, number, calibrated[clips, 0], features[clips, 0], elsewhere, labels, statistics)
            )
    return speakers


def without_guard(speaker: Speaker, examples: NDArray[np.int64], classes: Any, test: Any) -> NDArray[np.float64]:
    """Adapt to the examples, whether they help or not."""
    return adapt(speaker.statistics, speaker.features[examples], classes).evidence(speaker.features[test])


def as_device(
    speaker: Speaker,
    examples: NDArray[np.int64],
    classes: Any,
    test: NDArray[np.int64],
    unlabelled: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Adapt to the examples as strongly as suits them by cross-validation, which may be not at all: as the device."""
    features = speaker.features[examples]
    strength = 0.0
    if len(examples):
        strength = cross_validate(speaker.statistics, speaker.logits[examples], features, classes).strength
    count = len(examples) if strength else 0
    adaptation = adapt(speaker.statistics, features[:count], classes[:count], unlabelled)
    return adaptation.evidence(speaker.features[test]) * (strength or 1.0)


def with_unlabelled(speaker: Speaker, examples: NDArray[np.int64], classes: Any, test: Any) -> NDArray[np.float64]:
    """The same with utterances without a label; these are among the test clips, as on a device."""
    unlabelled = np.random.default_rng([_SEED, speaker.number]).permutation(test)[:_UNLABELLED]
    return as_device(speaker, examples, classes, test, speaker.features[unlabelled])


def without_variation(speaker: Speaker, examples: NDArray[np.int64], classes: Any, test: Any) -> NDArray[np.float64]:
    """Adapt by the probabilities alone, as with a network whose training speakers are unknown."""
    statistics = general_statistics(speaker.logits.shape[1])
    logits = speaker.logits - np.logaddexp.reduce(speaker.logits, axis=1, keepdims=True)
    general = replace(speaker, statistics=statistics, features=features_of_logits(logits))
    return as_device(general, examples, classes, test)


def one_wrong(speaker: Speaker, examples: NDArray[np.int64], classes: Any, test: Any) -> NDArray[np.float64]:
    """Adapt to two examples of each class, of which one of every six has a wrong label, if that helps."""
    wrong = np.array(classes)
    wrong[::6] = (wrong[::6] + 1) % speaker.logits.shape[1]
    return as_device(speaker, examples, wrong, test)


def unadapted(speaker: Speaker, _examples: Any, _classes: Any, test: NDArray[np.int64]) -> NDArray[np.float64]:
    """Do not adapt."""
    return np.zeros_like(speaker.logits[test])


def moved(speaker: Speaker) -> Speaker:
    """Return a speaker with all clips twice: as they are, and as recorded elsewhere."""
    logits, features = speaker.elsewhere
    return replace(
        speaker,
        logits=np.concatenate([speaker.logits, logits]),
        features=np.concatenate([speaker.features, features]),
    )


def couples(speakers: Sequence[Speaker]) -> list[Speaker]:
    """Return pairs of speakers of one corpus as one speaker each; both were met by the same network, or by none."""
    found = []
    for first, second in zip(speakers[::2], speakers[1::2], strict=False):
        if first.statistics is second.statistics:
            both = (first, second)
            found.append(
                replace(
                    first,
                    logits=np.concatenate([each.logits for each in both]),
                    features=np.concatenate([each.features for each in both]),
                    labels=np.concatenate([each.labels for each in both]),
                    elsewhere=(
                        np.concatenate([each.elsewhere[0] for each in both]),
                        np.concatenate([each.elsewhere[1] for each in both]),
                    ),
                )
            )
    return found


def measure(
    speakers: Sequence[Speaker], corpus: str, examples: int, adapter: Adapter, *, elsewhere: bool = False
) -> tuple[Scores, Any]:
    """Return scores of all draws together, and macro F1 of bootstrap samples, shape (resamples,).

    With `elsewhere` the test clips are those of another room and microphone, and the examples are not.
    """
    truths, found, resampled = [], [], []
    for draw in range(_DRAWS):
        labels, probabilities, groups = [], [], []
        for speaker in (each for each in speakers if each.corpus == corpus):
            random = np.random.default_rng([_SEED, draw, speaker.number])
            count = speaker.logits.shape[1]
            drawn = [random.permutation(np.flatnonzero(speaker.labels == label)) for label in range(count)]
            pool = [each[: min(max(EXAMPLES), len(each) // 2)] for each in drawn]
            test = np.setdiff1d(np.arange(len(speaker.labels)), np.concatenate(pool))
            chosen = np.concatenate([each[:examples] for each in pool]).astype(np.int64)
            labels.append(speaker.labels[test])
            examples_of = speaker.labels[chosen]
            if elsewhere:
                test = test + len(speaker.labels)
            tested = moved(speaker) if elsewhere else speaker
            logits = tested.logits[test] + adapter(tested, chosen, examples_of, test)
            probabilities.append(softmax(logits.astype(np.float32)))
            groups.append(np.full(len(test), speaker.number))
        truth, predicted = np.concatenate(labels), np.concatenate(probabilities)
        truths.append(truth)
        found.append(predicted)
        samples = resample(truth, predicted, Groups("speaker", np.concatenate(groups)), seed=_SEED)
        assert samples is not None, "both corpora have several speakers"
        resampled.append(samples.macro_f1)
    return Scores.of(np.concatenate(truths), np.concatenate(found)), np.mean(resampled, axis=0)


def corrected(speakers: Sequence[Speaker], corpus: str, *, every: bool = False) -> tuple[Scores, Scores, float]:
    """Correct a device while it listens, and test it on clips that it did not receive.

    It receives half of a speaker's clips, each as it is and as recorded elsewhere, in a random order. Each wrong
    prediction is corrected, with the profile that all corrections before made; with `every`, right ones are confirmed
    as well. At most `_CORRECTIONS` are made.

    Returns:
        Scores of the other half before and after, and the mean number of corrections.
    """
    truths, before, after, counts = [], [], [], []
    for speaker in (each for each in speakers if each.corpus == corpus):
        both = moved(speaker)
        own = len(speaker.labels)
        order = np.random.default_rng([_SEED, speaker.number]).permutation(own)
        test, received = order[: own // 2], np.concatenate([order[own // 2 :], own + order[own // 2 :]])
        labels = np.tile(speaker.labels, 2)
        examples: list[int] = []
        for place in np.random.default_rng([_SEED, speaker.number, 1]).permutation(received).tolist():
            if len(examples) == _CORRECTIONS:
                break
            evidence = as_device(both, np.array(examples, np.int64), labels[examples], np.array([place]))
            if every or (both.logits[place] + evidence[0]).argmax() != labels[place]:
                examples.append(place)
        chosen = np.array(examples, np.int64)
        adapted = both.logits[test] + as_device(both, chosen, labels[chosen], test)
        truths.append(speaker.labels[test])
        before.append(softmax(speaker.logits[test].astype(np.float32)))
        after.append(softmax(adapted.astype(np.float32)))
        counts.append(len(examples))
    truth = np.concatenate(truths)
    return Scores.of(truth, np.concatenate(before)), Scores.of(truth, np.concatenate(after)), float(np.mean(counts))


def main(data: Path, output: Path) -> None:
    """Measure both class sets and write the page and its plot."""
    from matplotlib.figure import Figure

    console = Console(stderr=True)
    unlabelled = f"examples, and {_UNLABELLED} utterances without a label"
    adapters: dict[str, Adapter] = {
        "examples": as_device,
        unlabelled: with_unlabelled,
        "examples, by the probabilities alone": without_variation,
    }
    lines, hard, corrections, curves = [], [], [], []
    for classes in (SENTIMENT, EMOTIONS):
        speakers = read_speakers(data, output / "cache", classes, console)
        for corpus in (RAVDESS.title, EMO_DB.title):
            for name, adapter in adapters.items():
                cells, values = [], []
                for count in EXAMPLES:
                    used = adapter if count or adapter is with_unlabelled else unadapted
                    scores, samples = measure(speakers, corpus, count, used)
                    low, high = (float(each) for each in interval(samples))
                    values.append(float(scores.macro_f1))
                    cells.append(f"{values[-1]:.3f} ({low:.3f}\u2013{high:.3f}), {float(scores.calibration_error):.3f}")
                lines.append(f"| {classes.name} | {corpus} | {name} | {' | '.join(cells)} |")
                if adapter is not without_variation:
                    curves.append((f"{classes.name}, {corpus}", adapter is with_unlabelled, values))
            cases = [
                measure(speakers, corpus, 0, unadapted),
                measure(speakers, corpus, 2, one_wrong),
                measure(couples(speakers), corpus, 0, unadapted),
                measure(couples(speakers), corpus, 3, as_device),
                measure(speakers, corpus, 0, unadapted, elsewhere=True),
                measure(speakers, corpus, 3, as_device, elsewhere=True),
                measure(speakers, corpus, 1, without_guard),
            ]
            values = [float(each.macro_f1) for each, _ in cases]
            hard.append(f"| {classes.name} | {corpus} | {' | '.join(f'{value:.3f}' for value in values)} |")
            cells = []
            for every in (False, True):
                before, after, mean = corrected(speakers, corpus, every=every)
                cells += [
                    f"{float(each.macro_f1):.3f}, {float(each.calibration_error):.3f}" for each in (before, after)
                ][every:]
                cells.append(f"{mean:.0f}")
            corrections.append(f"| {classes.name} | {corpus} | {' | '.join(cells)} |")
    figure = Figure(figsize=(7.5, 6), layout="constrained")
    axes = figure.add_subplot()
    colours: dict[str, str] = {}
    for name, with_more, values in curves:
        colour = colours.setdefault(name, f"C{len(colours)}")
        label = f"{name}, and {_UNLABELLED} utterances without a label" if with_more else name
        axes.plot(EXAMPLES, values, "--" if with_more else "-", color=colour, marker="o", label=label)
    axes.set(xlabel="examples per class", ylabel="macro F1", xticks=EXAMPLES)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    page = "\n".join(
        (
            "# Adapting to a voice",
            "",
            "`python -m benchmarks.adaptation DATA`",
            "",
            "Macro F1, audio only, for speakers that the network was not trained on, by the number of examples of each",
            "class; mean of five draws of the examples, the same test clips in each row, with 95 % intervals by a",
            "bootstrap over the speakers. After the comma: the calibration error. The adaptation is as strong as suits",
            "the examples by cross-validation, or is left out, as on the device. Its settings were chosen on these",
            "speakers, some twenty variants, so the values are slightly optimistic. The utterances without a label are",
            "among the test clips, as on a device, which adapts to what it then predicts.",
            "",
            f"| model | speakers | adapted to | {' | '.join(map(str, EXAMPLES))} |",
            f"|---|---|---|{'---|' * len(EXAMPLES)}",
            *lines,
            "",
            "Harder cases: two examples of each class, of which every sixth has a wrong label; a profile that two",
            "people share, with three examples of each class drawn from both; test clips as another room and",
            "microphone would have recorded them, with three examples from the first (other copies of that kind took",
            "part in measuring how the features vary); and one example of each class, used whether it helps or not.",
            "",
            "| model | speakers | not adapted | one of six wrong | two people, not adapted | two people "
            "| elsewhere, not adapted | elsewhere | always used |",
            f"|---|---|{'---|' * 7}",
            *hard,
            "",
            "Corrections: the device receives half of a speaker's clips, each also as recorded elsewhere. Each",
            f"wrong prediction is corrected; or each clip is named, right or wrong, up to {_CORRECTIONS}. Macro F1",
            "and calibration error on the other half.",
            "",
            "| model | speakers | not adapted | wrong ones corrected | corrections | all named | examples |",
            f"|---|---|{'---|' * 5}",
            *corrections,
            "",
            "![Macro F1 by examples](adaptation.png)",
            "",
        )
    )
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "adaptation.md", page)
    write_bytes(output / "adaptation.png", to_png(figure, dpi=110))
    print(page)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("build/default-model"))
    arguments = parser.parse_args()
    try:
        main(arguments.data, arguments.output)
    except EdgeMcnnError as error:
        sys.exit(f"{error.message}\n  fix: {error.fix}")
