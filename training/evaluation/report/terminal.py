"""An evaluation as tables for the terminal."""

from rich.console import Console

from training.evaluation.evaluator import Evaluation
from training.evaluation.report.findings import about_intervals, about_skipped, first_of_each_modality, remarks
from training.evaluation.score_tables import class_table, confusion_table, scores_table


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
