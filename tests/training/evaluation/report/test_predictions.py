"""`predictions.csv`: one row per clip, which reads back as a table of clips."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from rich.console import Console

from tests.training.conftest import WriteTable
from tests.training.evaluation.rule_predictor import LABELS, RulePredictor, evaluated
from training.data.clip_table import read_clip_table
from training.data.clips import Clip
from training.data.corpus import Corpus
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import AUDIO_ONLY, TEXT_ONLY
from training.evaluation.report.files import write_report
from training.evaluation.report.predictions import as_csv, predictions_of, worst_errors
from training.images.examples import Examples


def rows_of(found: Evaluation, folder: Path) -> list[dict[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    return list(csv.DictReader(as_csv(predictions_of(found), found.labels, folder).splitlines()))


def test_a_row_for_each_clip(corpus: Path, console: Console, tmp_path: Path) -> None:
    rows = rows_of(evaluated(corpus, console), tmp_path / "deep" / "report")
    assert list(rows[0]) == [
        "audio", "text", "label", "split", "speaker", "dialogue", "id",
        "prediction", "probability", "probability_negative", "probability_positive",
        "audio_only", "audio_only_probability", "text_only", "text_only_probability",
    ]  # fmt: skip
    assert len(rows) == 8
    assert rows[0] == {
        "audio": "../../validation0.wav", "text": "what a great day 0", "label": "positive", "split": "validation",
        "speaker": "", "dialogue": "", "id": "",
        "prediction": "positive", "probability": "0.8000",
        "probability_negative": "0.2000", "probability_positive": "0.8000",
        "audio_only": "negative", "audio_only_probability": "0.8000",
        "text_only": "positive", "text_only_probability": "0.8000",
    }  # fmt: skip
    without_audio, without_text = rows[4], rows[6]
    assert (without_audio["audio"], without_audio["audio_only"], without_audio["text_only"]) == ("", "", "positive")
    assert (without_text["text"], without_text["text_only"], without_text["prediction"]) == ("", "", "negative")
    assert rows[1]["text_only"] == ""  # the model knows no word of it


def test_it_reads_back_as_a_table_of_clips(corpus: Path, console: Console, tmp_path: Path) -> None:
    found = evaluated(corpus, console)
    folder = write_report(found, tmp_path / "report", "").parent
    clips = read_clip_table(folder / "predictions.csv").clips
    expected = [each for each in read_clip_table(corpus).clips if each.split == "validation"]
    assert [clip.audio and clip.audio.resolve() for clip in clips] == [clip.audio for clip in expected]
    assert [(clip.text, clip.label, clip.split) for clip in clips] == [(e.text, e.label, e.split) for e in expected]
    again = evaluated(folder / "predictions.csv", console)
    assert again.results["audio + text"].scores.confusion.tolist() == [[4, 0], [1, 3]]


def test_a_recording_with_several_texts_has_its_audio_prediction_in_each_row(
    tmp_path: Path, write_table: WriteTable, console: Console
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    texts = ("great", "day", "great day")
    found = evaluated(write_table([("a.wav", text, "positive", "dev") for text in texts]), console)
    assert found.results[AUDIO_ONLY].scores.rows == 1
    assert [row["audio_only"] for row in rows_of(found, tmp_path)] == ["negative"] * 3


def test_a_single_modality(corpus: Path, console: Console, tmp_path: Path) -> None:
    rows = rows_of(evaluated(corpus, console, modalities=(TEXT_ONLY,)), tmp_path)
    assert [row["prediction"] for row in rows[:3]] == ["positive", "", "positive"]  # row 1 has no known word
    assert {(row["audio"], row["audio_only"]) for row in rows} == {("", "")}
    assert rows[1]["probability"] == rows[1]["probability_positive"] == ""
    rows = rows_of(evaluated(corpus, console, modalities=(AUDIO_ONLY,)), tmp_path)
    assert {(row["text"], row["text_only"], row["prediction"]) for row in rows} == {("", "", "negative")}
    assert len(rows) == 6


def test_transcripts_have_a_column_where_there_are_any(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "transcripts.csv"
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    table.write_text("audio,text,label,split,text_vosk\na.wav,great day,positive,dev,grey day\n", "utf-8")
    (row,) = rows_of(evaluated(table, console, text="both"), tmp_path)
    assert (row["text"], row["text_vosk"], row["prediction"]) == ("great day", "grey day", "positive")
    (row,) = rows_of(evaluated(table, console, text="vosk"), tmp_path)
    assert (row["text"], row["text_vosk"], row["prediction"]) == ("grey day", "grey day", "negative")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(0)", "'=HYPERLINK(0)"),
        (" @SUM(1)", "' @SUM(1)"),
        ("-- great", "'-- great"),
        ("+1 great", "'+1 great"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("-5", "-5"),
        ("+0.5", "+0.5"),
        ("well = great", "well = great"),
        ('a "great", long\nday', 'a "great", long\nday'),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str, tmp_path: Path, console: Console) -> None:
    clips = [Clip(None, text, "positive", "validation", speaker=text), Clip(None, "great", "positive", "validation")]
    found = evaluated(Corpus("clips", tuple(clips)), console, modalities=(TEXT_ONLY,))
    content = as_csv(predictions_of(found), LABELS, tmp_path)
    first = next(csv.DictReader(content.splitlines(keepends=True)))
    assert (first["text"], first["speaker"]) == (cell, cell)


@pytest.mark.parametrize(
    ("name", "cell"),
    [(b"-x.wav", "./-x.wav"), (b"=1.wav", "./=1.wav"), (b"a,\"'.wav", "a,\"'.wav"), (b"caf\xe9.wav", "caf\\xe9.wav")],
)
def test_unusual_names_of_recordings(name: bytes, cell: str, tmp_path: Path, console: Console) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.touch()
    with path.open("wb") as stream:
        soundfile.write(stream, np.zeros(8000), 16_000, format="WAV")
    found = evaluated(Corpus("clips", (Clip(path, "great", "positive", "validation"),)), console)
    table = write_report(found, tmp_path, "").with_name("predictions.csv")
    (row,) = csv.DictReader(table.read_text("utf-8").splitlines())
    assert row["audio"] == cell
    if "\\" not in cell:
        (clip,) = read_clip_table(table).clips
        assert clip.audio is not None
        assert clip.audio.samefile(path)


def test_the_most_confident_errors_come_first(
    write_table: WriteTable, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probabilities(_self: object, rows: Examples, progress: Callable[[int], None]) -> NDArray[np.float32]:
        progress(len(rows))
        return np.array([(share, 1 - share) for share in (0.6, 0.9, 0.7, 0.8)], np.float32)

    monkeypatch.setattr(RulePredictor, "probabilities", probabilities)
    labels = ("positive", "negative", "positive", "positive")
    rows = [("", f"great {name}", label, "dev") for name, label in zip("abcd", labels, strict=True)]
    predictions = predictions_of(evaluated(write_table(rows), console))
    assert [each.clip.text for each in worst_errors(predictions, 5)] == ["great d", "great c", "great a"]
    assert [each.clip.text for each in worst_errors(predictions, 1)] == ["great d"]
