"""What is stated about an evaluation wherever it is shown: one object for JSON, and remarks in sentences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from device.system.display import displayable
from training.evaluation.bootstrap import FEW_GROUPS, RESAMPLES, Groups, interval
from training.evaluation.evaluator import Evaluation, QueryResult
from training.evaluation.score_tables import SUMMARY
from training.evaluation.scores import BINS, Scores
from training.evaluation.text_conditions import DRAWS
from training.evaluation.thresholds import Thresholds

ALL = "all classes"
"""Name of the line for all classes together."""
THRESHOLD_HEADINGS = ("", "threshold", "precision", "predictions left")
ABOUT_THRESHOLDS = (
    "Chosen on these rows, so expect a somewhat lower precision on others, and check it on another split. In the "
    "settings, a class without a threshold of its own has that of all classes, if there is one."
)
"""What limits the recommended thresholds, and how they belong together."""


def as_json(evaluation: Evaluation, command: str, thresholds: Thresholds | None = None) -> dict[str, Any]:
    """Return all results as plain values for JSON.

    `results` holds an object for each modality and text condition (`text only`, `text only, Vosk transcript`): rows,
    groups of the bootstrap, accuracy, weighted_f1, macro_f1, calibration_error, classes (precision, recall, f1,
    support) and the confusion matrix. Each metric is `{"value": ..., "low": ..., "high": ...}`, 0 to 1, without `low`
    and `high` where there is no interval. `word_error_rate` and `modality_conflict` are null where they are not known.

    Args:
        evaluation: the results.
        command: command line that repeats the evaluation.
        thresholds: recommended thresholds, see `Thresholds.to_json`; null in the result if None.
    """
    return {
        "command": command,
        "model": str(evaluation.model),
        "model_sha256": evaluation.predictor.sha256,
        "runtime": evaluation.predictor.runtime,
        "table": str(evaluation.table),
        "split": evaluation.settings.split,
        "text": evaluation.settings.text,
        "context": evaluation.settings.context,
        "word_error_rate": None if evaluation.word_error_rate is None else round(evaluation.word_error_rate, 4),
        "simulated_word_errors": evaluation.settings.word_errors,
        "clips": len(evaluation.data.clips),
        "clips_skipped": evaluation.skipped_clips,
        "recordings_missing": [str(each.recording) for each in evaluation.missing],
        "recordings_unreadable": [str(path) for path in evaluation.data.unreadable],
        "labels": list(evaluation.labels),
        "labels_without_clips": labels_without_clips(evaluation),
        "interval": {
            "percent": 95,
            "bootstrap_over": _groups(evaluation).by,
            "resamples": RESAMPLES,
            "seed": evaluation.settings.seed,
        },
        "calibration_bins": BINS,
        "results": {name: _metrics(result, evaluation.labels) for name, result in evaluation.results.items()},
        "modality_conflict": _conflict(evaluation),
        "thresholds": None if thresholds is None else thresholds.to_json(),
    }


def first_of_each_modality(evaluation: Evaluation) -> dict[str, QueryResult]:
    """Return the results of the first text condition: a terminal is small, and the report has the others."""
    found: dict[str, QueryResult] = {}
    for name, result in evaluation.results.items():
        if result.modality not in {each.modality for each in found.values()}:
            found[name] = result
    return found


def remarks(evaluation: Evaluation, shown: Callable[[str], str] = displayable) -> list[str]:
    """Return what else is to be known about the metrics, a sentence each.

    Args:
        evaluation: the results.
        shown: makes the name of a class safe for the place where the sentences are shown.
    """
    lines = []
    if evaluation.word_error_rate is not None:
        lines.append(
            f"Word error rate of the Vosk transcripts: {evaluation.word_error_rate:.1%} of the reference words."
        )
    if evaluation.settings.word_errors and evaluation.settings.reads_text:
        lines.append(
            f"Word errors are simulated: {evaluation.settings.word_errors:.0%} of the words, of these 60 % replaced, "
            f"20 % deleted and 20 % inserted; {DRAWS} draws count together, so each row counts {DRAWS} times."
        )
    if evaluation.settings.context:
        lines.append("Earlier utterances of a dialogue influence the later ones, as context_s does on the device.")
    if (found := evaluation.conflict) is not None:
        shares = found.shares
        lines.append(
            f"Where audio and text contradict each other ({found.pairs} synthetic pairs of different classes and "
            f"different predictions), the text wins in {shares['text']:.0%}, the audio in {shares['audio']:.0%}, "
            f"neither in {shares['neither']:.0%}."
        )
    if unused := labels_without_clips(evaluation):
        lines.append(
            f"No evaluated row is truly {' or '.join(map(shown, unused))}: the metrics do not cover these classes."
        )
    return lines


def about_inputs() -> str:
    """Return what the evaluation with one input means, in sentences."""
    return (
        "Text only: the image is that of silence, and rows without a word that the model knows are left out. "
        "Audio only: there are no words, and each recording counts once."
    )


def labels_without_clips(evaluation: Evaluation) -> list[str]:
    """Return the classes of the model that no evaluated clip has."""
    used = set(evaluation.examples.labels.tolist())
    return [label for place, label in enumerate(evaluation.labels) if place not in used]


def about_intervals(evaluation: Evaluation) -> str:
    """Return how the intervals were computed, and what limits them, in sentences."""
    groups = _groups(evaluation)
    if all(result.resampled is None for result in evaluation.results.values()):
        same = "there is only one row" if groups.by == "row" else f"every row has the same {groups.by}"
        return f"No intervals: {same}, from which nothing follows about others."
    sizes = {name: len(result.groups) for name, result in evaluation.results.items()}
    counts = (
        str(min(sizes.values()))
        if len(set(sizes.values())) == 1
        else ", ".join(f"{size} {name}" for name, size in sizes.items())
    )
    text = (
        f"Intervals of 95 %: percentiles of a bootstrap over {groups.by}s ({counts}; {RESAMPLES} samples, "
        f"seed {evaluation.settings.seed})."
    )
    if groups.by == "row":
        text += (
            " The table has no column speaker or dialogue, so that rows count as independent: utterances of the same "
            "person, or from the same recording, are not, and the intervals are too narrow for that."
        )
    if min(len(result.groups) for result in evaluation.results.values()) < FEW_GROUPS:
        text += f" With fewer than {FEW_GROUPS} {groups.by}s they are too narrow."
    return text


def about_skipped(evaluation: Evaluation) -> str:
    """Return how many clips were not evaluated because their recordings cannot be read."""
    recordings = len(evaluation.data.unreadable)
    return f"{evaluation.skipped_clips} clips, of {recordings} recordings that cannot be read" if recordings else "none"


def _conflict(evaluation: Evaluation) -> dict[str, float] | None:
    found = evaluation.conflict
    if found is None:
        return None
    return {"pairs": found.pairs, **{f"{name}_wins": round(share, 4) for name, share in found.shares.items()}}


def _groups(evaluation: Evaluation) -> Groups:
    return next(iter(evaluation.results.values())).groups


def _metrics(result: QueryResult, labels: Sequence[str]) -> dict[str, Any]:
    scores, samples = result.scores, result.resampled
    classes = {metric: _with_intervals(scores, samples, metric) for metric in ("precision", "recall", "f1")}
    return {
        "rows": scores.rows,
        "groups": len(result.groups),
        **{metric: _with_intervals(scores, samples, metric)[0] for metric in SUMMARY.values()},
        "classes": {
            label: {**{metric: each[place] for metric, each in classes.items()}, "support": int(scores.support[place])}
            for place, label in enumerate(labels)
        },
        "confusion": scores.confusion.tolist(),
    }


def _with_intervals(scores: Scores, samples: Scores | None, metric: str) -> list[dict[str, float]]:
    """Return the value of a metric with its interval if there is one; of a metric by class, one for each class."""
    columns = {"value": getattr(scores, metric)}
    if samples is not None:
        columns["low"], columns["high"] = interval(getattr(samples, metric))
    lists = {name: np.atleast_1d(column).round(4).tolist() for name, column in columns.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
