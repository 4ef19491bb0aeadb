"""Evaluations of a model that answers by rule, so that every figure is known beforehand."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from device.bundle import Companions
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from tests.training.conftest import printed
from training.evaluation.evaluator import Evaluation, EvaluationSettings, evaluate_model
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY, TEXT_ONLY
from training.evaluation.plots import examples_to_show
from training.evaluation.report import as_table, show, write_report
from training.evaluation.text_conditions import DRAWS
from training.images.examples import Examples

LABELS = ("negative", "positive")
HISTORY = [
    {"loss": 1.0, "accuracy": 0.4, "validation_loss": 1.1, "validation_weighted_f1": 0.5},
    {"loss": 0.8, "accuracy": 0.6, "validation_loss": 1.0, "validation_weighted_f1": 0.55},
]
WriteTable = Callable[[Sequence[Sequence[str]]], Path]


class Reader:
    """Knows the word `great` (and `day`), says positive when it reads `great`, else negative; sure by 0.8."""

    companions = Companions(LABELS, ("great", "day"), FrontEnd(), {"history": HISTORY})
    kind = "a rule"
    sha256 = "0" * 64

    def steps(self, rows: Examples) -> int:
        return len(rows)

    def probabilities(self, rows: Examples, progress: Callable[[int], None]) -> NDArray[np.float32]:
        progress(len(rows))
        positive = np.where((rows.ids == 1).any(axis=1), 0.8, 0.2)
        answers: NDArray[np.float32] = np.stack([1 - positive, positive], axis=1).astype(np.float32)
        return answers


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.evaluator.open_model", lambda _path, runtime: Reader())


def evaluated(table: Path, console: Console, **settings: object) -> Evaluation:
    return evaluate_model(Path("Model.h5"), table, EvaluationSettings(**settings), console)  # type: ignore[arg-type]  # of several types


def test_every_figure(corpus: Path, console: Console) -> None:
    # 8 validation rows, alternating positive and negative; 4 and 5 have no sound, 6 and 7 no words; the negative rows'
    # words are unknown to it. So of the positive rows 0, 2, 4 are right and 6 is wrong; the negative are all right.
    found = evaluated(corpus, console)
    assert {way: answers.scores.rows for way, answers in found.answers.items()} == {
        AUDIO_AND_TEXT: 8,
        TEXT_ONLY: 3,
        AUDIO_ONLY: 6,
    }
    assert found.answers[AUDIO_AND_TEXT].scores.confusion.tolist() == [[4, 0], [1, 3]]
    assert found.answers[TEXT_ONLY].scores.accuracy == 1
    assert found.answers[AUDIO_ONLY].scores.confusion.tolist() == [[3, 0], [3, 0]]
    table = json.loads(json.dumps(as_table(found, "edge-mcnn evaluate")))
    both = table["asked"][AUDIO_AND_TEXT]
    assert both["accuracy"]["value"] == 0.875
    assert both["accuracy"]["low"] <= 0.875 <= both["accuracy"]["high"]
    assert both["calibration_error"]["value"] == pytest.approx(0.075)
    assert both["classes"]["positive"]["precision"]["value"] == 1
    assert both["classes"]["positive"]["recall"]["value"] == 0.75
    assert both["classes"]["positive"]["support"] == 4
    assert table["interval"]["bootstrap_over"] == "row"
    show(found, console)
    shown = printed(console)
    for expected in ("0.875", "by class, audio only", "confusion, text only", "bootstrap over rows"):
        assert expected in shown


def test_report_shows_all_its_pictures(corpus: Path, console: Console, tmp_path: Path) -> None:
    found = evaluated(corpus, console)
    report = write_report(found, tmp_path / "new" / "report", "edge-mcnn evaluate 'my model.h5'")
    text = report.read_text(encoding="utf-8")
    names = ["confusion.png", "reliability.png", "spectrograms.png", "training.png"]
    for name in names:
        assert f"]({name})" in text
        with Image.open(report.parent / name) as picture:
            assert picture.width > 500
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 100  # something is drawn
    assert "edge-mcnn evaluate 'my model.h5'" in text
    assert "0.875 (" in text
    assert sorted(path.name for path in report.parent.iterdir()) == sorted([*names, "report.md", "evaluation.json"])
    # A second report, with no sound to show: what the first one drew is gone.
    words = evaluated(corpus, console, asked=(TEXT_ONLY,))
    assert "spectrograms" not in write_report(words, report.parent, "again").read_text(encoding="utf-8")
    assert not (report.parent / "spectrograms.png").exists()


def test_sheet_has_right_and_wrong(corpus: Path, console: Console) -> None:
    found = evaluated(corpus, console)
    way, places = examples_to_show(found, most=4)
    answers = found.answers[way]
    right = [answers.probabilities[p].argmax() == found.examples.labels[answers.rows[p]] for p in places]
    assert right == [True, True, True, False]  # one is wrong, the right ones fill the sheet, and they come first
    assert len({int(found.examples.index[answers.rows[p]]) for p in places}) == 4
    assert examples_to_show(found, most=4) == (way, places)


def test_intervals_over_speakers(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "speakers.csv"
    rows = [("", "great day", "positive", "test", name) for name in "abc"]
    rows += [("", "day", "positive", "test", "d")] * 9
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("audio", "text", "label", "split", "speaker"), *rows])
    found = evaluated(table, console, split="test")
    assert found.answers[TEXT_ONLY].groups.by == "speaker"
    figures = as_table(found, "")["asked"][TEXT_ONLY]
    assert figures["groups"] == 4
    assert figures["accuracy"]["low"] < 0.05  # it all hangs on speaker d
    assert figures["accuracy"]["high"] == 1
    show(found, console)
    assert "With fewer than 20 speakers they are too narrow" in printed(console)


def test_one_speaker_has_no_interval(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "speakers.csv"
    table.write_text("audio,text,label,split,dialogue\n,great,positive,test,1\n,day,negative,test,1\n", "utf-8")
    found = evaluated(table, console, split="test")
    assert list(found.answers) == [TEXT_ONLY]  # there is no sound that "both" could mean
    assert as_table(found, "")["asked"][TEXT_ONLY]["accuracy"] == {"value": 1.0}
    assert "No intervals: every row is of the same dialogue" in write_report(found, tmp_path / "r", "").read_text()


def test_unreadable_recordings_are_counted(corpus: Path, tmp_path: Path, console: Console) -> None:
    (tmp_path / "validation0.wav").write_text("broken")
    found = evaluated(corpus, console)
    assert (found.left_out, found.answers[AUDIO_AND_TEXT].scores.rows) == (1, 7)
    show(found, console)
    assert "1 clips, of 1 recordings that cannot be read" in printed(console)
    # By text only no recording is opened.
    assert evaluated(corpus, console, asked=(TEXT_ONLY,)).left_out == 0


def test_what_cannot_be_evaluated(tmp_path: Path, write_table: WriteTable, console: Console) -> None:
    row = ("", "great", "positive", "validation")
    with pytest.raises(TrainingError, match=r"no clip has split 'test' \(there are 1 validation\); .*--split"):
        evaluated(write_table([row]), console, split="test")
    with pytest.raises(TrainingError, match=r"does not know the label 'joy' \(2 rows\); it knows negative, positive"):
        evaluated(write_table([row, *[("", "hi", "joy", "dev")] * 2]), console)
    with pytest.raises(TrainingError, match=r"'Positive' .*Write them as the model does, capitals count"):
        evaluated(write_table([row, ("", "great", "Positive", "dev")]), console)
    with pytest.raises(TrainingError, match=r"can be asked by audio [+] text or text only or audio only"):
        evaluated(write_table([("", "hello", "positive", "dev")]), console)
    with pytest.raises(TrainingError, match="can be asked by audio only; none has a recording"):
        evaluated(write_table([row]), console, asked=(AUDIO_ONLY,))
    with pytest.raises(TrainingError, match="can be asked by text only"):
        evaluated(write_table([("", "hello", "positive", "dev")]), console, asked=(TEXT_ONLY,))
    (tmp_path / "broken.wav").write_text("broken")
    sound = ("broken.wav", "", "positive", "dev")
    with pytest.raises(TrainingError, match="none of the 1 recordings can be read"):
        evaluated(write_table([row, sound]), console)
    with pytest.raises(TrainingError, match="can be asked by text only"):
        evaluated(write_table([sound]), console, asked=(TEXT_ONLY,))


def test_report_that_cannot_be_written(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluated(corpus, console)
    with pytest.raises(TrainingError, match=r"table\.csv: nothing can be written there"):
        write_report(found, corpus, "")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.evaluation.plots.draw_all", full)
    with pytest.raises(TrainingError, match=r"cannot be written \(No space left on device\)"):
        write_report(found, tmp_path / "r", "")
    assert not (tmp_path / "r" / "report.md").exists()


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """Rows with sound whose words Vosk got wrong, got right, did not get, and one that is only written."""
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


def test_as_written_and_as_heard_side_by_side(heard: Path, console: Console) -> None:
    found = evaluated(heard, console, text="both")
    written, as_heard = f"{TEXT_ONLY}, as written", f"{TEXT_ONLY}, as heard"
    assert list(found.answers) == [
        f"{AUDIO_AND_TEXT}, as written", f"{AUDIO_AND_TEXT}, as heard", written, as_heard, AUDIO_ONLY,
    ]  # fmt: skip
    # The same rows by either words, though of one nothing was heard; the last is asked by what is written.
    assert found.answers[written].rows.tolist() == found.answers[as_heard].rows.tolist() == [0, 1, 2, 3]
    assert found.answers[written].probabilities.argmax(axis=1).tolist() == [1, 0, 1, 1]
    assert found.answers[as_heard].probabilities.argmax(axis=1).tolist() == [0, 0, 0, 1]
    assert found.word_error_rate == pytest.approx((1 + 0 + 3) / 9)
    table = as_table(found, "")
    assert (table["word_error_rate"], table["text"]) == (0.4444, "both")
    show(found, console)
    assert "Word error rate of what Vosk heard: 44.4%" in printed(console)
    assert evaluated(heard, console, text="vosk").word_error_rate == found.word_error_rate
    alone = evaluated(heard, console, text="both", asked=(TEXT_ONLY,))
    assert list(alone.answers) == [written, as_heard]
    assert evaluated(heard, console, text="vosk", asked=(AUDIO_ONLY,)).word_error_rate is None


def test_what_is_not_asked_by_need_not_be_there(heard: Path, console: Console) -> None:
    (heard.parent / "a.wav").unlink()
    (heard.parent / "b.wav").write_text("never opened")
    assert evaluated(heard, console, asked=(TEXT_ONLY,)).answers[TEXT_ONLY].scores.rows == 4
    soundfile.write(heard.parent / "c.wav", np.zeros(8000), 16_000)
    heard.write_text("audio,label,split\nc.wav,positive,dev\n")
    assert evaluated(heard, console, asked=(AUDIO_ONLY,)).answers[AUDIO_ONLY].scores.rows == 1


def test_simulated_word_errors(corpus: Path, console: Console) -> None:
    found = evaluated(corpus, console, word_errors=0.5)
    garbled = found.answers[f"{TEXT_ONLY}, 50% word errors"]
    assert garbled.scores.rows == DRAWS * found.answers[TEXT_ONLY].scores.rows
    assert 0 < garbled.scores.accuracy < 1  # `great` is lost now and then, and found where nobody said it
    assert len(garbled.groups) == len(found.answers[TEXT_ONLY].groups)
    again = evaluated(corpus, console, word_errors=0.5).answers[f"{TEXT_ONLY}, 50% word errors"]
    np.testing.assert_array_equal(again.probabilities, garbled.probabilities)
    assert as_table(found, "")["word_errors_simulated"] == 0.5
    show(found, console)
    assert "each row counts 5 times" in printed(console)


def test_whom_it_follows(corpus: Path, console: Console) -> None:
    found = evaluated(corpus, console)
    assert found.contradiction is not None
    # Without words it says negative; text only are known of the positive rows: it follows what it reads.
    assert found.contradiction.shares == {"words": 1, "sound": 0, "neither": 0}
    assert as_table(found, "")["contradiction"]["follows_words"] == 1
    show(found, console)
    assert "the joint answer follows the words in 100%, the sound in 0%" in printed(console)
    assert evaluated(corpus, console, asked=(TEXT_ONLY,)).contradiction is None


def test_splits_made_with_another_seed_are_told(
    corpus: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [line.rpartition(",")[0] for line in corpus.read_text("utf-8").splitlines()]
    corpus.write_text("\n".join(rows), encoding="utf-8")
    card = {"seed": 2, "table": corpus.name}
    monkeypatch.setattr(Reader, "companions", replace(Reader.companions, card=card))
    evaluated(corpus, console, asked=(TEXT_ONLY,), seed=2)
    assert "take --seed 2" not in printed(console)
    evaluated(corpus, console, asked=(TEXT_ONLY,))
    assert "trained with seed 2, so that it may have learnt from rows asked here; take --seed 2" in printed(console)


def test_a_class_without_clips_is_told(tmp_path: Path, write_table: WriteTable, console: Console) -> None:
    found = evaluated(write_table([("", "great", "positive", "dev")]), console)
    assert as_table(found, "")["labels_without_clips"] == ["negative"]
    assert "No row asked is truly negative" in write_report(found, tmp_path / "r", "").read_text("utf-8")
