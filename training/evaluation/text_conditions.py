"""The text conditions of an evaluation: the reference text, the Vosk transcript, and text with simulated word errors.

Turns clips into rows; needs the vocabulary of a model, and is independent of its predictions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from device.bundle import Companions
from device.front_end.tokens import normalise
from training.data.clips import Clip
from training.data.transcripts.word_errors import simulate
from training.images.examples import Examples, examples_of
from training.images.spectrogram_images import ClipImages

REFERENCE, TRANSCRIPT = "reference text", "Vosk transcript"
DRAWS = 5
"""Number of times that simulated word errors are drawn."""


def by_condition(data: ClipImages, companions: Companions, *, both: bool) -> dict[str, Examples]:
    """Return the rows by text condition: `REFERENCE` and `TRANSCRIPT`, or the only condition under an empty name.

    A clip that has no audio to transcribe has its own text in both.
    """
    reference = examples_of(data, companions, data.images)
    if not both:
        return {"": reference}
    transcripts = [clip.text if clip.transcript is None else clip.transcript for clip in data.clips]
    return {REFERENCE: reference, TRANSCRIPT: _with_texts(data, companions, transcripts)}


def with_word_errors(
    data: ClipImages, companions: Companions, corpus: Sequence[Clip], *, share: float, seed: int
) -> dict[str, list[Examples]]:
    """Return the rows with simulated word errors, drawn `DRAWS` times; nothing where the share is 0.

    Args:
        data: clips to evaluate.
        companions: labels and vocabulary of the model.
        corpus: clips whose words replace others, each as often as it occurs there.
        share: errors per word, 0 to 1.
        seed: random seed; the same seed draws the same errors.
    """
    if not share:
        return {}
    frequent = [word for clip in corpus for word in normalise(clip.text).split()]
    draws = []
    for draw in range(DRAWS):
        random = np.random.default_rng([seed, draw])
        texts = [" ".join(simulate(normalise(clip.text).split(), share, frequent, random)) for clip in data.clips]
        draws.append(_with_texts(data, companions, texts))
    return {f"{share:.0%} word errors": draws}


def reference_and_transcript(clips: Sequence[Clip], split: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the words of the reference and of the transcript, for the clips of a split that have both."""
    for clip in clips:
        if clip.split == split and clip.text and clip.transcript is not None:
            yield normalise(clip.text).split(), normalise(clip.transcript).split()


def _with_texts(data: ClipImages, companions: Companions, texts: Sequence[str]) -> Examples:
    clips = tuple(replace(clip, text=text) for clip, text in zip(data.clips, texts, strict=True))
    return examples_of(replace(data, clips=clips), companions, data.images)
