import json
import os
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from hypothesis import given
from hypothesis import strategies as st

from convert.companions.companions import (
    MissingCompanionsError,
    UserCompanions,
    complete_companions,
    read_front_end,
    read_labels,
)
from device.bundle import OTHER_IMAGES, Companions, Transitions
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
        (None, r".*labels\.txt: no such file or folder; give --labels two or more names"),
        (b"", ".*labels.txt: is empty"),
        (b"no\xff\nyes", r".*labels\.txt, line 1: the byte 0xff is not UTF-8 text"),
        (b"no\n\nyes\n", r".*labels\.txt: line 2 of 3 is empty; fill or remove it"),
        (b"happy\n", r".*labels\.txt: .* is one label"),
        (b"no\nyes\nno\n", r".*labels\.txt: 'no' is a duplicate"),
        (b"['no', 'yes']", r".*labels\.txt: line 1, column 2: not valid JSON"),
        (b'{"no": 0, "yes": 2}', "expected a JSON list of names, or an object that gives each name an index from 0"),
        (b'["no", 1]', "expected a JSON list of names"),
        (b"\x80\x04\x95", "a pickle can carry code; write the names into a text file"),
        (b"\x93NUMPY\x01", "a file of numpy, expected text"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 1\n", "holds a pointer of Git LFS .*git lfs pull"),
    ],
)
def test_invalid_labels_file(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    with refused(message if message.startswith(".*") else f".*{message}"):
        read_labels(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "label 1 of 1 is empty"),
        ("no,,yes", "label 2 of 3 is empty"),
        ("no,yes,", "label 3 of 3 is empty"),
        ("happy", "'happy' is one label, and no file has this name; give --labels two or more"),
        ("no,yes,no", "'no' is a duplicate"),
        ("no,y\nes", r"'y\\nes' contains characters that cannot be displayed"),
        ("no," + "y" * 101, "is longer than 100 bytes"),
        ("no,\udcff", "cannot be displayed"),
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
        complete_companions(Path("Model.h5"), stored, UserCompanions(), **NETWORK)
    user = UserCompanions(front_end=write(tmp_path, {"hop_length": 128}))
    completed = complete_companions(Path("Model.h5"), stored, user, **NETWORK)
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
        ("[]", "not a JSON object; give --front-end tutorial, or a file with a JSON object"),
        ("null", "not a JSON object"),
        ('{\n"hop_length": }', "line 2, column 15: not valid JSON"),
        ("{'hop_length': 256}", "line 1, column 2: not valid JSON"),
        (b"\xff", ", line 1: the byte 0xff is not UTF-8 text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "holds a pointer of Git LFS instead of its content"),
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
    with refused(re.escape(f"{path}: {message}" if message[0] != "," else f"{path}{message}")):
        read_front_end(path, picture_height=64)


def test_a_front_end_that_cannot_be_read(tmp_path: Path) -> None:
    with refused(r".*: is a folder, not a file; give --front-end tutorial"):
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
    assert complete_companions(Path("X.h5"), STORED, UserCompanions(), **NETWORK) == STORED


def test_transitions_stay_when_classes_get_other_names() -> None:
    transitions = Transitions(((0.75, 0.25), (0.5, 0.5)), (0.5, 0.5))
    stored = replace(STORED, transitions=transitions)
    assert complete_companions(Path("X.h5"), stored, UserCompanions(), **NETWORK) == stored
    assert complete_companions(Path("X.h5"), stored, UserCompanions("a,b"), **NETWORK).transitions == transitions
    assert complete_companions(Path("X.h5"), stored, UserCompanions("a,b,c"), **NETWORK).transitions is None


LABELS_NOTE = "labels.txt: one label per line, in the order of the softmax"
VOCABULARY_NOTE = "tokenizer.json: what tokenizer.to_json() returns, or one word per line"
TUTORIAL_NOTE = "tutorial: spectrogram images and word ids as in the tutorial, else a file, see docs/convert.md"


@pytest.mark.parametrize(
    ("options", "missing", "command", "notes"),
    [
        (
            [],
            "no labels, no vocabulary and no front end",
            "'My Model.h5' --labels labels.txt --vocabulary tokenizer.json --front-end tutorial",
            [LABELS_NOTE, VOCABULARY_NOTE, TUTORIAL_NOTE],
        ),
        (
            ["front_end"],
            "no labels and no vocabulary",
            "'My Model.h5' --front-end 'f e.json' --labels labels.txt --vocabulary tokenizer.json",
            [LABELS_NOTE, VOCABULARY_NOTE],
        ),
        (
            ["labels", "front_end"],
            "no vocabulary",
            "'My Model.h5' --labels 'no, yes' --front-end 'f e.json' --vocabulary tokenizer.json",
            [VOCABULARY_NOTE],
        ),
        (
            ["labels", "vocabulary"],
            "no front end",
            "'My Model.h5' --labels 'no, yes' --vocabulary words.txt --front-end tutorial",
            [TUTORIAL_NOTE],
        ),
    ],
)
def test_all_that_is_missing_is_named_at_once(options: list[str], missing: str, command: str, notes: list[str]) -> None:
    everything: dict[str, Any] = {
        "labels": "no, yes",
        "vocabulary": Path("words.txt"),
        "front_end": Path("f e.json"),
    }
    supplied = UserCompanions(**{name: everything[name] for name in options})
    with pytest.raises(MissingCompanionsError) as caught:
        complete_companions(Path("My Model.h5"), None, supplied, **NETWORK)
    assert caught.value.message == f"My Model.h5: carries {missing}, so its predictions would have no meaning"
    assert caught.value.fix == f"run: edge-mcnn convert {command} ({'; '.join(notes)})"


def test_files_beside_the_model_are_suggested(tmp_path: Path) -> None:
    write(tmp_path, "a\nb", "classes.txt")
    write(tmp_path, "the", "vocab.txt")
    with pytest.raises(MissingCompanionsError) as caught:
        complete_companions(tmp_path / "Model.h5", None, UserCompanions(), **NETWORK)
    assert f"--labels {tmp_path}/classes.txt --vocabulary {tmp_path}/vocab.txt --front-end tutorial" in caught.value.fix


def test_the_command_can_be_pasted_whatever_the_name(tmp_path: Path) -> None:
    name = "caf\udce9 \x1b'.h5"
    with pytest.raises(MissingCompanionsError) as caught:
        complete_companions(tmp_path / name, None, UserCompanions(), **NETWORK)
    command = caught.value.fix.removeprefix("run: edge-mcnn convert ").split(" --labels")[0]
    pasted = subprocess.run(["bash", "-c", f"printf %s {command}"], capture_output=True, check=True).stdout
    assert os.fsdecode(pasted) == str(tmp_path / name)
    assert caught.value.message.isprintable()


def test_the_tutorials_front_end(tmp_path: Path) -> None:
    words = write(tmp_path, "\n".join(f"w{number}" for number in range(6000)), "words.txt")
    found = complete_companions(Path("X.h5"), None, UserCompanions("no,yes", words, "tutorial"), **NETWORK).front_end
    assert found == FrontEnd(image_height=48, image_width=96, sequence_length=7, num_words=5000)
    keras = write(tmp_path, tokenizer(oov_token=TOKEN, num_words=4).to_json(), "t.json")
    found = complete_companions(Path("X.h5"), None, UserCompanions("no,yes", keras, "tutorial"), **NETWORK).front_end
    assert (found.num_words, found.out_of_vocabulary) == (4, "first")


@pytest.mark.parametrize("value", ["./tutorial", Path("tutorial")])
def test_a_file_that_is_named_tutorial(value: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = UserCompanions("no,yes", write(tmp_path, "the"), value)
    with refused("tutorial: no such file or folder; give --front-end tutorial, or a file"):
        complete_companions(Path("X.h5"), None, options, **NETWORK)
    write(tmp_path, {"padding": "post"}, "tutorial")
    assert complete_companions(Path("X.h5"), None, options, **NETWORK).front_end.padding == "post"


def test_the_tutorials_front_end_does_not_fit() -> None:
    with refused("--front-end tutorial: front end: picture_height is 1024, .*; set picture_height to a whole"):
        read_front_end(None, picture_height=1024)


@pytest.mark.parametrize(
    "content", [["no", "yes"], {"yes": 1, "no": 0}, {"1": "yes", "0": "no"}, '\ufeff["no",\n"yes"]\n']
)
def test_labels_in_json(content: object, tmp_path: Path) -> None:
    assert read_labels(write(tmp_path, content, "labels.json")) == ("no", "yes")


@pytest.mark.parametrize("name", ["n_fft", "hop_length", "n_mels", "f_min", "db_floor", "trim_db", "sequence_length"])
@pytest.mark.parametrize("value", [-1, 10**9, "3", True])
def test_numbers_of_the_front_end_have_a_fix(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        read_front_end(write(tmp_path, {name: value}))
    assert caught.value.fix.startswith(f"set {name} to ")


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
    companions = complete_companions(Path("X.h5"), None, options, **NETWORK)
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
    assert complete_companions(Path("X.h5"), None, options, **NETWORK).front_end.num_words == known


def test_options_take_precedence_over_the_companions_of_the_model(tmp_path: Path) -> None:
    def completed(**options: Any) -> Companions:
        return complete_companions(Path("X.h5"), STORED, UserCompanions(**options), **NETWORK)

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
        complete_companions(Path("X.h5"), STORED, UserCompanions(many), **NETWORK)
    words = write(tmp_path, "\n".join(f"{number:x}" for number in range(500_001)), "words.txt")
    with refused("--vocabulary: 500001 found, expected 1 to 500000"):
        complete_companions(Path("X.h5"), STORED, UserCompanions(vocabulary=words), **NETWORK)
    keras = write(tmp_path, edited(num_words=10**7), "t.json")
    with refused("--vocabulary: num_words is 10000000, expected 2 to 1000000"):
        complete_companions(Path("X.h5"), STORED, UserCompanions(vocabulary=keras), **NETWORK)
