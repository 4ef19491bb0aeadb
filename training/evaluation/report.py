"""An evaluation as text: one JSON object, tables for the terminal, and `report.md` beside its plots."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from device.errors import TrainingError
from device.system import display
from device.system.atomic_write import require_writable, write_together
from device.system.display import displayable
from training.evaluation.bootstrap import FEW_GROUPS, RESAMPLES, Groups, interval
from training.evaluation.evaluator import Evaluation, QueryResult
from training.evaluation.score_tables import (
    SUMMARY,
    class_cells,
    class_table,
    confusion_table,
    scores_table,
    summary_cells,
)
from training.evaluation.scores import BINS, Scores
from training.evaluation.text_conditions import DRAWS

REPORT, JSON = "report.md", "evaluation.json"
"""Names of the files of a report, besides its plots."""


def as_json(evaluation: Evaluation, command: str) -> dict[str, Any]:
    """Return all results as plain values for JSON.

    `results` holds an object for each modality and text condition (`text only`, `text only, Vosk transcript`): rows,
    groups of the bootstrap, accuracy, weighted_f1, macro_f1, calibration_error, classes (precision, recall, f1,
    support) and the confusion matrix. Each metric is `{"value": ..., "low": ..., "high": ...}`, 0 to 1, without `low`
    and `high` where there is no interval. `word_error_rate` and `modality_conflict` are null where they are not known.

    Args:
        evaluation: the results.
        command: command line that repeats the evaluation.
    """
    return {
        "command": command,
        "model": str(evaluation.model),
        "model_sha256": evaluation.predictor.sha256,
        "runtime": evaluation.predictor.runtime,
        "table": str(evaluation.table),
        "split": evaluation.settings.split,
        "text": evaluation.settings.text,
        "word_error_rate": None if evaluation.word_error_rate is None else round(evaluation.word_error_rate, 4),
        "simulated_word_errors": evaluation.settings.word_errors,
        "clips": len(evaluation.data.clips),
        "clips_skipped": evaluation.skipped_clips,
        "recordings_missing": [str(each.recording) for each in evaluation.missing],
        "recordings_unreadable": [str(path) for path in evaluation.data.unreadable],
        "labels": list(evaluation.labels),
        "labels_without_clips": _labels_without_clips(evaluation),
        "interval": {
            "percent": 95,
            "bootstrap_over": _groups(evaluation).by,
            "resamples": RESAMPLES,
            "seed": evaluation.settings.seed,
        },
        "calibration_bins": BINS,
        "results": {name: _metrics(result, evaluation.labels) for name, result in evaluation.results.items()},
        "modality_conflict": _conflict(evaluation),
    }


def print_tables(evaluation: Evaluation, console: Console) -> None:
    """Print the metrics as tables, with the remarks that belong to them."""
    scores = {name: result.scores for name, result in evaluation.results.items()}
    resampled = {name: result.resampled for name, result in evaluation.results.items()}
    console.print(scores_table(scores, f"{evaluation.model.name}, {evaluation.settings.split}", resampled))
    for name, result in _first_of_each_modality(evaluation).items():
        console.print(class_table(name, result.scores, evaluation.labels, result.resampled))
        console.print(confusion_table(name, result.scores, evaluation.labels))
    for line in (*_remarks(evaluation), _about_intervals(evaluation)):
        console.print(line, highlight=False)
    if evaluation.skipped_clips:
        console.print(f"skipped: {_about_skipped(evaluation)}", highlight=False)


def check_folder(folder: Path) -> None:
    """Check, before the evaluation starts, that the report can be written; creates the folder.

    Raises:
        TrainingError: the folder cannot be written to.
    """
    require_writable(folder, folder)


def write_report(evaluation: Evaluation, folder: Path, command: str) -> Path:
    """Write the plots, `evaluation.json` and `report.md` into a folder, replacing an earlier report as one.

    Args:
        evaluation: the results.
        folder: folder to write to; created if missing.
        command: command line that repeats the evaluation.

    Returns:
        Path of `report.md`.

    Raises:
        TrainingError: the folder cannot be written to, or the disk is full; an earlier report is unchanged.
    """
    check_folder(folder)
    from training.evaluation.plots import plot_all  # matplotlib: only needed for a report

    report = folder / REPORT
    drawn = plot_all(evaluation)
    plots = {title: name for title, (name, content) in drawn.items() if content is not None}
    table = display.as_json(as_json(evaluation, command), indent=2)
    files = {folder / name: content for name, content in drawn.values() if content is not None}
    files[folder / JSON] = f"{table}\n".encode()
    files[report] = _markdown(evaluation, plots, command).encode()
    try:
        write_together(files)
        for name, content in drawn.values():
            if content is None:  # the plot of an earlier evaluation, which the report no longer shows
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error})",
            fix="free some space or choose another folder with --output",
        ) from None
    return report


def _markdown(evaluation: Evaluation, plots: Mapping[str, str], command: str) -> str:
    parts = [
        f"# Evaluation of {_name(evaluation.model.name)}",
        f"```sh\n{command}\n```",
        _markdown_table(
            ("", ""),
            [
                ("model", f"{_name(evaluation.model.name)}, SHA-256 `{evaluation.predictor.sha256}`"),
                ("runtime", evaluation.predictor.runtime),
                ("table", f"{_name(evaluation.table.name)}, split {evaluation.settings.split}"),
                ("clips", f"{len(evaluation.data.clips)}"),
                ("skipped", _about_skipped(evaluation)),
                ("missing", f"{len(evaluation.missing)} recordings" if evaluation.missing else "none"),
            ],
        ),
        "## Metrics",
        _markdown_table(
            ("input", "rows", *SUMMARY),
            [
                (name, str(result.scores.rows), *summary_cells(result.scores, result.resampled))
                for name, result in evaluation.results.items()
            ],
        ),
        *_remarks(evaluation),
        _about_intervals(evaluation),
        "Text only: the image is that of silence, and rows without a word that the model knows are left out. "
        "Audio only: there are no words, and each recording counts once.",
        f"The calibration error is the expected calibration error: predictions are put into {BINS} equally wide bins "
        "by the probability of the predicted class (each bin with its upper edge), and the distance between mean "
        "probability and share of correct predictions is averaged over the bins, each weighted by the number of its "
        "predictions. It is never below 0, so that chance adds to it, and the bootstrap adds some more: with few rows "
        "both the value and its interval lie too high.",
        "## By class",
    ]
    for name, result in evaluation.results.items():
        classes = zip(evaluation.labels, class_cells(result.scores, result.resampled), strict=True)
        rows = [(_name(label), *cells) for label, cells in classes]
        counts = zip(evaluation.labels, result.scores.confusion.tolist(), strict=True)
        parts += [
            f"### {name[:1].upper()}{name[1:]}",
            _markdown_table(("", "precision", "recall", "F1", "rows"), rows),
            "Rows are the true class, columns the predicted class:",
            _markdown_table(
                ("", *map(_name, evaluation.labels)),
                [(_name(label), *(str(count) for count in row)) for label, row in counts],
            ),
        ]
    for title, name in plots.items():
        parts += [f"## {title}", f"![{title}]({name})"]
    return "\n\n".join(parts) + "\n"


def _first_of_each_modality(evaluation: Evaluation) -> dict[str, QueryResult]:
    """Return the results of the first text condition: a terminal is small, and the report has the others."""
    found: dict[str, QueryResult] = {}
    for name, result in evaluation.results.items():
        if result.modality not in {each.modality for each in found.values()}:
            found[name] = result
    return found


def _remarks(evaluation: Evaluation) -> list[str]:
    """Return what else is to be known about the metrics, a sentence each."""
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
    if (found := evaluation.conflict) is not None:
        shares = found.shares
        lines.append(
            f"Where audio and text contradict each other ({found.pairs} synthetic pairs of different classes and "
            f"different predictions), the text wins in {shares['text']:.0%}, the audio in {shares['audio']:.0%}, "
            f"neither in {shares['neither']:.0%}."
        )
    if unused := _labels_without_clips(evaluation):
        lines.append(f"No evaluated row is truly {' or '.join(unused)}: the metrics do not cover these classes.")
    return lines


def _conflict(evaluation: Evaluation) -> dict[str, float] | None:
    found = evaluation.conflict
    if found is None:
        return None
    return {"pairs": found.pairs, **{f"{name}_wins": round(share, 4) for name, share in found.shares.items()}}


def _labels_without_clips(evaluation: Evaluation) -> list[str]:
    """Return the classes of the model that no evaluated clip has."""
    used = set(evaluation.examples.labels.tolist())
    return [label for place, label in enumerate(evaluation.labels) if place not in used]


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text).replace("\n", " ")


def _name(text: str) -> str:
    """A name from elsewhere as Markdown and HTML show it, character by character."""
    return re.sub(r"([\\`*_\[\]<>|&#])", r"\\\1", displayable(text))


def _about_intervals(evaluation: Evaluation) -> str:
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


def _about_skipped(evaluation: Evaluation) -> str:
    recordings = len(evaluation.data.unreadable)
    return f"{evaluation.skipped_clips} clips, of {recordings} recordings that cannot be read" if recordings else "none"


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
