"""Plots of an evaluation: confusion matrices, reliability diagrams, example images with predictions, training curves.

The plots use Matplotlib's object interface instead of pyplot: they need no display and change no global state.
"""

import io
import textwrap
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from device.system.display import displayable, displayable_lines
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY
from training.evaluation.scores import BINS, Scores
from training.images.examples import SILENCE

_INK, _FAINT, _BLUE, _ORANGE, _GREEN, _RED = "#22262b", "#9aa3ad", "#3b6ea5", "#e08e45", "#2e7d4f", "#b83a3a"
_MOST_CLASSES_WITH_NUMBERS = 15
_MANY_ROWS = 10
_EXAMPLES, _EXAMPLE_COLUMNS = 12, 6
_SIDE_BY_SIDE = 3
_LONGEST_NAME, _LONGEST_HORIZONTAL = 20, 9
_INCHES_PER_LETTER = 0.085


def plot_all(evaluation: Evaluation) -> dict[str, tuple[str, bytes | None]]:
    """Draw every plot that this evaluation allows.

    Returns:
        By title, the file name and the content of a PNG file; None if the evaluation does not allow this plot.
    """
    scores = {name: result.scores for name, result in evaluation.results.items()}
    plots = {
        "Confusion matrix": ("confusion.png", plot_confusion(scores, evaluation.labels)),
        "Reliability": ("reliability.png", plot_reliability(scores)),
        "Spectrograms and predictions": ("spectrograms.png", plot_examples(evaluation)),
        "Training curves": ("training.png", plot_training_curves(evaluation.predictor.companions.card.get("history"))),
    }
    return {
        title: (name, None if figure is None else to_png(figure, dpi=150)) for title, (name, figure) in plots.items()
    }


def to_png(figure: Figure, dpi: int) -> bytes:
    """Return a figure as the content of a PNG file, on white."""
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the report's text has the right characters.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(content, format="png", dpi=dpi, facecolor="white")
    return content.getvalue()


def plot_confusion(scores: Mapping[str, Scores], labels: Sequence[str]) -> Figure:
    """Plot a confusion matrix for each modality, coloured by the share of the true class."""
    many = len(labels) > _MOST_CLASSES_WITH_NUMBERS
    side = 10.5 if many else max(3.4, 0.62 * len(labels) + 1.2)
    font = {"fontsize": max(3.0, 150 / len(labels)) if many else 10}
    names = [_class_name(label) for label in labels]
    longest = max(map(len, names))
    rotation = 90 if many or longest > _LONGEST_HORIZONTAL else 30 if len(labels) > 3 else 0
    lines, columns = _grid(len(scores), most=1 if many else _SIDE_BY_SIDE)
    room = _INCHES_PER_LETTER * longest  # the names get their room beside the matrix instead of shrinking it
    size = (side * columns + room + 0.6, (side + (room if rotation == 90 else 0) + 0.5) * lines)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.05))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes[len(scores) :]:
        axis.set_visible(False)
    for number, (axis, (name, score)) in enumerate(zip(axes, scores.items(), strict=False)):
        shares = score.confusion / np.maximum(score.support[:, None], 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axis.set_title(f"{name} ({score.rows} rows)", color=_INK, fontsize=11)
        axis.set_xticks(range(len(labels)), names, rotation=rotation, **font)
        axis.set_yticks(range(len(labels)), names if number % columns == 0 else [], **font)
        axis.set_xlabel("predicted")
        if number % columns == 0:
            axis.set_ylabel("true")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        if not many:
            for (row, column), share in np.ndenumerate(shares):
                colour = "white" if share > 0.6 else _INK
                cell = f"{score.confusion[row, column]}\n{share:.0%}"
                axis.text(column, row, cell, ha="center", va="center", color=colour, fontsize=9.5)
    bar = figure.colorbar(axes[0].images[0], ax=list(axes), shrink=0.8 / lines, pad=0.015)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


def plot_reliability(scores: Mapping[str, Scores]) -> Figure:
    """Plot for each modality the accuracy against the confidence, and below it the distribution of the confidence."""
    lines, columns = _grid(len(scores), most=_SIDE_BY_SIDE)
    figure = Figure(figsize=(3.7 * columns + 0.5, 4.6 * lines + 0.2), layout=ConstrainedLayoutEngine(wspace=0.04))
    axes = figure.subplots(2 * lines, columns, squeeze=False, sharey="row", height_ratios=[3, 1] * lines)
    for number in range(len(scores), lines * columns):
        for axis in axes[2 * (number // columns) :, number % columns]:
            axis.set_visible(False)
    centres = (np.arange(BINS) + 0.5) / BINS
    for number, (name, score) in enumerate(scores.items()):
        line, column = divmod(number, columns)
        above, below = axes[2 * line : 2 * line + 2, column]
        rows, confidence, correct = score.reliability.T
        used = rows > 0
        accuracy, mean = correct[used] / rows[used], confidence[used] / rows[used]
        # A bin of few rows means little, so its bar is pale.
        colours = [to_rgba(_BLUE, 0.85 if count >= _MANY_ROWS else 0.25) for count in rows[used]]
        above.plot([0, 1], [0, 1], color=_FAINT, linestyle="--", linewidth=1, label="accuracy equals confidence")
        above.bar(centres[used], accuracy, 0.92 / BINS, color=colours)
        above.vlines(mean, accuracy, mean, color=_ORANGE, linewidth=2.5, label="gap to the mean confidence")
        above.set_title(f"{name}\ncalibration error {score.calibration_error:.3f}", color=_INK, fontsize=11)
        above.set_ylim(0, 1.03)
        below.bar(centres[used], rows[used] / score.rows, 0.92 / BINS, color=_FAINT)
        below.set_xlabel("confidence of the prediction")
        for axis in (above, below):
            axis.set_xlim(0, 1)
            axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
            _style(axis)
        above.tick_params(labelbottom=False)
        if column == 0:
            above.set_ylabel("accuracy")
            below.set_ylabel("share of rows")
    handles, _ = axes[0, 0].get_legend_handles_labels()
    bars = [(0.85, f"accuracy, {_MANY_ROWS} rows or more"), (0.25, "accuracy, fewer rows")]
    handles += [Patch(color=_BLUE, alpha=alpha, label=label) for alpha, label in bars]
    beside = {1: 1, 2: 2}.get(columns, 4)  # as many as the figure is wide enough for
    figure.legend(handles=handles, loc="outside lower center", ncols=beside, frameon=False, fontsize=9)
    return figure


def plot_examples(evaluation: Evaluation) -> Figure | None:
    """Plot some spectrogram images with the true class, the prediction, its probability and the text."""
    name, places = examples_to_plot(evaluation)
    if not places:
        return None
    columns = min(_EXAMPLE_COLUMNS, len(places))
    lines = -(-len(places) // columns)
    figure = Figure(figsize=(max(6.6, 2.2 * columns), 2.95 * lines + 0.4), layout="constrained")
    figure.suptitle(
        f"Inputs and predictions, {name}: the predicted class with its probability, and the true class",
        color=_INK,
        fontsize=12,
    )
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    result, examples, labels = evaluation.results[name], evaluation.examples, evaluation.labels
    for axis in axes[len(places) :]:
        axis.set_visible(False)
    for axis, place in zip(axes, places, strict=False):
        row = result.rows[place]
        predicted = int(result.probabilities[place].argmax())
        truth = int(examples.labels[row])
        axis.imshow(examples.images[examples.index[row]], interpolation="nearest")
        colour = _GREEN if predicted == truth else _RED
        probability = result.probabilities[place, predicted]
        axis.set_title(
            f"{_class_name(labels[predicted])} {probability:.0%}\ntrue: {_class_name(labels[truth])}",
            color=colour,
            fontsize=10,
        )
        text = evaluation.data.clips[row].text if result.modality == AUDIO_AND_TEXT else ""
        axis.set_xlabel(_wrapped(text), fontsize=8, color=_INK)
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_color(colour)
            spine.set_linewidth(2)
    return figure


def examples_to_plot(evaluation: Evaluation, limit: int = _EXAMPLES) -> tuple[str, list[int]]:
    """Choose predictions for different recordings, half of them correct and half wrong where there are enough of each.

    Returns:
        Name of the query, and places in its result, the correct predictions first; none where there was no audio.
    """
    with_audio = (
        name
        for modality in (AUDIO_AND_TEXT, AUDIO_ONLY)
        for name, result in evaluation.results.items()
        if result.modality == modality
    )
    chosen = next(with_audio, "")
    if not chosen:
        return "", []
    result, examples = evaluation.results[chosen], evaluation.examples
    order = np.random.default_rng(evaluation.settings.seed).permutation(len(result.rows))
    used = {SILENCE}
    halves: tuple[list[int], list[int]] = ([], [])
    for place in order.tolist():
        row = result.rows[place]
        if examples.index[row] not in used:
            used.add(int(examples.index[row]))
            is_correct = result.probabilities[place].argmax() == examples.labels[row]
            halves[0 if is_correct else 1].append(place)
    correct, wrong = (_alternating_classes(half, examples.labels[result.rows]) for half in halves)
    correct = correct[: max(limit // 2, limit - len(wrong))]
    return chosen, correct + wrong[: limit - len(correct)]


def plot_training_curves(history: object) -> Figure | None:
    """Plot loss and accuracy by epoch from the `history` of a model card; None where it holds no such values."""
    epochs = [epoch for epoch in history if isinstance(epoch, dict)] if isinstance(history, list) else []
    panels = {
        "loss": {"loss": "train", "validation_loss": "validation"},
        "score": {"accuracy": "accuracy, train", "validation_weighted_f1": "weighted F1, validation"},
    }
    drawn = {
        panel: {label: values for name, label in names.items() if (values := _series(epochs, name)) is not None}
        for panel, names in panels.items()
    }
    drawn = {panel: curves for panel, curves in drawn.items() if curves}
    if not drawn:
        return None
    figure = Figure(figsize=(4.4 * len(drawn), 3.5), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(drawn)))
    for axis, (panel, curves) in zip(axes, drawn.items(), strict=True):
        for colour, (label, values) in zip((_BLUE, _ORANGE), curves.items(), strict=False):
            axis.plot(range(1, len(values) + 1), values, "o-", color=colour, markersize=4, label=label)
        axis.set_xlabel("epoch")
        axis.set_ylabel(panel)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.set_xlim(0.5, len(epochs) + 0.5)
        axis.margins(y=0.12)
        axis.legend(frameon=False, fontsize=9)
        _style(axis)
    return figure


def _alternating_classes(places: Sequence[int], labels: NDArray[np.int64]) -> list[int]:
    """Order places by class in rounds, so that the most frequent class does not fill the plot."""
    taken: Counter[int] = Counter()
    rounds = []
    for place in places:
        label = int(labels[place])
        rounds.append((taken[label], place))
        taken[label] += 1
    return [place for _, place in sorted(rounds, key=lambda each: each[0])]


def _series(epochs: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64] | None:
    values = [epoch.get(name) for epoch in epochs]
    if not values or not all(isinstance(value, int | float) for value in values):
        return None
    return np.array(values, np.float64)


def _wrapped(text: str) -> str:
    """Wrap a text into three short lines at most."""
    return _escaped(textwrap.fill(" ".join(text.split()), 30, max_lines=3, placeholder=" \u2026"))


def _class_name(label: str) -> str:
    """Shorten a long class name to its beginning and its end, which keeps names such as `class 12` distinct."""
    head, tail = _LONGEST_NAME - 8, 7
    label = displayable(label)
    return _escaped(label if len(label) <= _LONGEST_NAME else f"{label[:head]}\u2026{label[-tail:]}")


def _escaped(text: str) -> str:
    """Make any text displayable, and escape `$`, which would begin a formula."""
    return displayable_lines(text).replace("$", r"\$")


def _grid(panels: int, most: int) -> tuple[int, int]:
    """Return lines and columns: up to `most` panels side by side, and a line for each modality with more panels."""
    columns = panels if panels <= most else min(most, -(-panels // _SIDE_BY_SIDE))
    return -(-panels // columns), columns


def _style(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e6e9ec", linewidth=0.8)
    axis.set_axisbelow(True)
