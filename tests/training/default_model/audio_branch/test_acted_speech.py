from pathlib import Path

import pytest

from device.errors import TrainingError
from training.default_model.audio_branch.acted_speech import EMO_DB, NEMO, RAVDESS, ActedRecording, read_acted_speech


def write(folder: Path, *rows: str, columns: str = "file,speaker,emotion") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join([columns, *rows]), encoding="utf-8")
    return folder


def test_actors_have_the_numbers_in_their_names_and_other_speakers_those_of_their_order(tmp_path: Path) -> None:
    table = write(tmp_path, "a.flac,actor20,happy", "b.flac,actor03,surprised", "c.flac,actor07,neutral")
    assert read_acted_speech(table, RAVDESS) == [
        ActedRecording("flac/a.flac", 20, "happy"),
        ActedRecording("flac/b.flac", 3, "surprised"),
        ActedRecording("flac/c.flac", 7, "neutral"),
    ]
    assert [each.speaker for each in read_acted_speech(table, NEMO)] == [3, 1, 2]


@pytest.mark.parametrize(
    ("corpus", "row", "message"),
    [
        (RAVDESS, "a.flac,Joey,neutral", r"the speaker of a\.flac is 'Joey', expected actor01 and so on"),
        (RAVDESS, "a.flac,actor\u0663,neutral", "expected actor01 and so on"),
        (NEMO, "a.flac,,neutral", r"a\.flac has no speaker"),
        (NEMO, "a.flac,Joey", "expected rows with the columns file, speaker, emotion"),
        (NEMO, "a.flac,Joey,disgust", r"the emotion of a\.flac is 'disgust', expected one of neutral, happy, sad, "),
        (EMO_DB, "a.flac,Joey,Happy", r"the emotion of a\.flac is 'Happy', expected one of neutral, happy, sad, "),
    ],
)
def test_unexpected_rows(corpus: object, row: str, message: str, tmp_path: Path) -> None:
    table = write(tmp_path, "b.flac,actor01,neutral", row)
    with pytest.raises(TrainingError, match=message) as error:
        read_acted_speech(table, corpus)  # type: ignore[arg-type]  # parametrize has no types
    assert error.value.fix == "use the corpus's own CSV"


def test_other_tables(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"labels\.csv: cannot be read"):
        read_acted_speech(tmp_path, NEMO)
    with pytest.raises(TrainingError, match="expected rows with the columns file, speaker, emotion"):
        read_acted_speech(write(tmp_path, "a,b", columns="file,speaker"), NEMO)
    with pytest.raises(TrainingError, match="expected rows"):
        read_acted_speech(write(tmp_path), NEMO)
