"""An evaluation as tables for the terminal."""

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from device.system.display import displayable
from training.evaluation.evaluator import Evaluation
from training.evaluation.report.findings import (
    ABOUT_THRESHOLDS,
    ALL,
    THRESHOLD_HEADINGS,
    about_intervals,
    about_skipped,
    first_of_each_modality,
    remarks,
)
from training.evaluation.score_tables import class_table, confusion_table, scores_table
from training.evaluation.thresholds import Thresholds, about_settings, cells, reasons


def print_tables(evaluation: Evaluation, console: Console) -> None:
    """Print the metrics as tables, with the remarks that belong to them."""
    scores = {name: result.scores for name, result in evaluation.results.items()}
    resampled = {name: result.resampled for name, result in evaluation.results.items()}
    console.print(scores_table(scores, f"{evaluation.model.name}, {evaluation.settings.split}", resampled))
    for name, result in first_of_each_modality(evaluation).items():
        console.print(class_table(name, result.scores, evaluation.labels, result.resampled))
        console.print(confusion_table(name, result.scores, evaluation.labels))
    for line in (*remarks(evaluation), about_intervals(evaluation)):
        console.print(line, highlight=False)
    if evaluation.skipped_clips:
        console.print(f"skipped: {about_skipped(evaluation)}", highlight=False)


def print_thresholds(thresholds: Thresholds, console: Console) -> None:
    """Print the thresholds for a precision, why some cannot be recommended, and the settings to paste."""
    columns = [Column(heading, justify="right" if heading else "left") for heading in THRESHOLD_HEADINGS]
    table = Table(*columns, title=f"confidence for a precision of {thresholds.wanted:g}, {thresholds.query}")
    for label, *values in cells(thresholds):
        table.add_row(ALL if label is None else displayable(label), *values)
    console.print(table)
    for label, reason in reasons(thresholds):
        console.print(Text(f"{ALL if label is None else displayable(label)}: {reason}."))
    console.print(Text(ABOUT_THRESHOLDS))
    if thresholds.toml:
        console.print(Text(about_settings(thresholds)))
        console.print(Text(f"Settings for the device:\n\n{thresholds.toml}"), soft_wrap=True)
