"""Evaluations of a model that predicts by a rule, so that every metric is known beforehand."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console

from device.errors import TrainingError
from tests.full_disk import full_disk
from tests.training.conftest import printed
from tests.training.evaluation.rule_predictor import RulePredictor, evaluated
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY, TEXT_ONLY
from training.evaluation.plots import examples_to_plot
from training.evaluation.report.files import write_report
from training.evaluation.report.findings import as_json
from training.evaluation.report.terminal import print_tables
from training.evaluation.text_conditions import DRAWS

FILES = ("report.md", "report.html", "predictions.csv", "evaluation.json")
WriteTable = Callable[[Sequence[Sequence[str]]], Path]


@pytest.fixture(autouse=True)
def _predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.evaluator.open_predictor", lambda _path, **_: RulePredictor())


def test_every_metric(corpus: Path, console: Console) -> None:
    # 8 validation rows, alternating positive and negative; 4 and 5 have no audio, 6 and 7 no text; the words of the
    # negative rows are unknown to the model. So of the positive rows 0, 2, 4 are correct and 6 is wrong; the negative
    # are all correct.
    found = evaluated(corpus, console)
    assert {name: result.scores.rows for name, result in found.results.items()} == {
        AUDIO_AND_TEXT: 8,
        TEXT_ONLY: 3,
        AUDIO_ONLY: 6,
    }
    assert found.results[AUDIO_AND_TEXT].scores.confusion.tolist() == [[4, 0], [1, 3]]
    assert found.results[TEXT_ONLY].scores.accuracy == 1
    assert found.results[AUDIO_ONLY].scores.confusion.tolist() == [[3, 0], [3, 0]]
    table = json.loads(json.dumps(as_json(found, "edge-mcnn evaluate")))
    both = table["results"][AUDIO_AND_TEXT]
    assert both["accuracy"]["value"] == 0.875
    assert both["accuracy"]["low"] <= 0.875 <= both["accuracy"]["high"]
    assert both["calibration_error"]["value"] == pytest.approx(0.075)
    assert both["classes"]["positive"]["precision"]["value"] == 1
    assert both["classes"]["positive"]["recall"]["value"] == 0.75
    assert both["classes"]["positive"]["support"] == 4
    assert table["interval"]["bootstrap_over"] == "row"
    print_tables(found, console)
    output = printed(console)
    for expected in ("0.875", "by class, audio only", "confusion, text only", "bootstrap over rows"):
        assert expected in output


def test_report_shows_all_its_plots(corpus: Path, console: Console, tmp_path: Path) -> None:
    found = evaluated(corpus, console)
    report = write_report(found, tmp_path / "new" / "report", "edge-mcnn evaluate 'my model.h5'")
    text = report.read_text(encoding="utf-8")
    names = ["confusion.png", "reliability.png", "spectrograms.png", "training.png"]
    for name in names:
        assert f"]({name})" in text
        with Image.open(report.parent / name) as plot:
            assert plot.width > 500
            assert len(plot.convert("RGB").getcolors(1 << 24) or []) > 100  # it is not blank
    assert "edge-mcnn evaluate 'my model.h5'" in text
    assert "0.875 (" in text
    assert sorted(path.name for path in report.parent.iterdir()) == sorted([*names, *FILES])
    # A second report without audio: the plot of the first one is removed.
    text_only = evaluated(corpus, console, modalities=(TEXT_ONLY,))
    assert "spectrograms" not in write_report(text_only, report.parent, "again").read_text(encoding="utf-8")
    assert not (report.parent / "spectrograms.png").exists()


def test_plotted_examples_are_correct_and_wrong(corpus: Path, console: Console) -> None:
    found = evaluated(corpus, console)
    name, places = examples_to_plot(found, limit=4)
    result = found.results[name]
    correct = [result.probabilities[p].argmax() == found.examples.labels[result.rows[p]] for p in places]
    assert correct == [True, True, True, False]  # only one is wrong; the correct ones fill the rest and come first
    assert len({int(found.examples.index[result.rows[p]]) for p in places}) == 4
    assert examples_to_plot(found, limit=4) == (name, places)


def test_intervals_over_speakers(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "speakers.csv"
    rows = [("", "great day", "positive", "test", name) for name in "abc"]
    rows += [("", "day", "positive", "test", "d")] * 9
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("audio", "text", "label", "split", "speaker"), *rows])
    found = evaluated(table, console, split="test")
    assert found.results[TEXT_ONLY].groups.by == "speaker"
    metrics = as_json(found, "")["results"][TEXT_ONLY]
    assert metrics["groups"] == 4
    assert metrics["accuracy"]["low"] < 0.05  # the accuracy depends on whether speaker d is drawn
    assert metrics["accuracy"]["high"] == 1
    print_tables(found, console)
    assert "With fewer than 20 speakers they are too narrow" in printed(console)


def test_one_speaker_has_no_interval(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "speakers.csv"
    table.write_text("audio,text,label,split,dialogue\n,great,positive,test,1\n,day,negative,test,1\n", "utf-8")
    found = evaluated(table, console, split="test")
    assert list(found.results) == [TEXT_ONLY]  # without any audio, audio + text would be the same
    assert as_json(found, "")["results"][TEXT_ONLY]["accuracy"] == {"value": 1.0}
    assert "No intervals: every row has the same dialogue" in write_report(found, tmp_path / "r", "").read_text()


def test_unreadable_recordings_are_counted(corpus: Path, tmp_path: Path, console: Console) -> None:
    (tmp_path / "validation0.wav").write_text("broken")
    found = evaluated(corpus, console)
    assert (found.skipped_clips, found.results[AUDIO_AND_TEXT].scores.rows) == (1, 7)
    print_tables(found, console)
    assert "1 clips, of 1 recordings that cannot be read" in printed(console)
    # With text only, no recording is opened.
    assert evaluated(corpus, console, modalities=(TEXT_ONLY,)).skipped_clips == 0


def test_what_cannot_be_evaluated(tmp_path: Path, write_table: WriteTable, console: Console) -> None:
    row = ("", "great", "positive", "validation")
    with pytest.raises(TrainingError, match=r"no clip has split 'test' \(there are 1 validation\)") as error:
        evaluated(write_table([row]), console, split="test")
    assert "--split" in error.value.fix
    with pytest.raises(
        TrainingError, match=r"has no label 'joy' \(2 rows\); its labels are negative, positive"
    ) as error:
        evaluated(write_table([row, *[("", "hi", "joy", "dev")] * 2]), console)
    assert error.value.fix == "rename the labels of the table, or evaluate a model that was trained with them"
    with pytest.raises(TrainingError, match="'Positive'") as error:
        evaluated(write_table([row, ("", "great", "Positive", "dev")]), console)
    assert error.value.fix.startswith("write the labels as the model does, capitals count, or evaluate")
    with pytest.raises(TrainingError, match=r"can be evaluated with audio [+] text or text only or audio only"):
        evaluated(write_table([("", "hello", "positive", "dev")]), console)
    with pytest.raises(TrainingError, match="can be evaluated with audio only: none has a recording"):
        evaluated(write_table([row]), console, modalities=(AUDIO_ONLY,))
    with pytest.raises(TrainingError, match="can be evaluated with text only"):
        evaluated(write_table([("", "hello", "positive", "dev")]), console, modalities=(TEXT_ONLY,))
    (tmp_path / "broken.wav").write_text("broken")
    audio = ("broken.wav", "", "positive", "dev")
    with pytest.raises(TrainingError, match="none of the 1 recordings is readable"):
        evaluated(write_table([row, audio]), console)
    with pytest.raises(TrainingError, match="can be evaluated with text only"):
        evaluated(write_table([audio]), console, modalities=(TEXT_ONLY,))


def test_report_that_cannot_be_written(corpus: Path, tmp_path: Path, console: Console) -> None:
    found = evaluated(corpus, console)
    with pytest.raises(TrainingError, match=r"table\.csv: nothing can be written there"):
        write_report(found, corpus, "")

    report = write_report(found, tmp_path / "r", "")
    before = {path.name: path.read_bytes() for path in report.parent.iterdir()}
    with full_disk(1000), pytest.raises(TrainingError, match=r"cannot be written \(File too large\)") as error:
        write_report(found, tmp_path / "r", "another command")
    assert error.value.fix == "free some space or choose another folder with --output"
    assert {path.name: path.read_bytes() for path in report.parent.iterdir()} == before


@pytest.fixture
def transcribed(tmp_path: Path) -> Path:
    """Rows with audio whose transcript is wrong, right, and empty, and one row with text only."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    soundfile.write(tmp_path / "b.wav", np.full(8000, 0.1), 16_000)
    rows = [
        ("a.wav", "a great day", "positive", "validation", "a grey day"),
        ("b.wav", "a bad day", "negative", "validation", "a bad day"),
        ("b.wav", "no great day", "negative", "validation", ""),
        ("", "great", "positive", "validation", ""),
        ("a.wav", "great", "positive", "train", "wrong"),
    ]
    table = tmp_path / "transcripts.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("audio", "text", "label", "split", "text_vosk"), *rows])
    return table


def test_reference_text_and_transcript_side_by_side(transcribed: Path, console: Console) -> None:
    found = evaluated(transcribed, console, text="both")
    reference, transcript = f"{TEXT_ONLY}, reference text", f"{TEXT_ONLY}, Vosk transcript"
    assert list(found.results) == [
        f"{AUDIO_AND_TEXT}, reference text", f"{AUDIO_AND_TEXT}, Vosk transcript", reference, transcript, AUDIO_ONLY,
    ]  # fmt: skip
    # The same rows in both conditions, though one transcript is empty; the last row, without audio, has its own text.
    assert found.results[reference].rows.tolist() == found.results[transcript].rows.tolist() == [0, 1, 2, 3]
    assert found.results[reference].probabilities.argmax(axis=1).tolist() == [1, 0, 1, 1]
    assert found.results[transcript].probabilities.argmax(axis=1).tolist() == [0, 0, 0, 1]
    assert found.word_error_rate == pytest.approx((1 + 0 + 3) / 9)
    table = as_json(found, "")
    assert (table["word_error_rate"], table["text"]) == (0.4444, "both")
    print_tables(found, console)
    assert "Word error rate of the Vosk transcripts: 44.4%" in printed(console)
    assert evaluated(transcribed, console, text="vosk").word_error_rate == found.word_error_rate
    without_audio = evaluated(transcribed, console, text="both", modalities=(TEXT_ONLY,))
    assert list(without_audio.results) == [reference, transcript]
    assert evaluated(transcribed, console, text="vosk", modalities=(AUDIO_ONLY,)).word_error_rate is None


def test_unused_inputs_need_not_exist(transcribed: Path, console: Console) -> None:
    (transcribed.parent / "a.wav").unlink()
    (transcribed.parent / "b.wav").write_text("never opened")
    assert evaluated(transcribed, console, modalities=(TEXT_ONLY,)).results[TEXT_ONLY].scores.rows == 4
    soundfile.write(transcribed.parent / "c.wav", np.zeros(8000), 16_000)
    transcribed.write_text("audio,label,split\nc.wav,positive,dev\n")
    assert evaluated(transcribed, console, modalities=(AUDIO_ONLY,)).results[AUDIO_ONLY].scores.rows == 1


def test_simulated_word_errors(corpus: Path, console: Console) -> None:
    found = evaluated(corpus, console, word_errors=0.5)
    corrupted = found.results[f"{TEXT_ONLY}, 50% word errors"]
    assert corrupted.scores.rows == DRAWS * found.results[TEXT_ONLY].scores.rows
    assert 0 < corrupted.scores.accuracy < 1  # `great` is sometimes deleted, and sometimes inserted
    assert len(corrupted.groups) == len(found.results[TEXT_ONLY].groups)
    again = evaluated(corpus, console, word_errors=0.5).results[f"{TEXT_ONLY}, 50% word errors"]
    np.testing.assert_array_equal(again.probabilities, corrupted.probabilities)
    assert as_json(found, "")["simulated_word_errors"] == 0.5
    print_tables(found, console)
    assert "each row counts 5 times" in printed(console)


def test_which_modality_wins(corpus: Path, console: Console) -> None:
    found = evaluated(corpus, console)
    assert found.conflict is not None
    # From audio only it predicts negative, and only positive rows have known words: so the text wins.
    assert found.conflict.shares == {"text": 1, "audio": 0, "neither": 0}
    assert as_json(found, "")["modality_conflict"]["text_wins"] == 1
    print_tables(found, console)
    assert "the text wins in 100%, the audio in 0%, neither in 0%" in printed(console)
    assert evaluated(corpus, console, modalities=(TEXT_ONLY,)).conflict is None


def test_warns_of_splits_made_with_another_seed(
    corpus: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [line.rpartition(",")[0] for line in corpus.read_text("utf-8").splitlines()]
    corpus.write_text("\n".join(rows), encoding="utf-8")
    card = {"seed": 2, "table": corpus.name}
    monkeypatch.setattr(RulePredictor, "companions", replace(RulePredictor.companions, card=card))
    evaluated(corpus, console, modalities=(TEXT_ONLY,), seed=2)
    assert "use --seed 2" not in printed(console)
    evaluated(corpus, console, modalities=(TEXT_ONLY,))
    assert "trained with seed 2, so it may have been trained on rows evaluated here; use --seed 2" in printed(console)


def test_reports_a_class_without_clips(tmp_path: Path, write_table: WriteTable, console: Console) -> None:
    found = evaluated(write_table([("", "great", "positive", "dev")]), console)
    assert as_json(found, "")["labels_without_clips"] == ["negative"]
    assert "No evaluated row is truly negative" in write_report(found, tmp_path / "r", "").read_text("utf-8")
