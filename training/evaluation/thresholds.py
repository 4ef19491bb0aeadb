"""Which confidence to require of a prediction so that a wanted share of the lights is right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import interval, resample
from training.evaluation.evaluator import Evaluation, QueryResult
from training.evaluation.modalities import MODALITIES
from training.evaluation.text_conditions import TRANSCRIPT

MINIMUM = 20
"""Number of predictions that have to be left: from fewer, little follows about others."""
STEPS = 100
"""Thresholds are multiples of 1 / STEPS, from 0 on."""


@dataclass(frozen=True)
class Threshold:
    """The lowest threshold with the wanted precision, for the predictions of one class or of all."""

    label: str | None
    """The predicted class; None for all classes together."""
    predictions: int
    """Number of predictions without a threshold."""
    value: float | None
    """The threshold, 0 to 1: a prediction of this confidence or more counts. None if none can be recommended."""
    left: int = 0
    """Number of predictions that the threshold leaves."""
    precision: float = 0.0
    """Share of these that are right, 0 to 1."""
    interval: tuple[float, float] | None = None
    """95 % confidence interval of the precision; None where there is only one group."""
    reason: str = ""
    """Why none can be recommended, as the end of a sentence; empty if one can."""

    @property
    def coverage(self) -> float:
        """Share of the predictions that the threshold leaves, 0 to 1."""
        return self.left / self.predictions if self.predictions else 0.0


@dataclass(frozen=True)
class Thresholds:
    """The thresholds for a wanted precision."""

    wanted: float
    """The wanted precision, 0 to 1."""
    query: str
    """Name of the query whose predictions were used."""
    common: Threshold
    """The threshold for all classes together, which the settings of the device can hold."""
    by_class: tuple[Threshold, ...]
    """The threshold that each class would need by itself."""

    @property
    def toml(self) -> str:
        """The section of the settings file; empty if no common threshold can be recommended."""
        return "" if self.common.value is None else f"[classifier]\nconfidence = {self.common.value:.2f}\n"

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; `threshold` is null, and `reason` set, where none can be recommended."""
        return {
            "precision": self.wanted,
            "input": self.query,
            "minimum_predictions": MINIMUM,
            "all": _plain(self.common),
            "classes": {each.label: _plain(each) for each in self.by_class},
            "toml": self.toml or None,
        }


def recommend(evaluation: Evaluation, precision: float) -> Thresholds:
    """Find the lowest thresholds with a precision, from all evaluated inputs together.

    Where both the text of the corpus and the transcripts of Vosk were evaluated, the predictions from the transcripts
    are used, as on the device.

    Args:
        evaluation: the results.
        precision: wanted share of right predictions, above 0 and at most 1.
    """
    query, result = _query(evaluation)
    truth = evaluation.examples.labels[result.rows]
    predicted, confidence = result.probabilities.argmax(axis=1), result.probabilities.max(axis=1).astype(np.float64)

    def find(label: str | None, rows: NDArray[np.int64]) -> Threshold:
        return _lowest(
            label, rows, truth, predicted, confidence, result, wanted=precision, seed=evaluation.settings.seed
        )

    by_class = [find(label, np.flatnonzero(predicted == place)) for place, label in enumerate(evaluation.labels)]
    return Thresholds(precision, query, find(None, np.arange(len(truth))), tuple(by_class))


def _query(evaluation: Evaluation) -> tuple[str, QueryResult]:
    modality = next(name for name in MODALITIES if any(name == each.modality for each in evaluation.results.values()))
    found = {name: result for name, result in evaluation.results.items() if result.modality == modality}
    return next(((name, each) for name, each in found.items() if each.text == TRANSCRIPT), next(iter(found.items())))


def _lowest(
    label: str | None,
    rows: NDArray[np.int64],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.float64],
    result: QueryResult,
    *,
    wanted: float,
    seed: int,
) -> Threshold:
    if len(rows) < MINIMUM:
        return Threshold(
            label, len(rows), None, reason=f"{len(rows)} predictions are too few, at least {MINIMUM} are needed"
        )
    best, best_value = -1.0, 0.0
    for value in (np.arange(STEPS) / STEPS).tolist():
        left = rows[confidence[rows] >= value]
        if len(left) < MINIMUM:
            break
        precision = float((truth[left] == predicted[left]).mean())
        if precision >= wanted:
            samples = resample(truth[left], result.probabilities[left], result.groups.take(left), seed=seed)
            bounds = None if samples is None else interval(samples.accuracy)
            between = None if bounds is None else (float(bounds[0]), float(bounds[1]))
            return Threshold(label, len(rows), value, len(left), precision, between)
        if precision > best:
            best, best_value = precision, value
    return Threshold(
        label,
        len(rows),
        None,
        reason=f"no threshold that leaves at least {MINIMUM} predictions has a precision of {wanted:g}; the highest is "
        f"{best:.3f}, at {best_value:.2f}",
    )


def cells(thresholds: Thresholds) -> list[tuple[str | None, str, str, str]]:
    """Return class (None for all), threshold, precision with its interval, and the predictions left, of each line."""
    lines = []
    for each in (thresholds.common, *thresholds.by_class):
        if each.value is None:
            lines.append((each.label, "\u2013", "\u2013", f"\u2013 of {each.predictions}"))
            continue
        bounds = "" if each.interval is None else f" ({each.interval[0]:.3f}\u2013{each.interval[1]:.3f})"
        left = f"{each.left} of {each.predictions} ({each.coverage:.0%})"
        lines.append((each.label, f"{each.value:.2f}", f"{each.precision:.3f}{bounds}", left))
    return lines


def reasons(thresholds: Thresholds) -> Sequence[tuple[str | None, str]]:
    """Return the class (None for all) and the reason of each threshold that cannot be recommended."""
    every = (thresholds.common, *thresholds.by_class)
    return [(each.label, each.reason) for each in every if each.value is None]


def _plain(threshold: Threshold) -> dict[str, Any]:
    if threshold.value is None:
        return {"predictions": threshold.predictions, "threshold": None, "reason": threshold.reason}
    precision = {"value": round(threshold.precision, 4)}
    if threshold.interval is not None:
        precision |= {"low": round(threshold.interval[0], 4), "high": round(threshold.interval[1], 4)}
    return {
        "predictions": threshold.predictions,
        "threshold": threshold.value,
        "left": threshold.left,
        "coverage": round(threshold.coverage, 4),
        "precision": precision,
    }
