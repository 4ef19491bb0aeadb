"""The text branch of the network `evidence`: short patterns of words, found anywhere in the text.

Its output is evidence: logits that are exactly 0 for an empty text. This module is independent of audio, corpora and
training.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tf_keras import layers

WIDTHS = (1, 2, 3)
"""Words per pattern."""


def words_present(ids: Any, name: str = "words_present") -> Any:
    """Return a tensor that is 1 for a word and 0 for padding, shape (batch, length), float32.

    `mask_zero` would mask with a loop, for which there is no fused operator.
    """
    numbers = layers.Rescaling(1.0, name=f"{name}_as_numbers")(ids)
    return layers.ReLU(1.0, name=name)(numbers)


def text_evidence(
    ids: Any,
    *,
    labels: int,
    vocabulary: int,
    vectors: NDArray[np.float32] | None = None,
    width: int = 64,
    filters: int = 64,
    word_dropout: float = 0.2,
    dropout: float = 0.4,
) -> Any:
    """Build the branch: word vectors, convolutions over 1 to 3 words, the maximum of each pattern, one dense layer.

    A small text CNN (Kim, "Convolutional Neural Networks for Sentence Classification", 2014). No layer has a bias
    and padding is masked to zeros, so an empty text gives no evidence.

    Args:
        ids: symbolic tensor (batch, length), int32; 0 is padding.
        labels: number of classes.
        vocabulary: number of words, without the padding id 0.
        vectors: initial word vectors, shape (vocabulary, width); their width replaces `width`. None is random ones.
        width: length of a word vector.
        filters: number of patterns of each of the `WIDTHS`.
        word_dropout: share of the vectors' elements left out in training, the same ones for all words of an utterance.
        dropout: share of the patterns left out in training.

    Returns:
        Symbolic tensor (batch, labels), float32: logits.
    """
    if vectors is not None:
        width = vectors.shape[1]
    embedding = layers.Embedding(vocabulary + 1, width, name="words_embedding")
    vectors_of_ids = embedding(ids)
    if vectors is not None:
        embedding.set_weights([np.concatenate([np.zeros((1, width), np.float32), vectors])])
    is_word = layers.Reshape((int(ids.shape[1]), 1), name="words_mask")(words_present(ids))
    masked = layers.Multiply(name="words_only")([vectors_of_ids, is_word])
    masked = layers.SpatialDropout1D(word_dropout, name="words_dropout")(masked)
    maxima = []
    for size in WIDTHS:
        patterns = layers.Conv1D(
            filters, size, padding="same", activation="relu", use_bias=False, name=f"words_patterns_{size}"
        )(masked)
        maxima.append(layers.GlobalMaxPooling1D(name=f"words_maximum_{size}")(patterns))
    matches = layers.Concatenate(name="words_matches")(maxima)
    matches = layers.Dropout(dropout, name="words_matches_dropout")(matches)
    return layers.Dense(labels, use_bias=False, name="words_logits")(matches)
