import json
import pickle
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convert.companions.vocabulary import Vocabulary, read_vocabulary, unreachable_words
from device.bundle import Companions
from device.errors import ConversionError
from device.front_end.parameters import FrontEnd
from tests.convert.companions.companion_files import TOKEN, WORDS, edited, json_values, refused, tokenizer, write


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_text_has_a_word_per_line(tmp_path: Path, start: str, end: str) -> None:
    text = start + ("\r\n" if "\r" in end else "\n").join(WORDS) + end
    assert read_vocabulary(write(tmp_path, text)) == Vocabulary(WORDS, None, "drop")


def test_a_text_may_begin_as_json_does(tmp_path: Path) -> None:
    words = ("[unk]", "the", "{dog}")
    assert read_vocabulary(write(tmp_path, "\n".join(words))).words == words


@pytest.mark.parametrize("num_words", [None, 5])
@pytest.mark.parametrize("twice", [False, True])
def test_a_tokenizer_of_keras(tmp_path: Path, num_words: int | None, *, twice: bool) -> None:
    text = tokenizer(num_words=num_words).to_json()
    path = write(tmp_path, json.dumps(text) if twice else text)
    assert read_vocabulary(path) == Vocabulary(WORDS, num_words, "drop", of_tokenizer=True)


def test_a_tokenizer_with_a_token_for_unknown_words(tmp_path: Path) -> None:
    path = write(tmp_path, tokenizer(oov_token=TOKEN).to_json(indent=2))
    assert read_vocabulary(path) == Vocabulary(("<OOV>", *WORDS), None, "first", of_tokenizer=True)


def test_a_word_index(tmp_path: Path) -> None:
    index = dict(reversed(tokenizer().word_index.items()))
    assert read_vocabulary(write(tmp_path, index)) == Vocabulary(WORDS, None, "drop")


def test_a_word_that_contains_a_space_keeps_its_id(tmp_path: Path) -> None:
    index = {"a\xa0b": 1, "out of vocabulary": 2, "\0": 3, "half \ud800": 4, "end\r": 5}
    words = read_vocabulary(write(tmp_path, index)).words
    assert words == ("a_b", "out_of_vocabulary", "_", "half__", "end_")
    assert unreachable_words(words, "drop") == words
    Companions(("no", "yes"), words, FrontEnd())


def test_words_that_no_transcript_can_contain() -> None:
    vocabulary = ("<OOV>", "the", "Hello", "isn't", "'tis", "well-known", "\u2019em", "caf\u00e9", "snake_case")
    unreachable = ("Hello", "'tis", "well-known", "\u2019em", "snake_case")
    assert unreachable_words(vocabulary, "first") == unreachable
    assert unreachable_words(vocabulary, "drop") == ("<OOV>", *unreachable)


@pytest.mark.parametrize(("num_words", "read"), [(0, None), (4.0, 4), (2, 2)])
def test_num_words_as_keras_reads_it(tmp_path: Path, num_words: object, read: int | None) -> None:
    assert read_vocabulary(write(tmp_path, edited(num_words=num_words))).num_words == read


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "is empty"),
        ("the\n\ndog", "line 2 is empty"),
        ("\nthe", "line 1 is empty"),
        ("the\ndog 2", "line 2: 'dog 2' is not one word"),
        ("the\ta\rb", "is not one word"),
        ("the\ndog\nthe", "line 3: 'the' is a duplicate of line 1"),
        ("the\nd\u00f6g".encode("latin-1"), ", line 2: the byte 0xf6 is not UTF-8 text"),
        ("the\ndog".encode("utf-16"), ", line 1: UTF-16, not UTF-8 text"),
        ("the\ndog".encode("utf-16-le"), ", line 1: a NUL byte"),
        (b"\x89HDF\r\n\x1a\n", "the byte 0x89 is not UTF-8 text"),
        (b"PK\3\4\0\0", ", line 1: a NUL byte"),
        (pickle.dumps({"the": 1}), r"a pickle can carry code; save it with tokenizer.to_json\(\)"),
        (pickle.dumps({"the": 1}, protocol=0), "a pickle can carry code"),
        ('{"the": 1,\n"dog" 2}', "line 2, column 7: not valid JSON"),
        ('"{\\"the\\": 1', "not valid JSON"),
        ('"{\\"the\\": 1"', "not valid JSON"),
        ("{", "not valid JSON"),
        ("[[" * 100_000, "not valid JSON"),
        ('{"the": ' + "1" * 5000 + "}", "not valid JSON"),
        ('"hello"', "holds 'hello', expected one word per line"),
        (["the", "dog"], "holds a JSON list, expected one word per line"),
        ({}, "has no words"),
        ({"the": 1, "dog": 3}, "no word has id 2, but 2 words need the ids 1 to 2"),
        ({"the": 1, "dog": 1}, "'the' and 'dog' both have id 1"),
        ({"the": 0, "dog": 1}, "'the' has id 0, but ids begin with 1"),
        ({"the": 1.0}, "'the' has id 1.0, expected an integer"),
        ({"the": True}, "has id True"),
        ({"1": "the"}, "'1' has id 'the'"),
        ({"the": [1]}, "has id a JSON list"),
        ({"": 1}, "the word with id 1 is empty"),
        ({"w" * 1000: 2}, r"no word has id 1"),
        ({"w" * 1000: 0}, r"'w{40}\.\.\.' has id 0"),
        ({"class_name": "TextVectorization", "config": {}}, "the JSON of 'TextVectorization'"),
        ({"class_name": "Tokenizer"}, "a Tokenizer without its config"),
        ({"class_name": "Tokenizer", "config": {}}, "the Tokenizer has no word_index"),
        (edited(word_index="{"), "the Tokenizer has no word_index"),
        (edited(word_index="[1]"), "the Tokenizer has no word_index"),
        (edited(word_index={"the": 2}), "no word has id 1"),
        (edited(char_level=True), "char_level"),
        (edited(num_words="all"), "num_words of the Tokenizer is 'all'"),
        (edited(num_words=1), "num_words of the Tokenizer is 1, expected 2 or more"),
        (edited(num_words=True), "num_words of the Tokenizer is True"),
        (edited(num_words=1e999), "num_words of the Tokenizer is inf"),
        (edited(oov_token=WORDS[1]), "oov_token of the Tokenizer is 'dog', which does not have id 1"),
        (edited(oov_token=TOKEN), "does not have id 1"),
        (edited(oov_token=["the"]), "does not have id 1"),
    ],
)
def test_invalid_vocabularies(tmp_path: Path, content: str | bytes | object, message: str) -> None:
    path = write(tmp_path, content)
    with refused(f"{re.escape(str(path))}.*{message}"):
        read_vocabulary(path)


@pytest.mark.parametrize("name", ["tokenizer.pkl", "tokenizer.PICKLE"])
def test_a_pickle_is_recognised_by_its_name_too(tmp_path: Path, name: str) -> None:
    with refused(".*a pickle can carry code; save it with"):
        read_vocabulary(write(tmp_path, "the\ndog", name))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with refused(".*none: no such file or folder; give --vocabulary one word"):
        read_vocabulary(tmp_path / "none")
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with refused(".*larger than 16 MB; give --vocabulary"):
        read_vocabulary(huge)


word_indices = st.dictionaries(st.text(), st.integers(0, 4), max_size=4)
tokenizers = st.fixed_dictionaries(
    {
        "class_name": st.just("Tokenizer"),
        "config": st.fixed_dictionaries(
            {},
            optional={
                "word_index": word_indices.map(json.dumps) | json_values,
                "num_words": json_values,
                "oov_token": json_values,
                "char_level": json_values,
            },
        )
        | json_values,
    }
)
contents = st.one_of(
    st.binary(),
    st.text().map(lambda text: text.encode("utf-8")),
    st.lists(st.sampled_from(["the", "dog", "", " ", "[", "{", '"', "\0", "\u2028"])).map(
        lambda x: "\n".join(x).encode()
    ),
    st.one_of(json_values, word_indices, tokenizers, tokenizers.map(json.dumps)).map(lambda x: json.dumps(x).encode()),
)


@given(contents)
@example(b'"[')
@example(b'"{}"')
@example(b"\xef\xbb\xbf")
def test_any_other_vocabulary_is_read_or_refused_in_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            vocabulary = read_vocabulary(write(Path(folder), content))
        except ConversionError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017  # it need not be refused
            return
    assert vocabulary.words
    assert all("".join(word.split()) == word for word in vocabulary.words)
    assert "".join(vocabulary.words).encode("utf-8")
