from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import RecordingError
from device.recorder.names import class_names, read_sentences, speaker_name


def test_names_are_taken_without_the_spaces_around_them() -> None:
    assert class_names(" happy, very calm ,wütend") == ("happy", "very calm", "wütend")
    assert speaker_name(" Ann ") == "Ann"


@pytest.mark.parametrize(
    "given",
    [
        *("", "happy,", "happy,,calm", "a/b,c", "..,b", ".hidden,b", "-x,b", "a\\b,c", "a:b,c", "x\ty,b", "x\ny,b"),
        *("dot.,b", "happy,happy", "Happy,happy", "ä" * 60, "a\udcff,b"),
    ],
)
def test_names_that_are_no_folders_or_labels(given: str) -> None:
    with pytest.raises(RecordingError) as refused:
        class_names(given)
    assert "\n" not in str(refused.value)


@given(st.text(st.characters(exclude_characters=","), max_size=130))
def test_whatever_is_taken_can_be_made_a_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "names"
    try:
        [taken] = class_names(name)
    except RecordingError:
        return
    (folder / taken).mkdir(parents=True, exist_ok=True)
    assert taken in {each.name for each in folder.iterdir()}
    assert len(taken.splitlines()) == 1


def test_sentences_one_per_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffWhere have you been?\r\n\r\n  I told\tyou, no. \n".encode())
    assert read_sentences(path) == ["Where have you been?", "I told you, no."]


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b"\n \n", "no sentence"), (b"a\0b", "is no text")],
)
def test_a_prompts_file_that_is_none(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError, match=told):
        read_sentences(path)


def test_a_speaker_of_two_lines() -> None:
    with pytest.raises(RecordingError, match="plain name"):
        speaker_name("Ann\nBob")
