"""An evaluation as `report.md`, which shows the plots that are beside it."""

import re
from collections.abc import Mapping, Sequence

from device.system.display import displayable
from training.evaluation.evaluator import Evaluation
from training.evaluation.report.findings import (
    ABOUT_THRESHOLDS,
    ALL,
    THRESHOLD_HEADINGS,
    about_inputs,
    about_intervals,
    about_skipped,
    remarks,
)
from training.evaluation.score_tables import SUMMARY, class_cells, summary_cells
from training.evaluation.scores import BINS
from training.evaluation.thresholds import Thresholds, about_settings, cells, reasons


def markdown(
    evaluation: Evaluation,
    plots: Mapping[str, str],
    command: str,
    *,
    page: str,
    predictions: str,
    thresholds: Thresholds | None = None,
) -> str:
    """Return the report in Markdown.

    Args:
        evaluation: the results.
        plots: file name of each plot by its title.
        command: command line that repeats the evaluation.
        page: file name of the web page.
        predictions: file name of the table of predictions.
        thresholds: recommended thresholds to include; None for none.
    """
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
                ("skipped", about_skipped(evaluation)),
                ("missing", f"{len(evaluation.missing)} recordings" if evaluation.missing else "none"),
            ],
        ),
        f"The worst errors, with their recordings, are in [{page}]({page}), and all predictions in "
        f"[{predictions}]({predictions}).",
        "## Metrics",
        _markdown_table(
            ("input", "rows", *SUMMARY),
            [
                (name, str(result.scores.rows), *summary_cells(result.scores, result.resampled))
                for name, result in evaluation.results.items()
            ],
        ),
        *remarks(evaluation, _name),
        about_intervals(evaluation),
        about_inputs(),
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
    if thresholds is not None:
        parts += _thresholds(thresholds)
    for title, name in plots.items():
        parts += [f"## {title}", f"![{title}]({name})"]
    return "\n\n".join(parts) + "\n"


def _thresholds(thresholds: Thresholds) -> list[str]:
    named = [(ALL if label is None else _name(label), *values) for label, *values in cells(thresholds)]
    return [
        f"## Confidence for a precision of {thresholds.wanted:g}, {thresholds.query}",
        _markdown_table(THRESHOLD_HEADINGS, named),
        *(f"{ALL if label is None else _name(label)}: {reason}." for label, reason in reasons(thresholds)),
        ABOUT_THRESHOLDS,
        *([about_settings(thresholds), f"```toml\n{thresholds.toml}```"] if thresholds.toml else []),
    ]


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text).replace("\n", " ")


def _name(text: str) -> str:
    """A name from elsewhere as Markdown and HTML show it, character by character."""
    return re.sub(r"([\\`*_\[\]<>|&#])", r"\\\1", displayable(text))
