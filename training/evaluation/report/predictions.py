"""The prediction of every evaluated clip, and the table `predictions.csv` of them."""

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.recorder.clip_table import ORIGIN_COLUMNS, TRAINING_COLUMNS, TRANSCRIPT_COLUMN
from device.system.display import displayable
from training.data.clips import Clip
from training.evaluation.evaluator import Evaluation, QueryResult
from training.evaluation.modalities import AUDIO_ONLY, TEXT_ONLY
from training.evaluation.report.findings import first_of_each_modality
from training.images.examples import SILENCE

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""Characters, also in full width, with which a cell begins that spreadsheet programs may execute."""
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


@dataclass(frozen=True)
class ClipPrediction:
    """An evaluated clip with the predictions of the first text condition."""

    clip: Clip
    """The clip, without inputs that were not evaluated."""
    label: int
    """Number of its true class."""
    image: int
    """Number of its image in the evaluation's images; `SILENCE` for a clip without audio."""
    probabilities: NDArray[np.float32] | None
    """Probabilities from all evaluated inputs together, shape (labels,); None if the clip lacks the only one."""
    audio_only: NDArray[np.float32] | None
    """Probabilities from its audio only; None if it has none or the modality was not evaluated."""
    text_only: NDArray[np.float32] | None
    """Probabilities from its text only; None if the model knows no word of it or the modality was not evaluated."""

    @property
    def confidence(self) -> float:
        """Probability of the predicted class, 0 to 1; 0 if there is no prediction."""
        return 0.0 if self.probabilities is None else float(self.probabilities.max())

    @property
    def is_wrong(self) -> bool:
        """Whether there is a prediction, and it is not the true class."""
        return self.probabilities is not None and int(self.probabilities.argmax()) != self.label


def predictions_of(evaluation: Evaluation) -> list[ClipPrediction]:
    """Return the predictions of each evaluated clip, in the order of the corpus."""
    clips, examples = evaluation.data.clips, evaluation.examples
    first = {result.modality: result for result in first_of_each_modality(evaluation).values()}
    by_modality = {modality: _by_clip(result, evaluation) for modality, result in first.items()}
    none: list[NDArray[np.float32] | None] = [None] * len(clips)
    together = next(iter(by_modality.values()))  # audio + text if it was evaluated: it comes first
    return [
        ClipPrediction(clip, label, image, *probabilities)
        for clip, label, image, *probabilities in zip(
            clips,
            examples.labels.tolist(),
            examples.index.tolist(),
            together,
            by_modality.get(AUDIO_ONLY, none),
            by_modality.get(TEXT_ONLY, none),
            strict=True,
        )
    ]


def worst_errors(predictions: Sequence[ClipPrediction], limit: int) -> list[ClipPrediction]:
    """Return wrong predictions, those with the highest probability of the wrong class first."""
    wrong = [each for each in predictions if each.is_wrong]
    return sorted(wrong, key=lambda each: -each.confidence)[:limit]


def as_csv(predictions: Sequence[ClipPrediction], labels: Sequence[str], folder: Path) -> str:
    r"""Return the predictions as a table with one row per clip, which is also a table of clips.

    A text that spreadsheet programs would execute as a formula begins with an apostrophe, a path with `./`. Bytes of a
    path that are not UTF-8 are written as escapes, such as `caf\xe9.wav`.

    Args:
        predictions: the predictions.
        labels: names of the classes in the order of the model.
        folder: folder that the paths of recordings are relative to.
    """
    has_transcripts = any(each.clip.transcript is not None for each in predictions)
    columns = [
        *(*TRAINING_COLUMNS, *ORIGIN_COLUMNS, *([TRANSCRIPT_COLUMN] if has_transcripts else [])),
        *("prediction", "probability", *(f"probability_{label}" for label in labels)),
        *("audio_only", "audio_only_probability", "text_only", "text_only_probability"),
    ]
    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(columns)
    for each in predictions:
        clip = each.clip
        texts = [clip.text, clip.label, clip.split, clip.speaker, clip.dialogue, clip.id]
        if has_transcripts:
            texts.append(clip.transcript or "")
        every = [""] * len(labels) if each.probabilities is None else [f"{share:.4f}" for share in each.probabilities]
        writer.writerow(
            [
                "" if clip.audio is None else _path_cell(relative_path(clip.audio, folder)),
                *map(_cell, texts),
                *(*_predicted(each.probabilities, labels), *every),
                *(*_predicted(each.audio_only, labels), *_predicted(each.text_only, labels)),
            ]
        )
    return content.getvalue()


def relative_path(recording: Path, folder: Path) -> str:
    """Return the path of a recording relative to a folder, so that both can move together."""
    return os.path.relpath(recording.resolve(), folder.resolve())


def _by_clip(result: QueryResult, evaluation: Evaluation) -> list[NDArray[np.float32] | None]:
    if result.modality != AUDIO_ONLY:
        by_row = dict(zip(result.rows.tolist(), result.probabilities, strict=True))
        return [by_row.get(row) for row in range(len(evaluation.data.clips))]
    index = evaluation.examples.index  # each recording was evaluated once, however many clips it has
    by_image = dict(zip(index[result.rows].tolist(), result.probabilities, strict=True))
    return [None if image == SILENCE else by_image[image] for image in index.tolist()]


def _predicted(probabilities: NDArray[np.float32] | None, labels: Sequence[str]) -> tuple[str, str]:
    if probabilities is None:
        return "", ""
    place = int(probabilities.argmax())
    return _cell(labels[place]), f"{probabilities[place]:.4f}"


def _cell(text: str) -> str:
    is_formula = text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def _path_cell(path: str) -> str:
    if any("\udc80" <= letter <= "\udcff" for letter in path):
        path = displayable(path)
    return f"./{path}" if path.startswith(_FORMULA) else path
