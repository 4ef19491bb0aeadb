"""Pictures of an evaluation: confusion, calibration, some spectrograms with their answers, and training curves.

Matplotlib without a screen: figures are made by hand, not by pyplot, so that nothing global is touched.
"""

import textwrap
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY
from training.evaluation.scores import BINS, Scores
from training.images.examples import SILENCE

_INK, _FAINT, _BLUE, _ORANGE, _GREEN, _RED = "#22262b", "#9aa3ad", "#3b6ea5", "#e08e45", "#2e7d4f", "#b83a3a"
_MOST_CLASSES_WITH_NUMBERS = 15
_MANY_ROWS = 10
_COLUMNS = 6
_SIDE_BY_SIDE = 3
_LONGEST_NAME, _LONGEST_FLAT = 20, 9
_INCHES_PER_LETTER = 0.085


def draw_all(evaluation: Evaluation, folder: Path) -> dict[str, str]:
    """Draw every picture that this evaluation allows as PNG into `folder`.

    Returns:
        File names by what is on them.
    """
    scores = {way: answers.scores for way, answers in evaluation.answers.items()}
    figures = {
        "Confusion matrix": ("confusion.png", confusion(scores, evaluation.labels)),
        "Reliability": ("reliability.png", reliability(scores)),
        "Spectrograms and answers": ("spectrograms.png", spectrograms(evaluation)),
        "Training curves": ("training.png", training_curves(evaluation.opened.companions.card.get("history"))),
    }
    for name, figure in figures.values():
        if figure is not None:
            FigureCanvasAgg(figure)
            with warnings.catch_warnings():
                # A script that the font lacks is drawn as boxes; the report's text has it right.
                warnings.filterwarnings("ignore", message="Glyph .* missing from font")
                figure.savefig(folder / name, dpi=150, facecolor="white")
        else:
            (folder / name).unlink(missing_ok=True)  # of an earlier evaluation, which the report no longer shows
    return {title: name for title, (name, figure) in figures.items() if figure is not None}


def confusion(scores: Mapping[str, Scores], labels: Sequence[str]) -> Figure:
    """A confusion matrix for each way of asking, coloured by the share of the true class."""
    many = len(labels) > _MOST_CLASSES_WITH_NUMBERS
    side = 10.5 if many else max(3.4, 0.62 * len(labels) + 1.2)
    written = {"fontsize": max(3.0, 150 / len(labels)) if many else 10}
    names = [_name(label) for label in labels]
    longest = max(map(len, names))
    turned = 90 if many or longest > _LONGEST_FLAT else 30 if len(labels) > 3 else 0
    lines, columns = _grid(len(scores), most=1 if many else _SIDE_BY_SIDE)
    room = _INCHES_PER_LETTER * longest  # names take their room beside the matrix, not from it
    size = (side * columns + room + 0.6, (side + (room if turned == 90 else 0) + 0.5) * lines)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.05))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes[len(scores) :]:
        axis.set_visible(False)
    for number, (axis, (way, score)) in enumerate(zip(axes, scores.items(), strict=False)):
        shares = score.confusion / np.maximum(score.support[:, None], 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axis.set_title(f"{way} ({score.rows} rows)", color=_INK, fontsize=11)
        axis.set_xticks(range(len(labels)), names, rotation=turned, **written)
        axis.set_yticks(range(len(labels)), names if number % columns == 0 else [], **written)
        axis.set_xlabel("answered")
        if number % columns == 0:
            axis.set_ylabel("true")
        _bare(axis)
        if not many:
            for (row, column), share in np.ndenumerate(shares):
                colour = "white" if share > 0.6 else _INK
                counted = f"{score.confusion[row, column]}\n{share:.0%}"
                axis.text(column, row, counted, ha="center", va="center", color=colour, fontsize=9.5)
    bar = figure.colorbar(axes[0].images[0], ax=list(axes), shrink=0.8 / lines, pad=0.015)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


def reliability(scores: Mapping[str, Scores]) -> Figure:
    """How often an answer is right against how sure the model was of it, and how sure it is how often."""
    lines, columns = _grid(len(scores), most=_SIDE_BY_SIDE)
    figure = Figure(figsize=(3.7 * columns + 0.5, 4.6 * lines + 0.2), layout=ConstrainedLayoutEngine(wspace=0.04))
    axes = figure.subplots(2 * lines, columns, squeeze=False, sharey="row", height_ratios=[3, 1] * lines)
    for number in range(len(scores), lines * columns):
        for axis in axes[2 * (number // columns) :, number % columns]:
            axis.set_visible(False)
    centres = (np.arange(BINS) + 0.5) / BINS
    for number, (way, score) in enumerate(scores.items()):
        line, column = divmod(number, columns)
        above, below = axes[2 * line : 2 * line + 2, column]
        rows, confidence, right = score.reliability.T
        used = rows > 0
        accuracy, mean = right[used] / rows[used], confidence[used] / rows[used]
        # Few rows say little: their bars are pale.
        colours = [to_rgba(_BLUE, 0.85 if count >= _MANY_ROWS else 0.25) for count in rows[used]]
        above.plot([0, 1], [0, 1], color=_FAINT, linestyle="--", linewidth=1, label="as often right as it is sure")
        above.bar(centres[used], accuracy, 0.92 / BINS, color=colours)
        above.vlines(mean, accuracy, mean, color=_ORANGE, linewidth=2.5, label="gap to its mean confidence")
        above.set_title(f"{way}\ncalibration error {score.calibration_error:.3f}", color=_INK, fontsize=11)
        above.set_ylim(0, 1.03)
        below.bar(centres[used], rows[used] / score.rows, 0.92 / BINS, color=_FAINT)
        below.set_xlabel("confidence of the answer")
        for axis in (above, below):
            axis.set_xlim(0, 1)
            axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
            _plain(axis)
        above.tick_params(labelbottom=False)
        if column == 0:
            above.set_ylabel("share that is right")
            below.set_ylabel("share of rows")
    handles, _ = axes[0, 0].get_legend_handles_labels()
    bars = [(0.85, f"share that is right, {_MANY_ROWS} rows or more"), (0.25, "the same, fewer rows")]
    handles += [Patch(color=_BLUE, alpha=alpha, label=label) for alpha, label in bars]
    beside = {1: 1, 2: 2}.get(columns, 4)  # as many as the figure is wide enough for
    figure.legend(handles=handles, loc="outside lower center", ncols=beside, frameon=False, fontsize=9)
    return figure


def spectrograms(evaluation: Evaluation) -> Figure | None:
    """Some pictures as the network saw them, with the truth, the answer, its probability and the words."""
    way, places = examples_to_show(evaluation)
    if not places:
        return None
    columns = min(_COLUMNS, len(places))
    lines = -(-len(places) // columns)
    figure = Figure(figsize=(max(6.6, 2.2 * columns), 2.95 * lines + 0.4), layout="constrained")
    both = evaluation.answers[way].way == AUDIO_AND_TEXT
    by = way.replace(AUDIO_AND_TEXT, "sound and words")
    figure.suptitle(
        f"What it saw and what it answered, asked by {by}: the answer with its probability, and the truth",
        color=_INK,
        fontsize=12,
    )
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    answers, examples, labels = evaluation.answers[way], evaluation.examples, evaluation.labels
    for axis in axes[len(places) :]:
        axis.set_visible(False)
    for axis, place in zip(axes, places, strict=False):
        row = answers.rows[place]
        said = int(answers.probabilities[place].argmax())
        truth = int(examples.labels[row])
        axis.imshow(examples.images[examples.index[row]], interpolation="nearest")
        colour = _GREEN if said == truth else _RED
        probability = answers.probabilities[place, said]
        axis.set_title(
            f"{_name(labels[said])} {probability:.0%}\ntrue: {_name(labels[truth])}", color=colour, fontsize=10
        )
        text = evaluation.data.clips[row].text if both else ""
        axis.set_xlabel(_wrapped(text), fontsize=8, color=_INK)
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_color(colour)
            spine.set_linewidth(2)
    return figure


def training_curves(history: object) -> Figure | None:
    """Loss and accuracy by epoch, from the `history` in a model card; None where it holds no such figures."""
    epochs = [epoch for epoch in history if isinstance(epoch, dict)] if isinstance(history, list) else []
    panels = {
        "loss": {"loss": "train", "validation_loss": "validation"},
        "score": {"accuracy": "accuracy, train", "validation_weighted_f1": "weighted F1, validation"},
    }
    drawn = {
        panel: {written: values for name, written in names.items() if (values := _series(epochs, name)) is not None}
        for panel, names in panels.items()
    }
    drawn = {panel: curves for panel, curves in drawn.items() if curves}
    if not drawn:
        return None
    figure = Figure(figsize=(4.4 * len(drawn), 3.5), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(drawn)))
    for axis, (panel, curves) in zip(axes, drawn.items(), strict=True):
        for colour, (written, values) in zip((_BLUE, _ORANGE), curves.items(), strict=False):
            axis.plot(range(1, len(values) + 1), values, "o-", color=colour, markersize=4, label=written)
        axis.set_xlabel("epoch")
        axis.set_ylabel(panel)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.set_xlim(0.5, len(epochs) + 0.5)
        axis.margins(y=0.12)
        axis.legend(frameon=False, fontsize=9)
        _plain(axis)
    return figure


def _series(epochs: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64] | None:
    values = [epoch.get(name) for epoch in epochs]
    if not values or not all(isinstance(value, int | float) for value in values):
        return None
    return np.array(values, np.float64)


def _wrapped(text: str) -> str:
    """Three short lines at most."""
    return _literal(textwrap.fill(" ".join(text.split()), 30, max_lines=3, placeholder=" \u2026"))


def _name(label: str) -> str:
    """A class's name beside a picture; of a long one its beginning and its end, which names like `class 12` need."""
    head, tail = _LONGEST_NAME - 8, 7
    return _literal(label if len(label) <= _LONGEST_NAME else f"{label[:head]}\u2026{label[-tail:]}")


def _literal(text: str) -> str:
    """A `$` would begin a formula."""
    return text.replace("$", r"\$")


def _grid(panels: int, most: int) -> tuple[int, int]:
    """Lines and columns: up to `most` side by side, and with more panels than that a line for each way of asking."""
    columns = panels if panels <= most else min(most, -(-panels // _SIDE_BY_SIDE))
    return -(-panels // columns), columns


def _plain(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e6e9ec", linewidth=0.8)
    axis.set_axisbelow(True)


def _bare(axis: Any) -> None:
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def examples_to_show(evaluation: Evaluation, most: int = 12) -> tuple[str, list[int]]:
    """Some answers about different recordings, half of them right and half wrong as far as there are so many.

    Returns:
        The way of asking, and places in its `Answers`, the right ones first; none where there was no sound to ask by.
    """
    with_sound = (
        name
        for way in (AUDIO_AND_TEXT, AUDIO_ONLY)
        for name, answers in evaluation.answers.items()
        if answers.way == way
    )
    way = next(with_sound, "")
    if not way:
        return "", []
    answers, examples = evaluation.answers[way], evaluation.examples
    order = np.random.default_rng(evaluation.settings.seed).permutation(len(answers.rows))
    seen = {SILENCE}
    halves: tuple[list[int], list[int]] = ([], [])
    for place in order.tolist():
        row = answers.rows[place]
        if examples.index[row] not in seen:
            seen.add(int(examples.index[row]))
            right = answers.probabilities[place].argmax() == examples.labels[row]
            halves[0 if right else 1].append(place)
    right, wrong = (_in_turns(half, examples.labels[answers.rows]) for half in halves)
    rights = right[: max(most // 2, most - len(wrong))]
    return way, rights + wrong[: most - len(rights)]


def _in_turns(places: Sequence[int], labels: NDArray[np.int64]) -> list[int]:
    """One of each class, then the second of each, and so on: the commonest class shall not fill the sheet."""
    taken: Counter[int] = Counter()
    turns = []
    for place in places:
        label = int(labels[place])
        turns.append((taken[label], place))
        taken[label] += 1
    return [place for _, place in sorted(turns, key=lambda turn: turn[0])]
