"""Applies the device's conversation filter to the predictions of an evaluation, dialogue by dialogue."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device.bundle import Companions
from device.errors import TrainingError
from device.recognition.context import ConversationFilter
from training.data.clips import Clip


def check_context(clips: Sequence[Clip], companions: Companions, table: str, model: str) -> None:
    """Check that the clips and the model allow a conversation filter.

    Raises:
        TrainingError: no clip has a dialogue, or the model has no class transitions.
    """
    if companions.transitions is None:
        raise TrainingError(
            f"{model}: has no class transitions, which --context needs: its training corpus had no dialogues",
            fix="evaluate without --context, or train the model on a corpus with a column dialogue",
        )
    if not any(clip.dialogue for clip in clips):
        raise TrainingError(
            f"{table}: no clip has a dialogue, which --context needs",
            fix="evaluate without --context, or add a column dialogue, with the rows of each in the order of speaking",
        )


def filter_dialogues(
    probabilities: NDArray[np.float32], rows: NDArray[np.int64], clips: Sequence[Clip], companions: Companions
) -> NDArray[np.float32]:
    """Let earlier utterances of a dialogue influence the later ones, as `context_s` does on the device.

    Args:
        probabilities: predictions, shape (n, classes).
        rows: number of the clip of each prediction, shape (n,); one that occurs several times, as with simulated word
            errors, belongs to as many separate conversations.
        clips: all clips; those of one dialogue are in the order in which they were spoken.
        companions: companions of the model, with class transitions.

    Returns:
        Filtered predictions, shape (n, classes). Those of clips without a dialogue are unchanged.
    """
    if companions.transitions is None:
        return probabilities
    found = probabilities.copy()
    occurrences: Counter[int] = Counter()
    filters: dict[tuple[int, str], ConversationFilter] = {}
    for place in np.argsort(rows, kind="stable"):
        row = int(rows[place])
        if not clips[row].dialogue:
            continue
        key = occurrences[row], clips[row].dialogue
        occurrences[row] += 1
        if key not in filters:
            filters[key] = ConversationFilter(companions.transitions, memory_s=float("inf"))
        # No pauses are known: the conversation is remembered to its end.
        found[place] = filters[key].update(probabilities[place].astype(np.float64), 0.0, 0.0)
    return found
