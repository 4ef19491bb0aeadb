"""Trains the words branch from texts and lessons: comments first, then what is spoken, heard with errors.

It knows ids and epochs, and neither files nor the sentence model that the lessons come from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd
from device.front_end.tokens import Tokens
from training.data.word_errors import simulate
from training.default_model.distillation import Lessons
from training.default_model.fusion import Evidence
from training.default_model.texts import LABELS, TextCorpora, Texts
from training.networks.evidence_text import text_evidence
from training.networks.network import IDS_INPUT

Words = Sequence[Sequence[str]]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class WordsSettings:
    """How the words branch is trained."""

    width: int = 64
    """Numbers per word."""
    spread: float = 0.3
    """Standard deviation of the word vectors at the start."""
    longest_comment: int = 20
    """Words, in the first stage."""
    comment_epochs: int = 2
    epochs: int = 10
    comment_batch: int = 128
    batch: int = 64
    rate: float = 3e-3
    """AdamW's, at the start of each stage; it falls to 0 by a cosine."""
    decay: float = 1e-3
    comment_errors: float = 0.2
    errors: float = 0.2
    """Share of words that are misheard, drawn anew for each epoch."""
    taught: float = 0.5
    """How much of a target is the teacher's answer; the rest is the corpus's label."""
    rare_for_common: float = 0.3
    """How far the shares of the classes are taken out of the evidence, 0 not at all to 1 in full: whoever says the
    commonest class whenever in doubt is right more often, and of less use."""


def train_words(
    corpora: TextCorpora,
    vocabulary: Sequence[str],
    taught: Lessons,
    front_end: FrontEnd,
    settings: WordsSettings,
    seed: int,
    progress: Progress = lambda texts: None,
) -> Any:
    """Train the branch.

    Args:
        corpora: the texts.
        vocabulary: the words.
        taught: word vectors and answers of the teachers.
        front_end: length of the ids.
        settings: how to train.
        seed: the same seed gives the same weights on the same machine.
        progress: called with the number of texts of each batch.

    Returns:
        A tf_keras model: ids (batch, length) int32 -> logits (batch, labels).
    """
    tf_keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    vectors = main_directions(taught.vectors, settings.width, settings.spread)
    model = words_branch(len(vocabulary), front_end, settings, vectors)
    reader = Reader(vocabulary, front_end, [word for words in corpora.train.words for word in words])

    comments = corpora.comments
    _fit(
        model,
        reader,
        comments.take(_labelled(comments, settings)),
        settings.comment_epochs,
        settings.comment_batch,
        settings.comment_errors,
        settings,
        random,
        progress,
    )
    spoken = replace(
        corpora.train, targets=(1 - settings.taught) * corpora.train.targets + settings.taught * taught.train
    )
    also = replace(comments.take(taught.comments), targets=taught.comment_answers)
    _fit(
        model,
        reader,
        _both(spoken, also),
        settings.epochs,
        settings.batch,
        settings.errors,
        settings,
        random,
        progress,
    )
    return model


def words_branch(
    vocabulary: int, front_end: FrontEnd, settings: WordsSettings, vectors: NDArray[np.float32] | None = None
) -> Any:
    """The branch untrained, from word vectors of shape (vocabulary, width) or from random ones."""
    ids = tf_keras.layers.Input((front_end.sequence_length,), dtype="int32", name=IDS_INPUT)
    logits = text_evidence(ids, labels=len(LABELS), vocabulary=vocabulary, vectors=vectors, width=settings.width)
    return tf_keras.Model(ids, logits, name="words")


def texts_read(corpora: TextCorpora, taught: Lessons, settings: WordsSettings) -> int:
    """How many texts `train_words` will report to have read."""
    first = settings.comment_epochs * int(_labelled(corpora.comments, settings).sum())
    return first + settings.epochs * (len(corpora.train) + len(taught.comments))


def _labelled(comments: Texts, settings: WordsSettings) -> NDArray[np.bool_]:
    short = np.array([len(words) <= settings.longest_comment for words in comments.words], np.bool_)
    return np.asarray(short & comments.targets.any(axis=1), np.bool_)


class Reader:
    """Turns words into ids, misheard or not.

    Args:
        vocabulary: the words.
        front_end: length of the ids.
        frequent: words to mishear others as, each as often as it occurs.
    """

    def __init__(self, vocabulary: Sequence[str], front_end: FrontEnd, frequent: Sequence[str]) -> None:
        self._tokens = Tokens(vocabulary, front_end)
        self._frequent = frequent

    def ids(self, texts: Words, errors: float = 0.0, random: np.random.Generator | None = None) -> NDArray[np.int32]:
        """Shape (texts, length)."""
        if random is not None and errors:
            texts = [simulate(words, errors, self._frequent, random) for words in texts]
        return np.stack([self._tokens.ids(" ".join(words)) for words in texts])


def evidence_of(model: Any, reader: Reader, texts: Texts, errors: float = 0.0, seed: int = 0) -> Evidence:
    """What the branch says of texts, by dialogue; with a share of their words misheard."""
    ids = reader.ids(texts.words, errors, np.random.default_rng(seed))
    return Evidence(model.predict(ids, batch_size=512, verbose=0), texts.labels, texts.dialogues)


def main_directions(vectors: NDArray[np.float32], width: int, spread: float) -> NDArray[np.float32]:
    """The vectors along the `width` directions in which they differ most, shape (words, width), scaled to `spread`."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    main = centred @ directions[:, ::-1][:, :width]
    return np.asarray(main / main.std() * spread, np.float32)


def _both(first: Texts, second: Texts) -> Texts:
    return Texts(
        first.words + second.words,
        np.concatenate([first.targets, second.targets]),
        np.concatenate([first.dialogues, second.dialogues]),
    )


def _fit(
    model: Any,
    reader: Reader,
    texts: Texts,
    epochs: int,
    batch: int,
    errors: float,
    settings: WordsSettings,
    random: np.random.Generator,
    progress: Progress,
) -> None:
    steps = epochs * -(-len(texts) // batch)
    schedule = tf_keras.optimizers.schedules.CosineDecay(settings.rate, steps)
    # Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021): what the shares explain by themselves, the
    # branch, which has no bias, need not say. Afterwards nothing is added.
    shares = tf_keras.backend.constant(settings.rare_for_common * np.log(texts.targets.mean(axis=0)))
    crossentropy = tf_keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(
        tf_keras.optimizers.AdamW(schedule, weight_decay=settings.decay),
        lambda targets, logits: crossentropy(targets, logits + shares),
    )
    for _ in range(epochs):
        ids = reader.ids(texts.words, errors, random)
        order = random.permutation(len(texts))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            model.train_on_batch(ids[rows], texts.targets[rows])
            progress(len(rows))
