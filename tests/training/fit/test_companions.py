"""Vocabulary and ids against an independent source: Keras's own Tokenizer and pad_sequences on normalised texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tf_keras.preprocessing.sequence import pad_sequences
from tf_keras.preprocessing.text import Tokenizer

from device.front_end.parameters import FrontEnd
from device.front_end.tokens import Tokens, normalise
from training.fit.companions import fit_vocabulary

TEXTS = [
    "Oh my God! OH MY GOD!!!",
    "you must\u2019ve had your hands full.",
    "That I did. That I did.",
    "'quoted' rock 'n' roll - don't, can't; won\u0092t_really",
    "caf\u00e9 na\u00efve \u00dcber 100% KL-5",
    "",
    "...",
    "tab\tand\nnewline",
    "word " * 250,
]


def keras_ids(fitted: list[str], evaluated: list[str], front_end: FrontEnd) -> tuple[list[str], NDArray[np.int32]]:
    tokenizer = Tokenizer(num_words=front_end.num_words, filters="", lower=False)
    tokenizer.fit_on_texts([normalise(text) for text in fitted])
    rows = tokenizer.texts_to_sequences([normalise(text) for text in evaluated])
    return list(tokenizer.word_index), pad_sequences(rows, maxlen=front_end.sequence_length)


def assert_equals_keras(fitted: list[str], evaluated: list[str], front_end: FrontEnd) -> None:
    words, rows = keras_ids(fitted, evaluated, front_end)
    vocabulary = fit_vocabulary(fitted)
    assert list(vocabulary) == words
    tokens = Tokens(vocabulary, front_end)
    np.testing.assert_array_equal(np.stack([tokens.ids(text) for text in evaluated]), rows)


@pytest.mark.parametrize("front_end", [FrontEnd(), FrontEnd(num_words=5), FrontEnd(sequence_length=3, num_words=2)])
def test_equals_keras(front_end: FrontEnd) -> None:
    assert_equals_keras(TEXTS, [*TEXTS, "that unknown god did"], front_end)


@given(fitted=st.lists(st.text(max_size=40), min_size=1), evaluated=st.lists(st.text(max_size=40), min_size=1))
@settings(max_examples=50)
def test_equals_keras_on_any_text(fitted: list[str], evaluated: list[str]) -> None:
    assert_equals_keras(fitted, [*evaluated, *fitted], FrontEnd(num_words=8, sequence_length=5))


def test_most_frequent_first_and_ties_by_first_appearance() -> None:
    assert fit_vocabulary(["b a", "c a C", "D d b e"]) == ("b", "a", "c", "d", "e")
    assert fit_vocabulary(["", "?!"]) == ()
