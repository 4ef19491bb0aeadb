"""Which modality wins when audio and text contradict each other.

Recordings are paired with texts of another class for which audio only and text only give different predictions, and
the prediction from both is compared with these two. Independent of files and models: the caller passes a function that
predicts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.modalities import Predict
from training.images.examples import Examples

PAIRS = 1000
"""Largest number of pairs that are evaluated."""
_ROWS_PER_MODALITY = 2000
"""Largest number of rows drawn from each modality, which keeps the table of all pairs small."""


@dataclass(frozen=True)
class SingleModality:
    """Predictions from one of the two inputs."""

    rows: NDArray[np.int64]
    """Numbers of the evaluated examples, shape (n,)."""
    labels: NDArray[np.int64]
    """Their true classes, shape (n,)."""
    predictions: NDArray[np.int64]
    """Their predicted classes, shape (n,)."""


@dataclass(frozen=True)
class ModalityConflict:
    """How often each modality decides the prediction of a contradicting pair."""

    pairs: int
    """Number of pairs evaluated."""
    text_wins: int
    """Pairs whose prediction is that of their text only."""
    audio_wins: int
    """Pairs whose prediction is that of their audio only."""

    @property
    def shares(self) -> dict[str, float]:
        """Share of the pairs, 0 to 1, that `text`, `audio` or `neither` wins."""
        neither = self.pairs - self.text_wins - self.audio_wins
        counts = {"text": self.text_wins, "audio": self.audio_wins, "neither": neither}
        return {name: count / self.pairs for name, count in counts.items()}


def measure_conflict(
    examples: Examples, audio: SingleModality, text: SingleModality, predict: Predict, *, seed: int
) -> ModalityConflict | None:
    """Pair audio with contradicting text and count which of the two the model follows.

    Args:
        examples: all rows.
        audio: predictions from audio only.
        text: predictions from text only.
        predict: runs the model on both inputs.
        seed: random seed; the same seed draws the same pairs.

    Returns:
        None where there is no contradicting pair.
    """
    audio_places, text_places = conflicting_pairs(audio, text, seed=seed)
    if not len(audio_places):
        return None
    audio_rows, text_rows = audio.rows[audio_places], text.rows[text_places]
    pairs = Examples(examples.images, examples.index[audio_rows], examples.ids[text_rows], text.labels[text_places])
    predicted = predict(pairs).argmax(axis=1)
    return ModalityConflict(
        pairs=len(predicted),
        text_wins=int((predicted == text.predictions[text_places]).sum()),
        audio_wins=int((predicted == audio.predictions[audio_places]).sum()),
    )


def conflicting_pairs(
    audio: SingleModality, text: SingleModality, *, seed: int, limit: int = PAIRS
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pairs that differ in true class and in prediction, the same number for every two classes where possible.

    Returns:
        Places in `audio` and in `text`, each of shape (pairs,), at most `limit`.
    """
    random = np.random.default_rng(seed)
    audio_drawn, text_drawn = (random.permutation(len(side.rows))[:_ROWS_PER_MODALITY] for side in (audio, text))
    differ = audio.labels[audio_drawn][:, None] != text.labels[text_drawn]
    differ &= audio.predictions[audio_drawn][:, None] != text.predictions[text_drawn]
    # There may be millions of pairs, so few arrays of that length are in memory at once, and of small numbers.
    pairs = random.permutation(np.flatnonzero(differ).astype(np.int32))
    one, other = (side.astype(np.int16) for side in np.divmod(pairs, len(text_drawn)))
    # Take the first pair of every combination of classes, then the second of every combination, and so on.
    labels_of_audio, labels_of_text = audio.labels[audio_drawn], text.labels[text_drawn]
    combinations = labels_of_audio[:, None] * (labels_of_text.max(initial=0) + 1) + labels_of_text
    kind = combinations.astype(np.int32).ravel()[pairs]
    places = [np.flatnonzero(kind == each)[:limit] for each in np.unique(kind)]
    place = np.concatenate([np.zeros(0, np.int64), *places])
    rank = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(each)) for each in places)])
    chosen = place[np.lexsort((place, rank))[:limit]]
    return audio_drawn[one[chosen]], text_drawn[other[chosen]]
