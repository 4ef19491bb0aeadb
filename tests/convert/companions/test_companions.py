import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from hypothesis import given
from hypothesis import strategies as st

from convert.companions.companions import UserCompanions, complete_companions, read_front_end, read_labels
from device.bundle import OTHER_IMAGES, Companions
from device.errors import ConversionError
from device.front_end.parameters import FrontEnd
from device.front_end.tokens import Tokens
from tests.convert.companions.companion_files import TOKEN, WORDS, edited, json_values, refused, tokenizer, write

STORED = Companions(("no", "yes"), ("old", "words"), FrontEnd(num_words=3, hop_length=256), {"note": "unchanged"})
NETWORK: dict[str, Any] = {"image_size": (48, 96), "sequence_length": 7}


@pytest.mark.parametrize("text", ["no,yes, don't know", " no , yes,don't know "])
def test_labels_are_separated_by_commas(text: str) -> None:
    assert read_labels(text) == ("no", "yes", "don't know")


@pytest.mark.parametrize("content", ["no\nyes, perhaps\ndon't know\n", "\ufeffno\r\n yes, perhaps\r\ndon't know"])
def test_labels_from_a_file_with_one_per_line(content: str, tmp_path: Path) -> None:
    for name in ("labels.txt", "names"):
        (tmp_path / name).write_text(content, "utf-8", newline="")
        assert read_labels(str(tmp_path / name)) == ("no", "yes, perhaps", "don't know")


def test_labels_file_of_a_training(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(STORED.entries()["labels.txt"], "utf-8")
    assert read_labels(str(tmp_path / "labels.txt")) == STORED.labels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, ".*labels.txt: cannot be read .*give --labels a UTF-8 text file with one name per line"),
        (b"", ".*labels.txt: is empty"),
        (b"no\xff\nyes", ".*labels.txt: line 1 is not UTF-8"),
        (b"no\n\nyes\n", "--labels: line 2 of 3 is empty; fill or remove the line"),
        (b"happy\n", "--labels: .* is one label"),
        (b"no\nyes\nno\n", "--labels: 'no' is a duplicate"),
    ],
)
def test_invalid_labels_file(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    with refused(message):
        read_labels(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "label 1 of 1 is empty"),
        ("no,,yes", "label 2 of 3 is empty"),
        ("no,yes,", "label 3 of 3 is empty"),
        ("happy", "'happy' is one label; give --labels two or more"),
        ("no,yes,no", "'no' is a duplicate"),
        ("no,y\nes", r"'y\\nes' has characters that cannot be printed"),
        ("no,\udcff", "cannot be printed"),
    ],
)
def test_invalid_labels(text: str, message: str) -> None:
    with refused(f"--labels: .*{message}"):
        read_labels(text)


def test_unknown_front_end_of_finished_images_has_to_be_supplied(tmp_path: Path) -> None:
    stored = replace(STORED, card={OTHER_IMAGES: True})
    with refused(
        "Model.h5: was trained on images that edge-mcnn did not compute, so its front end is unknown; give --front-end"
    ):
        complete_companions("Model.h5", stored, UserCompanions(), **NETWORK)
    user = UserCompanions(front_end=write(tmp_path, {"hop_length": 128}))
    completed = complete_companions("Model.h5", stored, user, **NETWORK)
    assert completed.front_end.hop_length == 128
    assert completed.vocabulary == STORED.vocabulary


def test_a_front_end_file_may_be_empty_of_settings(tmp_path: Path) -> None:
    assert read_front_end(write(tmp_path, {})) == FrontEnd()


def test_the_file_takes_precedence_over_derived_values_and_these_over_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff" + json.dumps({"num_words": 50, "hop_length": 256, "trim_db": None}))
    front_end = read_front_end(path, num_words=9, sequence_length=7, out_of_vocabulary="first")
    assert front_end == FrontEnd(
        num_words=50, hop_length=256, trim_db=None, sequence_length=7, out_of_vocabulary="first"
    )


def test_the_front_end_of_a_bundle_is_a_valid_file(tmp_path: Path) -> None:
    front_end = FrontEnd(padding="post", out_of_vocabulary="first", n_mels=64)
    assert read_front_end(write(tmp_path, front_end.to_json()), sequence_length=7) == front_end


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("[]", "not a JSON object; give --front-end a JSON object; {} means the tutorial's settings"),
        ("null", "not a JSON object"),
        ('{\n"hop_length": }', "line 2, column 15: not valid JSON"),
        ("{'hop_length': 256}", "line 1, column 2: not valid JSON"),
        (b"\xff", "line 1 is not UTF-8; save it as UTF-8 text"),
        ("[" * 100_000, "not valid JSON"),
        ({"hop_lenght": 256}, "'hop_lenght' is not a parameter of the front end; did you mean hop_length?"),
        ({"oov": 256}, "'oov' is not a parameter of the front end; choose among version, sample_rate,"),
        ({"hop_length": "256"}, "front end: hop_length is '256', expected a number"),
        ({"padding": "both"}, "front end: padding is 'both', this version of edge-mcnn supports 'pre' or 'post' only"),
        ({"version": 2}, "front end: version is 2"),
        ({"f_min": 5000, "f_max": 4000}, "front end: f_min 5000 and f_max 4000 must rise"),
        ({"sequence_length": 0}, "front end: sequence_length is 0, expected 1 to 2000"),
    ],
)
def test_invalid_front_ends(tmp_path: Path, content: str | bytes | object, message: str) -> None:
    path = write(tmp_path, content)
    with refused(re.escape(f"{path}: {message}")):
        read_front_end(path, picture_height=64)


def test_a_front_end_that_cannot_be_read(tmp_path: Path) -> None:
    with refused(r".*cannot be read \(Is a directory\); give --front-end a JSON object"):
        read_front_end(tmp_path)


def test_the_error_about_a_derived_value_names_its_source(tmp_path: Path) -> None:
    with refused(
        r".*picture_height is 1024, .*from the network or the tokenizer, because the file does not state picture_height"
    ):
        read_front_end(write(tmp_path, {}), picture_height=1024)


@given(st.dictionaries(st.sampled_from([*FrontEnd.stored_names(), "other"]), json_values, max_size=3))
def test_any_other_front_end_is_read_or_refused_in_one_line(table: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            read_front_end(write(Path(folder), table))
        except ConversionError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017  # it need not be refused


def test_without_options_the_companions_of_the_model_are_used() -> None:
    assert complete_companions("X.h5", STORED, UserCompanions(), **NETWORK) == STORED


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        (
            [],
            "X.h5: carries no labels, no vocabulary and no front end, so its predictions would have no meaning",
            "give --labels a,b,c --vocabulary FILE --front-end FILE (a JSON object; {} means the tutorial's settings)",
        ),
        (
            ["front_end"],
            "X.h5: carries no labels and no vocabulary, so its predictions would have no meaning",
            "give --labels a,b,c --vocabulary FILE",
        ),
        (
            ["labels", "front_end"],
            "X.h5: carries no vocabulary, so its predictions would have no meaning",
            "give --vocabulary FILE",
        ),
    ],
)
def test_all_that_is_missing_is_named_at_once(options: list[str], message: str, fix: str) -> None:
    everything: dict[str, Any] = {"labels": "no,yes", "vocabulary": Path("words"), "front_end": Path("front_end")}
    with refused(f"{re.escape(f'{message}; {fix}')}$"):
        complete_companions("X.h5", None, UserCompanions(**{name: everything[name] for name in options}), **NETWORK)


@pytest.mark.parametrize("oov_token", [None, "<OOV>"])
@pytest.mark.parametrize("num_words", [None, 4])
@pytest.mark.parametrize("padding", ["pre", "post"])
def test_a_third_party_tokenizer_gives_the_same_ids_as_in_keras(
    tmp_path: Path, oov_token: str | None, num_words: int | None, padding: str
) -> None:
    keras = tokenizer(oov_token=oov_token, num_words=num_words)
    options = UserCompanions(
        "no,yes", write(tmp_path, keras.to_json(), "t.json"), write(tmp_path, {"padding": padding}, "f.json")
    )
    companions = complete_companions("X.h5", None, options, **NETWORK)
    front_end = companions.front_end
    assert (front_end.image_height, front_end.image_width, front_end.sequence_length) == (48, 96, 7)
    text = "well the happy zebra isn't the known dog today"
    golden = tf_keras.preprocessing.sequence.pad_sequences(keras.texts_to_sequences([text]), 7, padding=padding)[0]
    np.testing.assert_array_equal(Tokens(companions.vocabulary, front_end).ids(text), golden)


@pytest.mark.parametrize(("settings", "known"), [({}, 6001), ({"num_words": 5000}, 5000)])
def test_a_list_of_words_is_complete_unless_the_front_end_limits_it(
    settings: dict[str, int], known: int, tmp_path: Path
) -> None:
    words = write(tmp_path, "\n".join(f"w{number}" for number in range(6000)), "words.txt")
    options = UserCompanions("no,yes", words, write(tmp_path, settings, "f.json"))
    assert complete_companions("X.h5", None, options, **NETWORK).front_end.num_words == known


def test_options_take_precedence_over_the_companions_of_the_model(tmp_path: Path) -> None:
    def completed(**options: Any) -> Companions:
        return complete_companions("X.h5", STORED, UserCompanions(**options), **NETWORK)

    assert completed(labels="a,b,c") == replace(STORED, labels=("a", "b", "c"))

    keras = write(tmp_path, tokenizer(oov_token=TOKEN, num_words=4).to_json(), "t.json")
    front_end = replace(STORED.front_end, num_words=4, out_of_vocabulary="first")
    assert completed(vocabulary=keras) == replace(STORED, vocabulary=("<OOV>", *WORDS), front_end=front_end)
    unlimited = write(tmp_path, tokenizer().to_json(), "t.json")
    assert completed(vocabulary=unlimited).front_end == replace(STORED.front_end, num_words=len(WORDS) + 1)
    # A plain list of words does not state the two parameters, so the front end keeps its own.
    assert completed(vocabulary=write(tmp_path, "a\nb\nc")) == replace(STORED, vocabulary=("a", "b", "c"))

    ours = write(tmp_path, {"n_mels": 64}, "f.json")
    assert completed(front_end=ours) == replace(
        STORED,
        front_end=FrontEnd(n_mels=64, num_words=3, image_height=48, image_width=96, sequence_length=7),
    )


def test_errors_of_companions_name_the_option(tmp_path: Path) -> None:
    many = ",".join(f"l{number}" for number in range(101))
    with refused("--labels: 101 found, expected 2 to 100"):
        complete_companions("X.h5", STORED, UserCompanions(many), **NETWORK)
    words = write(tmp_path, "\n".join(f"{number:x}" for number in range(500_001)), "words.txt")
    with refused("--vocabulary: 500001 found, expected 1 to 500000"):
        complete_companions("X.h5", STORED, UserCompanions(vocabulary=words), **NETWORK)
    keras = write(tmp_path, edited(num_words=10**7), "t.json")
    with refused("--vocabulary: num_words is 10000000, expected 2 to 1000000"):
        complete_companions("X.h5", STORED, UserCompanions(vocabulary=keras), **NETWORK)
