import json
import pickle
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from hypothesis import example, given
from hypothesis import strategies as st

from convert.given import Given, Vocabulary, complete, never_heard, read_front_end, read_labels, read_vocabulary
from device.bundle import Companions
from device.errors import ConversionError
from device.front_end.parameters import FrontEnd
from device.front_end.tokens import Tokens

TEXTS = ["The dog isn't happy today, the dog!", "Well-known: the day, the caf\u00e9"]
WORDS = ("the", "dog", "isn't", "happy", "today", "well", "known", "day", "caf\u00e9")
TOKEN = "<OOV>"  # noqa: S105
CARRIED = Companions(("no", "yes"), ("old", "words"), FrontEnd(num_words=3, hop_length=256), {"note": "kept"})
NETWORK: dict[str, Any] = {"picture_size": (48, 96), "sequence_length": 7}


def tokenizer(**settings: Any) -> Any:
    fitted = tf_keras.preprocessing.text.Tokenizer(**settings)
    fitted.fit_on_texts(TEXTS)
    return fitted


def write(folder: Path, content: str | bytes | object, name: str = "given") -> Path:
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def edited(**config: Any) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(tokenizer().to_json())
    table["config"].update(config)
    return table


def refusal(error: pytest.ExceptionInfo[ConversionError]) -> str:
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


# Labels


@pytest.mark.parametrize("text", ["no,yes, don't know", " no , yes,don't know "])
def test_labels_are_separated_by_commas(text: str) -> None:
    assert read_labels(text) == ("no", "yes", "don't know")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "label 1 of 1 is empty"),
        ("no,,yes", "label 2 of 3 is empty"),
        ("no,yes,", "label 3 of 3 is empty"),
        ("happy", "'happy' is one label; give two or more"),
        ("no,yes,no", "'no' is there twice"),
        ("no,y\nes", r"'y\\nes' has characters that cannot be printed"),
        ("no,\udcff", "cannot be printed"),
    ],
)
def test_labels_that_will_not_do(text: str, told: str) -> None:
    with pytest.raises(ConversionError, match=f"^--labels: .*{told}") as error:
        read_labels(text)
    refusal(error)


# Vocabulary


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


def test_a_word_that_holds_a_space_keeps_its_id(tmp_path: Path) -> None:
    index = {"a\xa0b": 1, "out of vocabulary": 2, "\0": 3, "half \ud800": 4, "end\r": 5}
    words = read_vocabulary(write(tmp_path, index)).words
    assert words == ("a_b", "out_of_vocabulary", "_", "half__", "end_")
    assert never_heard(words, "drop") == words
    Companions(("no", "yes"), words, FrontEnd())


@pytest.mark.parametrize(("num_words", "read"), [(0, None), (4.0, 4), (2, 2)])
def test_num_words_as_keras_takes_it(tmp_path: Path, num_words: object, read: int | None) -> None:
    assert read_vocabulary(write(tmp_path, edited(num_words=num_words))).num_words == read


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "is empty"),
        ("the\n\ndog", "line 2 is empty"),
        ("\nthe", "line 1 is empty"),
        ("the\ndog 2", "line 2: 'dog 2' is not one word"),
        ("the\ta\rb", "is not one word"),
        ("the\ndog\nthe", "line 3: 'the' is there twice, first in line 1"),
        ("the\nd\u00f6g".encode("latin-1"), "line 2 is not UTF-8"),
        ("the\ndog".encode("utf-16"), "line 1 is not UTF-8"),
        ("the\ndog".encode("utf-16-le"), "binary or UTF-16"),
        (b"\x89HDF\r\n\x1a\n", "not UTF-8"),
        (b"PK\3\4\0\0", "binary"),
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
        ({"the": 1, "dog": 3}, "no word has id 2; 2 words have the ids 1 to 2"),
        ({"the": 1, "dog": 1}, "'the' and 'dog' both have id 1"),
        ({"the": 0, "dog": 1}, "'the' has id 0; ids begin with 1"),
        ({"the": 1.0}, "'the' has id 1.0, expected a whole number"),
        ({"the": True}, "has id True"),
        ({"1": "the"}, "'1' has id 'the'"),
        ({"the": [1]}, "has id a JSON list"),
        ({"": 1}, "the word with id 1 is empty"),
        ({"w" * 1000: 2}, r"no word has id 1"),
        ({"w" * 1000: 0}, r"'w{39}\.\.\. has id 0"),
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
def test_vocabularies_that_will_not_do(tmp_path: Path, content: str | bytes | object, told: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConversionError, match=f"^{re.escape(str(path))}: .*{told}") as error:
        read_vocabulary(path)
    refusal(error)


@pytest.mark.parametrize("name", ["tokenizer.pkl", "tokenizer.PICKLE"])
def test_a_pickle_is_known_by_its_name_too(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConversionError, match="a pickle can carry code; save it with"):
        read_vocabulary(write(tmp_path, "the\ndog", name))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"none: cannot be read \(No such file.*\); --vocabulary takes one word"):
        read_vocabulary(tmp_path / "none")
    with pytest.raises(ConversionError, match=r"cannot be read \(Is a directory\); --front-end takes a JSON object"):
        read_front_end(tmp_path)
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(ConversionError, match="larger than 16 MB; --vocabulary takes"):
        read_vocabulary(huge)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
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
def test_any_other_vocabulary_is_one_clear_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            vocabulary = read_vocabulary(write(Path(folder), content))
        except ConversionError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
            return
    assert vocabulary.words
    assert all("".join(word.split()) == word for word in vocabulary.words)
    assert "".join(vocabulary.words).encode("utf-8")


# Front end


def test_a_front_end_file_may_be_empty_of_settings(tmp_path: Path) -> None:
    assert read_front_end(write(tmp_path, {})) == FrontEnd()


def test_the_file_wins_over_what_was_found_and_that_over_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff" + json.dumps({"num_words": 50, "hop_length": 256, "trim_db": None}))
    front_end = read_front_end(path, num_words=9, sequence_length=7, out_of_vocabulary="first")
    assert front_end == FrontEnd(
        num_words=50, hop_length=256, trim_db=None, sequence_length=7, out_of_vocabulary="first"
    )


def test_what_a_bundle_holds_is_a_front_end_file(tmp_path: Path) -> None:
    front_end = FrontEnd(padding="post", out_of_vocabulary="first", n_mels=64)
    assert read_front_end(write(tmp_path, front_end.to_json()), sequence_length=7) == front_end


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("[]", "not a JSON object; {} takes the tutorial's settings"),
        ("null", "not a JSON object"),
        ('{\n"hop_length": }', "line 2, column 15: not valid JSON"),
        ("{'hop_length': 256}", "line 1, column 2: not valid JSON"),
        (b"\xff", "line 1 is not UTF-8; save it as UTF-8 text"),
        ("[" * 100_000, "not valid JSON"),
        ({"hop_lenght": 256}, "'hop_lenght' is no setting of the front end; did you mean hop_length?"),
        ({"oov": 256}, "'oov' is no setting of the front end; there are version, sample_rate,"),
        ({"hop_length": "256"}, "front end: hop_length is '256', expected a number"),
        ({"padding": "both"}, "front end: padding is 'both', this version of edge-mcnn can do 'pre' or 'post' only"),
        ({"version": 2}, "front end: version is 2"),
        ({"f_min": 5000, "f_max": 4000}, "front end: f_min 5000 and f_max 4000 must rise"),
        ({"sequence_length": 0}, "front end: sequence_length is 0, expected 1 to 2000"),
    ],
)
def test_front_ends_that_will_not_do(tmp_path: Path, content: str | bytes | object, told: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConversionError, match=f"^{re.escape(f'{path}: {told}')}") as error:
        read_front_end(path, picture_height=64)
    refusal(error)


def test_a_value_that_the_file_does_not_name_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"picture_height is 1024, .*the file does not name it, so the network's"):
        read_front_end(write(tmp_path, {}), picture_height=1024)


@given(st.dictionaries(st.sampled_from([*vars(FrontEnd()), "other"]), json_values, max_size=3))
def test_any_other_front_end_is_one_clear_line(table: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            read_front_end(write(Path(folder), table))
        except ConversionError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017


# All together


def test_nothing_given_is_what_the_model_carries() -> None:
    assert complete("X.h5", CARRIED, Given(), **NETWORK) == CARRIED


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            [],
            "X.h5: carries no labels, no vocabulary and no front end, so its answers would have no meaning; "
            "give --labels a,b,c --vocabulary FILE --front-end FILE (a JSON object; {} takes the tutorial's settings)",
        ),
        (
            ["front_end"],
            "X.h5: carries no labels and no vocabulary, so its answers would have no meaning; "
            "give --labels a,b,c --vocabulary FILE",
        ),
        (
            ["labels", "front_end"],
            "X.h5: carries no vocabulary, so its answers would have no meaning; give --vocabulary FILE",
        ),
    ],
)
def test_all_that_is_missing_is_named_at_once(options: list[str], told: str) -> None:
    everything: dict[str, Any] = {"labels": "no,yes", "vocabulary": Path("words"), "front_end": Path("front_end")}
    with pytest.raises(ConversionError, match=f"^{re.escape(told)}$"):
        complete("X.h5", None, Given(**{name: everything[name] for name in options}), **NETWORK)


@pytest.mark.parametrize("oov_token", [None, "<OOV>"])
@pytest.mark.parametrize("num_words", [None, 4])
@pytest.mark.parametrize("padding", ["pre", "post"])
def test_a_stranger_s_tokenizer_gives_the_ids_that_keras_gives(
    tmp_path: Path, oov_token: str | None, num_words: int | None, padding: str
) -> None:
    keras = tokenizer(oov_token=oov_token, num_words=num_words)
    options = Given(
        "no,yes", write(tmp_path, keras.to_json(), "t.json"), write(tmp_path, {"padding": padding}, "f.json")
    )
    companions = complete("X.h5", None, options, **NETWORK)
    front_end = companions.front_end
    assert (front_end.picture_height, front_end.picture_width, front_end.sequence_length) == (48, 96, 7)
    text = "well the happy zebra isn't the known dog today"
    golden = tf_keras.preprocessing.sequence.pad_sequences(keras.texts_to_sequences([text]), 7, padding=padding)[0]
    np.testing.assert_array_equal(Tokens(companions.vocabulary, front_end).ids(text), golden)


def test_a_list_of_words_is_whole_unless_the_front_end_says_otherwise(tmp_path: Path) -> None:
    words = write(tmp_path, "\n".join(f"w{number}" for number in range(6000)), "words.txt")
    front_end = write(tmp_path, {}, "f.json")
    companions = complete("X.h5", None, Given("no,yes", words, front_end), **NETWORK)
    assert companions.front_end.num_words == 6001
    front_end = write(tmp_path, {"num_words": 5000}, "f.json")
    companions = complete("X.h5", None, Given("no,yes", words, front_end), **NETWORK)
    assert companions.front_end.num_words == 5000


def test_what_is_given_wins_over_what_the_model_carries(tmp_path: Path) -> None:
    def completed(**options: Any) -> Companions:
        return complete("X.h5", CARRIED, Given(**options), **NETWORK)

    assert completed(labels="a,b,c") == replace(CARRIED, labels=("a", "b", "c"))

    keras = write(tmp_path, tokenizer(oov_token=TOKEN, num_words=4).to_json(), "t.json")
    front_end = replace(CARRIED.front_end, num_words=4, out_of_vocabulary="first")
    assert completed(vocabulary=keras) == replace(CARRIED, vocabulary=("<OOV>", *WORDS), front_end=front_end)
    whole = write(tmp_path, tokenizer().to_json(), "t.json")
    assert completed(vocabulary=whole).front_end == replace(CARRIED.front_end, num_words=len(WORDS) + 1)
    # A mere list of words says nothing that the front end does not know better.
    assert completed(vocabulary=write(tmp_path, "a\nb\nc")) == replace(CARRIED, vocabulary=("a", "b", "c"))

    ours = write(tmp_path, {"n_mels": 64}, "f.json")
    assert completed(front_end=ours) == replace(
        CARRIED,
        front_end=FrontEnd(n_mels=64, num_words=3, picture_height=48, picture_width=96, sequence_length=7),
    )


def test_what_companions_refuse_is_told_by_option(tmp_path: Path) -> None:
    many = ",".join(f"l{number}" for number in range(101))
    with pytest.raises(ConversionError, match=r"^--labels: 101 found, expected 2 to 100"):
        complete("X.h5", CARRIED, Given(many), **NETWORK)
    words = write(tmp_path, "\n".join(f"{number:x}" for number in range(500_001)), "words.txt")
    with pytest.raises(ConversionError, match=r"^--vocabulary: 500001 found, expected 1 to 500000"):
        complete("X.h5", CARRIED, Given(vocabulary=words), **NETWORK)
    keras = write(tmp_path, edited(num_words=10**7), "t.json")
    with pytest.raises(ConversionError, match=r"^--vocabulary: num_words is 10000000, expected 2 to 1000000"):
        complete("X.h5", CARRIED, Given(vocabulary=keras), **NETWORK)


def test_words_that_no_text_can_give() -> None:
    vocabulary = ("<OOV>", "the", "Hello", "isn't", "'tis", "well-known", "\u2019em", "caf\u00e9", "snake_case")
    unheard = ("Hello", "'tis", "well-known", "\u2019em", "snake_case")
    assert never_heard(vocabulary, "first") == unheard
    assert never_heard(vocabulary, "drop") == ("<OOV>", *unheard)
