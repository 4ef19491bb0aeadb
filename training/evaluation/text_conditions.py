"""The words that an evaluation asks by: as written, as Vosk heard them, and garbled on purpose.

Makes rows of clips; knows nothing of models but their vocabulary, and nothing of answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from device.bundle import Companions
from device.front_end.tokens import normalise
from training.data.clips import Clip
from training.data.word_errors import simulate
from training.images.examples import Examples, examples_of
from training.images.spectrogram_images import ClipImages

WRITTEN, HEARD = "as written", "as heard"
DRAWS = 5
"""Of simulated word errors."""


def by_kind(data: ClipImages, companions: Companions, *, both: bool) -> dict[str, Examples]:
    """The rows by kind of words: as written and as heard, or, without a name, the only kind there is.

    A clip that has no sound to hear keeps its own words.
    """
    written = examples_of(data, companions, data.images)
    if not both:
        return {"": written}
    heard = [clip.text if clip.transcript is None else clip.transcript for clip in data.clips]
    return {WRITTEN: written, HEARD: _with_words(data, companions, heard)}


def garbled(
    data: ClipImages, companions: Companions, corpus: Sequence[Clip], *, share: float, seed: int
) -> dict[str, list[Examples]]:
    """The rows with simulated word errors, `DRAWS` times; none where the share is 0.

    Args:
        data: clips to ask.
        companions: labels and vocabulary.
        corpus: clips whose words replace others, as often as they occur.
        share: errors per word, 0 to 1.
        seed: the same seed draws the same errors.
    """
    if not share:
        return {}
    frequent = [word for clip in corpus for word in normalise(clip.text).split()]
    draws = []
    for draw in range(DRAWS):
        random = np.random.default_rng([seed, draw])
        texts = [" ".join(simulate(normalise(clip.text).split(), share, frequent, random)) for clip in data.clips]
        draws.append(_with_words(data, companions, texts))
    return {f"{share:.0%} word errors": draws}


def said_and_heard(clips: Sequence[Clip], split: str) -> Iterator[tuple[list[str], list[str]]]:
    """The words of a split as written and as heard, of the clips that have both."""
    for clip in clips:
        if clip.split == split and clip.text and clip.transcript is not None:
            yield normalise(clip.text).split(), normalise(clip.transcript).split()


def _with_words(data: ClipImages, companions: Companions, texts: Sequence[str]) -> Examples:
    clips = tuple(replace(clip, text=text) for clip, text in zip(data.clips, texts, strict=True))
    return examples_of(replace(data, clips=clips), companions, data.images)
