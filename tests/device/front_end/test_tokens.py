import numpy as np
import pytest
import tf_keras
from hypothesis import given
from hypothesis import strategies as st

from device.front_end.parameters import FrontEnd
from device.front_end.tokens import Tokens, normalise


@pytest.mark.parametrize(
    ("written", "transcribed"),
    [
        ("Oh my God, he\u2019s lost it. He\u2019s totally lost it.", "oh my god he's lost it he's totally lost it"),
        ("So I\u0092m\u2026 fine\u2014really!", "so i'm fine really"),
        ("\u2018Hello,\u2019 she said", "hello she said"),
        ("rock 'n' roll, the boys' room", "rock n roll the boys room"),
        ("  Two\tspaces\n", "two spaces"),
        ("caf\u00e9 snake_case", "caf\u00e9 snake case"),
        ("!?.", ""),
        ("", ""),
    ],
)
def test_text_gets_the_form_of_a_transcript(written: str, transcribed: str) -> None:
    assert normalise(written) == transcribed


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == once.strip()


words = st.lists(
    st.sampled_from(["the", "a", "dog", "isn't", "happy", "today", "well", "i'm", "we", "zebra"]), max_size=30
).map(" ".join)


@given(
    st.lists(words, min_size=1, max_size=8),
    words,
    st.integers(2, 12),
    st.integers(1, 20),
    st.sampled_from(["pre", "post"]),
    st.sampled_from([None, "<OOV>", "unknown"]),
)
def test_ids_equal_those_of_keras(
    texts: list[str], text: str, num_words: int, length: int, padding: str, oov_token: str | None
) -> None:
    keras = tf_keras.preprocessing.text.Tokenizer(num_words=num_words, filters="", lower=False, oov_token=oov_token)
    keras.fit_on_texts(texts)
    sequences = keras.texts_to_sequences([text])
    golden = tf_keras.preprocessing.sequence.pad_sequences(sequences, maxlen=length, padding=padding)[0]
    vocabulary = sorted(keras.word_index, key=keras.word_index.__getitem__)
    front_end = FrontEnd(
        num_words=num_words,
        sequence_length=length,
        padding=padding,
        out_of_vocabulary="drop" if oov_token is None else "first",
    )
    ids = Tokens(vocabulary, front_end).ids(text)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, golden)


@pytest.mark.parametrize(
    ("padding", "out_of_vocabulary", "text", "ids"),
    [
        ("pre", "drop", "a new dog", [0, 0, 2, 3]),
        ("post", "drop", "a new dog", [2, 3, 0, 0]),
        ("pre", "first", "a new dog", [0, 2, 1, 3]),
        ("post", "first", "a new dog", [2, 1, 3, 0]),
        ("post", "first", "a dog is a rare dog", [1, 2, 1, 3]),  # the last words, and "rare" is beyond num_words
        ("post", "drop", "", [0, 0, 0, 0]),
    ],
)
def test_zeros_and_unknown_words_are_placed_as_the_front_end_defines(
    padding: str, out_of_vocabulary: str, text: str, ids: list[int]
) -> None:
    front_end = FrontEnd(num_words=4, sequence_length=4, padding=padding, out_of_vocabulary=out_of_vocabulary)
    assert Tokens(["<OOV>", "a", "dog", "rare"], front_end).ids(text).tolist() == ids
