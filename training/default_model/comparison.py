"""Asks finished models the same rows, and compares what they say.

As `edge-mcnn evaluate` does: the default model beside the tutorial's, a bundle beside what it was converted from. It
knows model files and rows; how the models came about is not its business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from training.data.corpus import Corpus
from training.evaluation.evaluator import Evaluation, EvaluationSettings, evaluate_model
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY, TEXT_ONLY


@dataclass(frozen=True)
class Difference:
    """How far a bundle's answers are from those of the network that it was converted from."""

    figures: Mapping[str, float]
    """By way of asking: the change of F1 (weighted by words, macro by sound, weighted by both)."""
    same_class: int
    """Rows, asked by both, that get the same class."""
    rows: int
    largest: float
    """Change of any probability."""
    mean: float
    """Over the rows, of each one's largest change."""


FIGURES = {TEXT_ONLY: "weighted_f1", AUDIO_ONLY: "macro_f1", AUDIO_AND_TEXT: "weighted_f1"}


def ask(model: Path, corpus: Corpus, *, errors: float, seed: int, pictures: Path, console: Console) -> Evaluation:
    """Ask a model the validation rows by both, by words alone and by sound alone, and with word errors."""
    settings = EvaluationSettings(word_errors=errors, seed=seed, image_cache=pictures)
    return evaluate_model(model, corpus, settings, console)


def difference(bundle: Evaluation, network: Evaluation) -> Difference:
    """Compare the answers to the same rows."""
    before, after = (each.results[AUDIO_AND_TEXT].probabilities for each in (network, bundle))
    changes = np.abs(after - before).max(axis=1)
    return Difference(
        {
            way: abs(float(getattr(bundle.results[way].scores, name) - getattr(network.results[way].scores, name)))
            for way, name in FIGURES.items()
        },
        int((before.argmax(axis=1) == after.argmax(axis=1)).sum()),
        len(before),
        float(changes.max()),
        float(changes.mean()),
    )
