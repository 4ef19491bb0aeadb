"""Writes the files of a report into a folder, replacing an earlier report as one."""

from pathlib import Path

from device.errors import TrainingError
from device.system import display
from device.system.atomic_write import require_writable, write_together
from training.evaluation.evaluator import Evaluation
from training.evaluation.report.findings import as_json
from training.evaluation.report.markdown import markdown
from training.evaluation.report.predictions import as_csv, predictions_of
from training.evaluation.report.web_page import WORST, web_page
from training.evaluation.thresholds import Thresholds

REPORT, PAGE, PREDICTIONS, JSON = "report.md", "report.html", "predictions.csv", "evaluation.json"
"""Names of the files of a report, besides its plots."""


def check_folder(folder: Path) -> None:
    """Check, before the evaluation starts, that the report can be written; creates the folder.

    Raises:
        TrainingError: the folder cannot be written to.
    """
    require_writable(folder, folder)


def write_report(
    evaluation: Evaluation, folder: Path, command: str, *, worst: int = WORST, thresholds: Thresholds | None = None
) -> Path:
    """Write all files of a report into a folder, replacing an earlier report as one.

    These are the plots, `evaluation.json`, `predictions.csv`, `report.html` and `report.md`. They contain texts, names
    of speakers and paths of recordings of the corpus.

    Args:
        evaluation: the results.
        folder: folder to write to; created if missing.
        command: command line that repeats the evaluation.
        worst: largest number of errors that `report.html` shows.
        thresholds: recommended thresholds to include; None for none.

    Returns:
        Path of `report.md`.

    Raises:
        TrainingError: the folder cannot be written to, or the disk is full; an earlier report is unchanged.
    """
    check_folder(folder)
    from training.evaluation.plots import plot_all  # matplotlib: only needed for a report

    report = folder / REPORT
    drawn = plot_all(evaluation)
    plots = {title: (name, content) for title, (name, content) in drawn.items() if content is not None}
    predictions = predictions_of(evaluation)
    table = display.as_json(as_json(evaluation, command, thresholds), indent=2)
    files = {folder / name: content for name, content in plots.values()}
    files[folder / JSON] = f"{table}\n".encode()
    files[folder / PREDICTIONS] = as_csv(predictions, evaluation.labels, folder).encode()
    contents = {title: content for title, (_, content) in plots.items()}
    page = web_page(evaluation, predictions, contents, command, folder, worst=worst, thresholds=thresholds)
    files[folder / PAGE] = page.encode()
    names = {title: name for title, (name, _) in plots.items()}
    text = markdown(evaluation, names, command, page=PAGE, predictions=PREDICTIONS, thresholds=thresholds)
    files[report] = text.encode()
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
