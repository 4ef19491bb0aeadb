"""An evaluation in words: one JSON object, tables for the terminal, and `report.md` beside its pictures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from device.errors import TrainingError
from device.system.atomic_write import require_writable
from training.evaluation.bootstrap import FEW_GROUPS, RESAMPLES, Groups, interval
from training.evaluation.evaluator import Answers, Evaluation
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

REPORT, FIGURES = "report.md", "evaluation.json"


def as_table(evaluation: Evaluation, command: str) -> dict[str, Any]:
    """All figures as plain values for JSON.

    `asked` holds an object for each way of asking and kind of words (`words alone`, `words alone, as heard`): rows,
    groups of the bootstrap, accuracy, weighted_f1, macro_f1, calibration_error, classes (precision, recall, f1,
    support) and the confusion matrix. Each figure is `{"value": ..., "low": ..., "high": ...}`, 0 to 1, without `low`
    and `high` where there is no interval. `word_error_rate` and `contradiction` are null where they are not known.
    """
    return {
        "command": command,
        "model": str(evaluation.model),
        "model_sha256": evaluation.opened.sha256,
        "runs_in": evaluation.opened.kind,
        "table": str(evaluation.table),
        "split": evaluation.settings.split,
        "text": evaluation.settings.text,
        "word_error_rate": None if evaluation.word_error_rate is None else round(evaluation.word_error_rate, 4),
        "word_errors_simulated": evaluation.settings.word_errors,
        "clips": len(evaluation.data.clips),
        "clips_left_out": evaluation.left_out,
        "recordings_missing": [str(each.recording) for each in evaluation.missing],
        "recordings_unreadable": [str(path) for path in evaluation.data.unreadable],
        "labels": list(evaluation.labels),
        "labels_without_clips": _unused(evaluation),
        "interval": {
            "percent": 95,
            "bootstrap_over": _groups(evaluation).by,
            "resamples": RESAMPLES,
            "seed": evaluation.settings.seed,
        },
        "calibration_bins": BINS,
        "asked": {way: _figures(answers, evaluation.labels) for way, answers in evaluation.answers.items()},
        "contradiction": _about_pairs(evaluation),
    }


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the figures as tables."""
    scores = {way: answers.scores for way, answers in evaluation.answers.items()}
    resampled = {way: answers.resampled for way, answers in evaluation.answers.items()}
    console.print(scores_table(scores, f"{evaluation.model.name}, {evaluation.settings.split}", resampled))
    for way, answers in _first_of_each_way(evaluation).items():
        console.print(class_table(way, answers.scores, evaluation.labels, answers.resampled))
        console.print(confusion_table(way, answers.scores, evaluation.labels))
    for line in (*_remarks(evaluation), _about_intervals(evaluation)):
        console.print(line, markup=False, highlight=False)
    if evaluation.left_out:
        console.print(f"left out: {_about_left_out(evaluation)}", markup=False, highlight=False)


def check_folder(folder: Path) -> None:
    """See that the report can be written, before work is spent on it; makes the folder.

    Raises:
        TrainingError: not a place to write to.
    """
    require_writable(folder, folder)


def write_report(evaluation: Evaluation, folder: Path, command: str) -> Path:
    """Write pictures, `evaluation.json` and `report.md` into a folder, the report last; returns its path.

    Files of these names from an earlier evaluation are replaced.

    Raises:
        TrainingError: not a place to write to, or the disk is full.
    """
    check_folder(folder)
    from training.evaluation.plots import draw_all  # matplotlib: only where pictures are asked for

    report = folder / REPORT
    try:
        report.unlink(missing_ok=True)  # a report stands for figures and pictures that are all there
        pictures = draw_all(evaluation, folder)
        table = json.dumps(as_table(evaluation, command), indent=2, ensure_ascii=False)
        # A path that is not UTF-8 is no reason to lose the report.
        (folder / FIGURES).write_text(table + "\n", encoding="utf-8", errors="backslashreplace")
        report.write_text(_markdown(evaluation, pictures, command), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise TrainingError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error}); "
            "free some space or choose another folder with --output"
        ) from None
    return report


def _markdown(evaluation: Evaluation, pictures: Mapping[str, str], command: str) -> str:
    parts = [
        f"# How well {_cell(evaluation.model.name)} answers",
        f"```sh\n{command}\n```",
        _markdown_table(
            ("", ""),
            [
                ("model", f"{evaluation.model.name}, SHA-256 `{evaluation.opened.sha256}`"),
                ("runs in", evaluation.opened.kind),
                ("table", f"{evaluation.table.name}, split {evaluation.settings.split}"),
                ("clips", f"{len(evaluation.data.clips)}"),
                ("left out", _about_left_out(evaluation)),
                ("not there", f"{len(evaluation.missing)} recordings" if evaluation.missing else "none"),
            ],
        ),
        "## Figures",
        _markdown_table(
            ("asked by", "rows", *SUMMARY),
            [
                (way, str(answers.scores.rows), *summary_cells(answers.scores, answers.resampled))
                for way, answers in evaluation.answers.items()
            ],
        ),
        *_remarks(evaluation),
        _about_intervals(evaluation),
        "Asked by words alone, the picture is that of silence, and rows without a word that the model knows are left "
        "out; asked by sound alone, there are no words, and each recording counts once.",
        f"The calibration error is the expected calibration error: answers are put into {BINS} equally wide bins by "
        "the probability of the answered class (each bin with its upper edge), and the distance between mean "
        "probability and share of right answers is averaged over the bins, each weighing as many answers as it holds. "
        "It is never below 0, so that chance adds to it, and the bootstrap adds some more: with few rows both the "
        "figure and its interval lie too high.",
        "## By class",
    ]
    for way, answers in evaluation.answers.items():
        classes = zip(evaluation.labels, class_cells(answers.scores, answers.resampled), strict=True)
        rows = [(label, *cells) for label, cells in classes]
        counts = zip(evaluation.labels, answers.scores.confusion.tolist(), strict=True)
        parts += [
            f"### {way.capitalize()}",
            _markdown_table(("", "precision", "recall", "F1", "rows"), rows),
            "Rows are the true class, columns the answer:",
            _markdown_table(
                ("", *evaluation.labels), [(label, *(str(count) for count in row)) for label, row in counts]
            ),
        ]
    for title, name in pictures.items():
        parts += [f"## {title}", f"![{title}]({name})"]
    return "\n\n".join(parts) + "\n"


def _first_of_each_way(evaluation: Evaluation) -> dict[str, Answers]:
    """By the first kind of words: the terminal is small, and the report has the others."""
    found: dict[str, Answers] = {}
    for name, answers in evaluation.answers.items():
        if answers.way not in {each.way for each in found.values()}:
            found[name] = answers
    return found


def _remarks(evaluation: Evaluation) -> list[str]:
    """What there is to say of the figures, a sentence each."""
    lines = []
    if evaluation.word_error_rate is not None:
        lines.append(f"Word error rate of what Vosk heard: {evaluation.word_error_rate:.1%} of the words as written.")
    if evaluation.settings.word_errors and evaluation.settings.reads_words:
        lines.append(
            f"Word errors are simulated: {evaluation.settings.word_errors:.0%} of the words, of these 60 % replaced, "
            f"20 % lost and 20 % inserted; {DRAWS} draws count together, so each row counts {DRAWS} times."
        )
    if (found := evaluation.contradiction) is not None:
        shares = found.shares
        lines.append(
            f"Where sound and words contradict each other ({found.pairs} pairs made of different classes and different "
            f"answers), the joint answer follows the words in {shares['words']:.0%}, the sound in "
            f"{shares['sound']:.0%}, neither in {shares['neither']:.0%}."
        )
    if unused := _unused(evaluation):
        lines.append(f"No row asked is truly {' or '.join(unused)}: of these classes the figures say nothing.")
    return lines


def _about_pairs(evaluation: Evaluation) -> dict[str, float] | None:
    found = evaluation.contradiction
    if found is None:
        return None
    return {"pairs": found.pairs, **{f"follows_{name}": round(share, 4) for name, share in found.shares.items()}}


def _unused(evaluation: Evaluation) -> list[str]:
    """Classes that the model knows and the clips do not have."""
    used = set(evaluation.examples.labels.tolist())
    return [label for place, label in enumerate(evaluation.labels) if place not in used]


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _about_intervals(evaluation: Evaluation) -> str:
    groups = _groups(evaluation)
    if all(answers.resampled is None for answers in evaluation.answers.values()):
        same = "there is but one row" if groups.by == "row" else f"every row is of the same {groups.by}"
        return f"No intervals: {same}, which says nothing about others."
    sizes = {way: len(answers.groups) for way, answers in evaluation.answers.items()}
    counts = (
        str(min(sizes.values()))
        if len(set(sizes.values())) == 1
        else ", ".join(f"{size} {way}" for way, size in sizes.items())
    )
    text = (
        f"Intervals of 95 %: percentiles of a bootstrap over {groups.by}s ({counts}; {RESAMPLES} samples, "
        f"seed {evaluation.settings.seed})."
    )
    if groups.by == "row":
        text += (
            " The table has no column speaker or dialogue, so that rows count as independent: what is said by the same "
            "people, or heard in the same recording, is not, and the intervals are too narrow for that."
        )
    if min(len(answers.groups) for answers in evaluation.answers.values()) < FEW_GROUPS:
        text += f" With fewer than {FEW_GROUPS} {groups.by}s they are too narrow."
    return text


def _about_left_out(evaluation: Evaluation) -> str:
    recordings = len(evaluation.data.unreadable)
    return f"{evaluation.left_out} clips, of {recordings} recordings that cannot be read" if recordings else "none"


def _groups(evaluation: Evaluation) -> Groups:
    return next(iter(evaluation.answers.values())).groups


def _figures(answers: Answers, labels: Sequence[str]) -> dict[str, Any]:
    scores, samples = answers.scores, answers.resampled
    classes = {figure: _each(scores, samples, figure) for figure in ("precision", "recall", "f1")}
    return {
        "rows": scores.rows,
        "groups": len(answers.groups),
        **{figure: _each(scores, samples, figure)[0] for figure in SUMMARY.values()},
        "classes": {
            label: {**{figure: each[place] for figure, each in classes.items()}, "support": int(scores.support[place])}
            for place, label in enumerate(labels)
        },
        "confusion": scores.confusion.tolist(),
    }


def _each(scores: Scores, samples: Scores | None, figure: str) -> list[dict[str, float]]:
    """The figure, of each class if it is one by class, with its interval if there is one."""
    columns = {"value": getattr(scores, figure)}
    if samples is not None:
        columns["low"], columns["high"] = interval(getattr(samples, figure))
    lists = {name: np.atleast_1d(column).round(4).tolist() for name, column in columns.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
