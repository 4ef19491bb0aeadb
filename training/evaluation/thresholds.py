"""Which confidences to require of predictions so that a wanted share of the lights is right.

The device compares the probability of the most probable class with the confidence of this class (`confidence` under
`[classifier]`). With a context both the device and an evaluation compare the filtered probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.settings.toml_values import toml_value
from device.system.display import displayable
from training.evaluation.bootstrap import interval, resample
from training.evaluation.evaluator import Evaluation, QueryResult
from training.evaluation.modalities import MODALITIES
from training.evaluation.text_conditions import TRANSCRIPT

MINIMUM = 20
"""Number of predictions that have to be left: from fewer, little follows about others."""
STEPS = 100
"""Thresholds are multiples of 1 / STEPS, from 0 on."""
CONTEXT_S = 30.0
"""`context_s` in settings that were chosen with a context; an evaluation knows no pauses, so it cannot choose one."""


@dataclass(frozen=True, kw_only=True)
class Remaining:
    """What thresholds leave of some predictions."""

    predictions: int
    """Number of predictions without a threshold."""
    left: int = 0
    """Number of predictions that are left."""
    precision: float = 0.0
    """Share of these that are right, 0 to 1."""
    interval: tuple[float, float] | None = None
    """95 % confidence interval of the precision; None where there is only one group."""

    @property
    def coverage(self) -> float:
        """Share of the predictions that are left, 0 to 1."""
        return self.left / self.predictions if self.predictions else 0.0


@dataclass(frozen=True, kw_only=True)
class Threshold(Remaining):
    """The lowest threshold with the wanted precision, for the predictions of one class or of all."""

    label: str | None
    """The predicted class; None for all classes together."""
    value: float | None = None
    """The threshold, 0 to 1: a prediction of this confidence or more counts. None if none can be recommended."""
    reason: str = ""
    """Why none can be recommended, as the end of a sentence; empty if one can."""


@dataclass(frozen=True)
class Thresholds:
    """The thresholds for a wanted precision."""

    wanted: float
    """The wanted precision, 0 to 1."""
    query: str
    """Name of the query whose predictions were used."""
    common: Threshold
    """The threshold for all classes together: `confidence` in the settings for each class without one of its own."""
    by_class: tuple[Threshold, ...]
    """The threshold of each class by itself: `confidence` in the settings, where one can be recommended."""
    combined: Remaining | None
    """What the settings of `toml` leave of all predictions; None if nothing can be recommended."""
    context: bool
    """Whether earlier utterances of a dialogue had an influence."""

    @property
    def toml(self) -> str:
        """The section of the settings file, with comments; empty if no threshold can be recommended."""
        common = self.common.value
        missing = [each for each in self.by_class if each.value is None]
        own = {str(each.label): common if each.value is None else each.value for each in self.by_class}
        by_class = {label: value for label, value in own.items() if value is not None}
        if not by_class:
            return ""
        lines = ["[classifier]"]
        if self.context:
            lines += [
                "# Seconds of pause that end a conversation. The confidences are for any value above 0.",
                f"context_s = {toml_value(CONTEXT_S)}",
            ]
        else:
            lines.append("# The confidences are for context_s = 0.")
        if common is None:
            lines.append(f"# No confidence for all classes together: {self.common.reason}.")
        if missing:
            have = "have none" if common is None else "have that of all classes together"
            lines.append(f"# No confidence of their own, so that they {have}:")
            lines += [f"#   {displayable(each.label)}: {each.reason}" for each in missing]
        lines.append(f"confidence = {toml_value(common if len(missing) == len(self.by_class) else by_class)}")
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; `threshold` is null, and `reason` set, where none can be recommended.

        `settings` describes the predictions that the settings in `toml` leave; both are null without a recommendation.
        """
        return {
            "precision": self.wanted,
            "input": self.query,
            "minimum_predictions": MINIMUM,
            "all": _plain(self.common),
            "classes": {each.label: _plain(each) for each in self.by_class},
            "settings": None if self.combined is None else _plain(self.combined),
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
    rows = _Rows(result, evaluation.examples.labels[result.rows], evaluation.settings.seed)
    common = rows.lowest(None, np.arange(len(rows.truth)), precision)
    by_class = tuple(
        rows.lowest(label, np.flatnonzero(rows.predicted == place), precision)
        for place, label in enumerate(evaluation.labels)
    )
    combined = None
    if any(each.value is not None for each in (common, *by_class)):
        default = common.value or 0.0
        required = np.array([default if each.value is None else each.value for each in by_class])
        combined = rows.remaining(len(rows.truth), np.flatnonzero(rows.confidence >= required[rows.predicted]))
    return Thresholds(precision, query, common, by_class, combined, evaluation.settings.context)


def _query(evaluation: Evaluation) -> tuple[str, QueryResult]:
    modality = next(name for name in MODALITIES if any(name == each.modality for each in evaluation.results.values()))
    found = {name: result for name, result in evaluation.results.items() if result.modality == modality}
    return next(((name, each) for name, each in found.items() if each.text == TRANSCRIPT), next(iter(found.items())))


class _Rows:
    """The predictions of a query with their truth, shape (n,) each."""

    def __init__(self, result: QueryResult, truth: NDArray[np.int64], seed: int) -> None:
        self.truth = truth
        self.predicted = result.probabilities.argmax(axis=1)
        self.confidence = result.probabilities.max(axis=1).astype(np.float64)
        self._result = result
        self._seed = seed

    def lowest(self, label: str | None, rows: NDArray[np.int64], wanted: float) -> Threshold:
        """Find the lowest threshold with a precision for some of the rows."""
        count = len(rows)
        if count < MINIMUM:
            reason = f"{count} predictions are too few, at least {MINIMUM} are needed"
            return Threshold(label=label, predictions=count, reason=reason)
        best, best_value = -1.0, 0.0
        for value in (np.arange(STEPS) / STEPS).tolist():
            left = rows[self.confidence[rows] >= value]
            if len(left) < MINIMUM:
                break
            precision = self._precision(left)
            if precision >= wanted:
                return Threshold(label=label, value=value, **vars(self.remaining(count, left)))
            if precision > best:
                best, best_value = precision, value
        reason = (
            f"no threshold that leaves at least {MINIMUM} predictions has a precision of {wanted:g}; the highest is "
            f"{best:.3f}, at {best_value:.2f}"
        )
        return Threshold(label=label, predictions=count, reason=reason)

    def remaining(self, predictions: int, left: NDArray[np.int64]) -> Remaining:
        """Describe the rows that are left of a number of predictions."""
        groups, probabilities = self._result.groups.take(left), self._result.probabilities[left]
        samples = resample(self.truth[left], probabilities, groups, seed=self._seed)
        bounds = None if samples is None else interval(samples.accuracy)
        between = None if bounds is None else (float(bounds[0]), float(bounds[1]))
        return Remaining(predictions=predictions, left=len(left), precision=self._precision(left), interval=between)

    def _precision(self, left: NDArray[np.int64]) -> float:
        return float((self.truth[left] == self.predicted[left]).mean())


def cells(thresholds: Thresholds) -> list[tuple[str | None, str, str, str]]:
    """Return class (None for all), threshold, precision with its interval, and the predictions left, of each line."""
    lines = []
    for each in (thresholds.common, *thresholds.by_class):
        if each.value is None:
            lines.append((each.label, "\u2013", "\u2013", f"\u2013 of {each.predictions}"))
        else:
            lines.append((each.label, f"{each.value:.2f}", _precision(each), _left(each)))
    return lines


def reasons(thresholds: Thresholds) -> Sequence[tuple[str | None, str]]:
    """Return the class (None for all) and the reason of each threshold that cannot be recommended."""
    every = (thresholds.common, *thresholds.by_class)
    return [(each.label, each.reason) for each in every if each.value is None]


def about_settings(thresholds: Thresholds) -> str:
    """Return what the recommended settings leave, in a sentence; empty without a recommendation."""
    found = thresholds.combined
    if found is None:
        return ""
    return f"With these settings, the precision is {_precision(found)}, and {_left(found)} predictions are left."


def _precision(found: Remaining) -> str:
    bounds = "" if found.interval is None else f" ({found.interval[0]:.3f}\u2013{found.interval[1]:.3f})"
    return f"{found.precision:.3f}{bounds}"


def _left(found: Remaining) -> str:
    return f"{found.left} of {found.predictions} ({found.coverage:.0%})"


def _plain(found: Remaining) -> dict[str, Any]:
    if isinstance(found, Threshold) and found.value is None:
        return {"predictions": found.predictions, "threshold": None, "reason": found.reason}
    precision = {"value": round(found.precision, 4)}
    if found.interval is not None:
        precision |= {"low": round(found.interval[0], 4), "high": round(found.interval[1], 4)}
    return {
        "predictions": found.predictions,
        **({"threshold": found.value} if isinstance(found, Threshold) else {}),
        "left": found.left,
        "coverage": round(found.coverage, 4),
        "precision": precision,
    }
