from pathlib import Path

import pytest

from device.errors import TrainingError
from training.default_model.audio_branch.acted_speech import EMO_DB, NEMO, RAVDESS, ActedRecording, read_acted_speech


def write(folder: Path, *rows: str, columns: str = "file,speaker,emotion,sentiment") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join([columns, *rows]), encoding="utf-8")
    return folder


def test_actors_have_the_numbers_in_their_names_and_other_speakers_those_of_their_order(tmp_path: Path) -> None:
    table = write(tmp_path, "a.flac,actor20,x,positive", "b.flac,actor03,x,", "c.flac,actor07,x,neutral")
    assert read_acted_speech(table, RAVDESS) == [
        ActedRecording("flac/a.flac", 20, "positive"),
        ActedRecording("flac/c.flac", 7, "neutral"),
    ]
    for corpus in (NEMO, EMO_DB):  # a speaker without a sentiment is numbered, too
        assert [each.speaker for each in read_acted_speech(table, corpus)] == [3, 2]


@pytest.mark.parametrize(
    ("corpus", "row", "message"),
    [
        (RAVDESS, "a.flac,Joey,x,neutral", r"the speaker of a\.flac is 'Joey', expected actor01 and so on"),
        (RAVDESS, "a.flac,actor\u0663,x,neutral", "expected actor01 and so on"),
        (NEMO, "a.flac,,x,neutral", r"a\.flac has no speaker"),
        (NEMO, "a.flac,Joey", "expected rows with the columns file, speaker, sentiment"),
    ],
)
def test_unexpected_rows(corpus: object, row: str, message: str, tmp_path: Path) -> None:
    table = write(tmp_path, "b.flac,actor01,x,neutral", row)
    with pytest.raises(TrainingError, match=message) as error:
        read_acted_speech(table, corpus)  # type: ignore[arg-type]  # parametrize has no types
    assert error.value.fix == "use the corpus's own CSV"


def test_other_tables(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"labels\.csv: cannot be read"):
        read_acted_speech(tmp_path, NEMO)
    with pytest.raises(TrainingError, match="expected rows with the columns file, speaker, sentiment"):
        read_acted_speech(write(tmp_path, "a,b", columns="file,speaker"), NEMO)
    with pytest.raises(TrainingError, match="expected rows"):
        read_acted_speech(write(tmp_path), NEMO)
