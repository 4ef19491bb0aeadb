from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import RecordingError
from device.recorder.names import class_names, read_sentences, speaker_name


def test_spaces_around_names_are_removed() -> None:
    assert class_names(" happy, very calm ,wütend") == ("happy", "very calm", "wütend")
    assert speaker_name(" Ann ") == "Ann"


@pytest.mark.parametrize(
    "text",
    [
        *("", "happy,", "happy,,calm", "a/b,c", "..,b", ".hidden,b", "-x,b", "a\\b,c", "a:b,c", "x\ty,b", "x\ny,b"),
        *("dot.,b", "happy,happy", "Happy,happy", "ä" * 60, "a\udcff,b"),
    ],
)
def test_names_that_cannot_be_folders_or_labels(text: str) -> None:
    with pytest.raises(RecordingError) as error:
        class_names(text)
    assert "\n" not in str(error.value)
    assert error.value.fix


@given(st.text(st.characters(exclude_characters=","), max_size=130))
def test_every_accepted_name_can_be_a_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "names"
    try:
        [accepted] = class_names(name)
    except RecordingError:
        return
    (folder / accepted).mkdir(parents=True, exist_ok=True)
    assert accepted in {each.name for each in folder.iterdir()}
    assert len(accepted.splitlines()) == 1


def test_sentences_are_read_one_per_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffWhere have you been?\r\n\r\n  I told\tyou, no. \n".encode())
    assert read_sentences(path) == ["Where have you been?", "I told you, no."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"\xff\xfe", "UTF-16"),
        (b"good\ncaf\xe9\n", "line 2: the byte 0xe9 is not UTF-8"),
        (b"\n \n", "contains no sentence"),
        (b"a\0b", "line 1: a NUL"),
        (b"a \x1b[31mred", r"'a \\x1b\[31mred' is not text"),
    ],
)
def test_unusable_prompts_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError, match=message) as error:
        read_sentences(path)
    assert error.value.fix in ("--prompts needs a text file with a sentence per line", "save the file as UTF-8 text")


def test_a_speaker_of_two_lines_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"'Ann\\nBob' contains characters that cannot be displayed") as error:
        speaker_name("Ann\nBob")
    assert error.value.fix == "use a short name in plain text"
