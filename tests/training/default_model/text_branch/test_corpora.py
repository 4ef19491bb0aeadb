from pathlib import Path

import numpy as np
import pytest

from device.errors import TrainingError
from training.default_model.class_sets import EMOTIONS, SENTIMENT
from training.default_model.text_branch.corpora import TextCorpora, default_vocabulary, read_text_corpora

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"


def corpora(folder: Path, comments: str = "so glad [NAME] came\t3\tx1\nwell, who knows\t0\tx2\n") -> Path:
    (folder / "meld").mkdir()
    (folder / "meld" / "train_sent_emo.csv").write_text(
        HEADER
        + '1,"Oh, that\u2019s great!",A,joy,positive,7,0\n2,...,B,neutral,neutral,7,1\n3,No no,A,anger,negative,8,0\n'
    )
    (folder / "meld" / "dev_sent_emo.csv").write_text(HEADER + "1,Fine,A,neutral,neutral,3,0\n")
    group = folder / "text" / "goemotions-group"
    group.mkdir(parents=True)
    for part, text in (("train", comments), ("dev", "happy and sad\t1,3\tx3\n"), ("test", "")):
        (group / f"{part}.tsv").write_text(text)
    return folder


@pytest.fixture
def read(tmp_path: Path) -> TextCorpora:
    return read_text_corpora(corpora(tmp_path), SENTIMENT)


def test_utterances_are_normalised_and_those_without_words_left_out(read: TextCorpora) -> None:
    assert read.train.words == (("oh", "that's", "great"), ("no", "no"))
    assert read.train.targets.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert read.train.labels.tolist() == [2, 0]
    assert read.train.dialogues.tolist() == [0, 1]
    assert read.held_out.words == (("fine",),)


def test_targets_of_comments_are_shares_of_classes_or_zero(read: TextCorpora) -> None:
    assert read.comments.words == (("so", "glad", "came"), ("well", "who", "knows"), ("happy", "and", "sad"))
    assert read.comments.targets.tolist() == [[0, 0, 1], [0, 0, 0], [0.5, 0, 0.5]]
    assert len(set(read.comments.dialogues.tolist())) == 3


def test_the_vocabulary_has_every_spoken_word_and_common_ones_of_comments(tmp_path: Path) -> None:
    read = read_text_corpora(corpora(tmp_path, "rare word here\t2\tx\n" + "great cats\t2\tx\n" * 4), SENTIMENT)
    vocabulary = default_vocabulary(read)
    assert set(vocabulary) == {"oh", "that's", "great", "no", "cats"}
    assert vocabulary[:2] == ("great", "no")  # 3 + 4 and 2 x 3


def test_seven_emotions_are_those_of_meld_and_comments_have_none_of_them(tmp_path: Path) -> None:
    read = read_text_corpora(corpora(tmp_path), EMOTIONS)
    assert [EMOTIONS.labels[label] for label in read.train.labels] == ["joy", "anger"]
    assert [EMOTIONS.labels[label] for label in read.held_out.labels] == ["neutral"]
    assert read.comments.words == (("so", "glad", "came"), ("well", "who", "knows"), ("happy", "and", "sad"))
    np.testing.assert_array_equal(read.comments.targets, np.zeros((3, 7)))


def test_taking_rows(read: TextCorpora) -> None:
    taken = read.comments.take(np.array([True, False, True]))
    assert taken.words == (("so", "glad", "came"), ("happy", "and", "sad"))
    assert taken.targets.tolist() == [[0, 0, 1], [0.5, 0, 0.5]]


@pytest.mark.parametrize("line", ["no tabs here", "comment\t4\tx", "comment\tpositive\tx", "comment\t\tx", "comment"])
def test_a_line_in_another_format_than_goemotions(tmp_path: Path, line: str) -> None:
    folder = corpora(tmp_path, f"fine\t2\tx\n{line}\n")
    with pytest.raises(TrainingError, match=r"train\.tsv, line 2: expected comment, classes"):
        read_text_corpora(folder, SENTIMENT)


def test_a_sentiment_that_meld_does_not_have(tmp_path: Path) -> None:
    folder = corpora(tmp_path)
    (folder / "meld" / "dev_sent_emo.csv").write_text(HEADER + "1,Fine,A,neutral,mixed,3,0\n")
    with pytest.raises(TrainingError, match="sentiment is 'mixed', expected one of negative, neutral, positive"):
        read_text_corpora(folder, SENTIMENT)


def test_missing_corpora_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"meld: no such file or folder; give the folder MELD\.Raw"):
        read_text_corpora(tmp_path, SENTIMENT)
    (tmp_path / "meld").mkdir()
    with pytest.raises(TrainingError, match=r"no train_sent_emo\.csv in it"):
        read_text_corpora(tmp_path, SENTIMENT)
    (tmp_path / "meld").rmdir()
    corpora(tmp_path)
    (tmp_path / "text" / "goemotions-group" / "dev.tsv").unlink()
    with pytest.raises(TrainingError, match=r"dev\.tsv: cannot be read") as error:
        read_text_corpora(tmp_path, SENTIMENT)
    assert "GoEmotions" in error.value.fix
