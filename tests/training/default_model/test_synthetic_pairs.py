import csv
from collections import Counter
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from device.errors import TrainingError
from tests.training.default_model.text_branch.test_corpora import HEADER
from training.data.clip_table import read_trainable_clips
from training.default_model.class_sets import EMOTIONS
from training.default_model.synthetic_pairs import (
    HELD_OUT_ACTORS,
    Item,
    pair,
    pair_command,
    recordings_of_ravdess,
    texts_of_meld,
    write_table,
)

TEXTS = [Item(f"{label} text {n}", label) for n in range(20) for label in ("happy", "sad")]
RECORDINGS = [Item(f"{label}{n}.wav", label) for n in range(3) for label in ("happy", "sad", "bored")]


def test_pairs_share_their_class_and_use_every_recording() -> None:
    rows = pair(TEXTS, RECORDINGS, seed=1)
    assert [(text, label) for _, text, label in rows] == [(text.content, text.label) for text in TEXTS]
    assert all(recording.startswith(label) for recording, _, label in rows)
    uses = Counter(recording for recording, _, _ in rows)
    assert set(uses) == {item.content for item in RECORDINGS if item.label != "bored"}
    assert max(uses.values()) - min(uses.values()) <= 1


def test_the_seed_determines_the_pairs() -> None:
    assert pair(TEXTS, RECORDINGS, seed=1) == pair(TEXTS, RECORDINGS, seed=1) != pair(TEXTS, RECORDINGS, seed=2)


def test_shares_of_incomplete_rows() -> None:
    rows = pair(TEXTS, RECORDINGS, seed=1, without_audio=0.25, without_text=0.5)
    assert sum(not recording for recording, _, _ in rows) == 10
    assert sum(not text for _, text, _ in rows) == 20
    assert all(recording or text for recording, text, _ in rows)


def test_texts_without_a_word_are_left_out() -> None:
    assert len(pair([*TEXTS, Item("...", "sad")], RECORDINGS, seed=1)) == len(TEXTS)


def test_impossible_requests() -> None:
    with pytest.raises(TrainingError, match="no recording of class 'cross'"):
        pair([Item("grr", "cross")], RECORDINGS, seed=1)
    with pytest.raises(TrainingError, match=r"shares of incomplete rows are 0\.6 and 0\.6") as error:
        pair(TEXTS, RECORDINGS, seed=1, without_audio=0.6, without_text=0.6)
    assert "together at most 1" in error.value.fix


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """A small MELD and RAVDESS: actors 1 to 20, one clip of each of four emotions."""
    for name, count in (("train", 40), ("dev", 12)):
        lines = [
            f'{n},"Well, {name} {n}",A,anger,{("neutral", "positive", "negative")[n % 3]},{n // 4},{n % 4}'
            for n in range(count)
        ]
        (tmp_path / f"{name}_sent_emo.csv").write_text(HEADER + "\n".join(lines), encoding="utf-8")
    (tmp_path / "flac").mkdir()
    lines = ["file,speaker,emotion"]
    for actor in range(1, 21):
        for emotion, sentiment in (("calm", "neutral"), ("happy", "positive"), ("sad", "negative"), ("surprised", "")):
            name = f"{sentiment or 'surprise'}-{actor:02}.flac"
            (tmp_path / "flac" / name).touch()
            lines.append(f"{name},actor{actor:02},{emotion}")
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_table_of_the_corpora(corpora: Path) -> None:
    table = corpora / "table.csv"
    result = CliRunner().invoke(
        _app(), ["--meld", str(corpora), "--ravdess", str(corpora), "--output", str(table), "--seed", "5"]
    )
    assert result.exit_code == 0, result.output
    assert "52 rows" in result.output
    clips = read_trainable_clips(table, corpora)
    train = [clip for clip in clips if clip.split == "train"]
    validation = [clip for clip in clips if clip.split == "validation"]
    assert (len(train), len(validation)) == (40, 12)
    assert sum(clip.audio is None for clip in train) == sum(not clip.text for clip in train) == 10
    assert all(clip.audio and clip.text for clip in validation)
    actors = {
        split: {int(clip.audio.stem[-2:]) for clip in clips if clip.audio and clip.split == split}
        for split in ("train", "validation")
    }
    assert actors["validation"] <= set(HELD_OUT_ACTORS)
    assert not actors["train"] & set(HELD_OUT_ACTORS)
    assert all(clip.audio.stem.startswith(clip.label) for clip in clips if clip.audio)


def test_seven_emotions_pair_surprised_voices_with_surprised_texts(corpora: Path) -> None:
    texts, recordings = texts_of_meld(corpora, EMOTIONS), recordings_of_ravdess(corpora, EMOTIONS)
    assert {item.label for item in texts["train"]} == {"anger"}
    assert {item.label for item in recordings["train"]} == {"neutral", "joy", "sadness", "surprise"}
    assert Item("flac/surprise-01.flac", "surprise") in recordings["train"]
    assert len(recordings["validation"]) == 4 * len(HELD_OUT_ACTORS)


def test_corpora_in_another_format(corpora: Path) -> None:
    (corpora / "labels.csv").write_text("file,speaker\nx,actor01\n")
    with pytest.raises(TrainingError, match=r"labels\.csv: expected rows with the columns file, speaker, emotion"):
        recordings_of_ravdess(corpora)
    (corpora / "dev_sent_emo.csv").unlink()
    with pytest.raises(TrainingError, match=r"no dev_sent_emo\.csv in it"):
        texts_of_meld(corpora)
    result = CliRunner().invoke(_app(), ["--meld", str(corpora), "--ravdess", str(corpora), "--output", "t.csv"])
    assert result.exit_code == 1


def test_written_table_is_utf8(tmp_path: Path) -> None:
    texts = {"train": [Item("caf\u00e9, \u201coui\u201d", "a")], "validation": []}
    recordings = {"train": [Item("x.wav", "a")], "validation": []}
    assert write_table(tmp_path / "t.csv", texts, recordings, seed=1, incomplete=0) == 1
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream))[1] == ["x.wav", "caf\u00e9, \u201coui\u201d", "a", "train"]


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(pair_command)
    return app
