"""Trains the text branch: on comments first, then on spoken utterances, always with simulated word errors.

Works on words, targets and the output of the sentence model, independent of the files they come from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd
from device.front_end.tokens import Tokens
from training.data.transcripts.word_errors import simulate
from training.default_model.fusion import BranchLogits
from training.default_model.text_branch.corpora import TextCorpora, Texts
from training.default_model.text_branch.distillation import TeacherOutput
from training.networks.evidence_text import text_evidence
from training.networks.network import IDS_INPUT

Words = Sequence[Sequence[str]]
Progress = Callable[[int], None]
"""Called with the number of texts of each batch."""


@dataclass(frozen=True)
class TextTrainingSettings:
    """How the text branch is trained; the defaults are those of the model that ships."""

    vector_width: int = 64
    """Numbers per word vector."""
    vector_std: float = 0.3
    """Standard deviation of the initial word vectors."""
    longest_comment: int = 20
    """Words of the longest comment used in the first stage."""
    comment_epochs: int = 2
    """Passes over the comments in the first stage."""
    epochs: int = 10
    """Passes over utterances and comments in the second stage."""
    comment_batch_size: int = 128
    """Comments per batch in the first stage."""
    batch_size: int = 64
    """Texts per batch in the second stage."""
    learning_rate: float = 3e-3
    """Learning rate of AdamW at the beginning of each stage; it falls to 0 with a half cosine."""
    weight_decay: float = 1e-3
    """Weight decay of AdamW."""
    comment_word_errors: float = 0.2
    """Share of the words that are corrupted in the first stage, drawn again for each epoch."""
    word_errors: float = 0.2
    """Share of the words that are corrupted in the second stage, drawn again for each epoch."""
    teacher_share: float = 0.5
    """Share of the teacher's probabilities in the targets; the rest is the label of the corpus."""
    prior_adjustment: float = 0.3
    """How far the class frequencies are removed from the logits, 0 not at all to 1 completely: predicting the most
    frequent class when in doubt is more often correct, and less useful."""


def train_text_branch(
    corpora: TextCorpora,
    vocabulary: Sequence[str],
    teacher: TeacherOutput,
    front_end: FrontEnd,
    settings: TextTrainingSettings,
    seed: int,
    progress: Progress = lambda texts: None,
) -> Any:
    """Train the branch.

    Args:
        corpora: the texts.
        vocabulary: the words.
        teacher: word vectors and soft targets.
        front_end: length of the ids.
        settings: how to train.
        seed: random seed; the same seed gives the same weights on the same machine.
        progress: called after each batch.

    Returns:
        A tf_keras model: ids (batch, length) int32 -> logits (batch, labels).
    """
    tf_keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    vectors = principal_components(teacher.vectors, settings.vector_width, settings.vector_std)
    labels = corpora.train.targets.shape[1]
    model = build_text_branch(labels, len(vocabulary), front_end, settings, vectors)
    encoder = TextEncoder(vocabulary, front_end, [word for words in corpora.train.words for word in words])

    comments = corpora.comments
    _fit(
        model,
        encoder,
        comments.take(_first_stage(comments, settings)),
        settings.comment_epochs,
        settings.comment_batch_size,
        settings.comment_word_errors,
        settings,
        random,
        progress,
    )
    utterances = replace(
        corpora.train,
        targets=(1 - settings.teacher_share) * corpora.train.targets + settings.teacher_share * teacher.train,
    )
    predicted_comments = replace(comments.take(teacher.comment_rows), targets=teacher.comments)
    _fit(
        model,
        encoder,
        _concatenated(utterances, predicted_comments),
        settings.epochs,
        settings.batch_size,
        settings.word_errors,
        settings,
        random,
        progress,
    )
    return model


def build_text_branch(
    labels: int,
    vocabulary: int,
    front_end: FrontEnd,
    settings: TextTrainingSettings,
    vectors: NDArray[np.float32] | None = None,
) -> Any:
    """Build the untrained branch.

    Args:
        labels: number of classes.
        vocabulary: number of words.
        front_end: length of the ids.
        settings: width of the word vectors.
        vectors: initial word vectors, shape (vocabulary, width); random if None.
    """
    ids = tf_keras.layers.Input((front_end.sequence_length,), dtype="int32", name=IDS_INPUT)
    logits = text_evidence(ids, labels=labels, vocabulary=vocabulary, vectors=vectors, width=settings.vector_width)
    return tf_keras.Model(ids, logits, name="text")


def number_of_texts(corpora: TextCorpora, teacher: TeacherOutput, settings: TextTrainingSettings) -> int:
    """Return the number of texts that `train_text_branch` will report to its `progress`."""
    first = settings.comment_epochs * int(_first_stage(corpora.comments, settings).sum())
    return first + settings.epochs * (len(corpora.train) + len(teacher.comment_rows))


class TextEncoder:
    """Turns words into ids, with or without simulated word errors.

    Args:
        vocabulary: the words.
        front_end: length of the ids.
        frequent: words that errors substitute or insert, each as often as it occurs.
    """

    def __init__(self, vocabulary: Sequence[str], front_end: FrontEnd, frequent: Sequence[str]) -> None:
        self._tokens = Tokens(vocabulary, front_end)
        self._frequent = frequent

    def ids(self, texts: Words, errors: float = 0.0, random: np.random.Generator | None = None) -> NDArray[np.int32]:
        """Return the ids of some texts, shape (texts, length).

        Args:
            texts: words of each text.
            errors: share of the words to corrupt, 0 to 1.
            random: draws the errors; without it there are none.
        """
        if random is not None and errors:
            texts = [simulate(words, errors, self._frequent, random) for words in texts]
        return np.stack([self._tokens.ids(" ".join(words)) for words in texts])


def predict_texts(model: Any, encoder: TextEncoder, texts: Texts, errors: float = 0.0, seed: int = 0) -> BranchLogits:
    """Return the logits of the branch for some texts, grouped by dialogue, with a share of their words corrupted."""
    ids = encoder.ids(texts.words, errors, np.random.default_rng(seed))
    return BranchLogits(model.predict(ids, batch_size=512, verbose=0), texts.labels, texts.dialogues)


def principal_components(vectors: NDArray[np.float32], width: int, std: float) -> NDArray[np.float32]:
    """Project vectors onto the `width` directions of largest variance and scale them.

    Args:
        vectors: shape (words, n).
        width: number of directions.
        std: standard deviation of the result.

    Returns:
        Vectors of shape (words, width).
    """
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    projected = centred @ directions[:, ::-1][:, :width]
    return np.asarray(projected / projected.std() * std, np.float32)


def _first_stage(comments: Texts, settings: TextTrainingSettings) -> NDArray[np.bool_]:
    """Return which comments the first stage uses: short ones with a label, shape (comments,)."""
    short = np.array([len(words) <= settings.longest_comment for words in comments.words], np.bool_)
    return np.asarray(short & comments.targets.any(axis=1), np.bool_)


def _concatenated(first: Texts, second: Texts) -> Texts:
    return Texts(
        first.words + second.words,
        np.concatenate([first.targets, second.targets]),
        np.concatenate([first.dialogues, second.dialogues]),
    )


def _fit(
    model: Any,
    encoder: TextEncoder,
    texts: Texts,
    epochs: int,
    batch_size: int,
    errors: float,
    settings: TextTrainingSettings,
    random: np.random.Generator,
    progress: Progress,
) -> None:
    if not len(texts):
        return
    steps = epochs * -(-len(texts) // batch_size)
    schedule = tf_keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    # Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021): the loss adds the log frequencies, so that
    # the branch, which has no bias, need not learn them. At prediction time nothing is added.
    prior = tf_keras.backend.constant(settings.prior_adjustment * np.log(texts.targets.mean(axis=0)))
    crossentropy = tf_keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(
        tf_keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay),
        lambda targets, logits: crossentropy(targets, logits + prior),
    )
    for _ in range(epochs):
        ids = encoder.ids(texts.words, errors, random)
        order = random.permutation(len(texts))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            model.train_on_batch(ids[rows], texts.targets[rows])
            progress(len(rows))
