import contextlib
import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from convert.source.keras_h5 import read_companions
from device.bundle import read_bundle
from device.errors import EdgeMcnnError, TrainingError
from edge_mcnn.main import app
from tests.training.conftest import printed
from training.data.corpus import open_corpus, open_meld
from training.data.meld import read_meld
from training.fit.trainer import TrainingSettings, train


def test_rows_and_films_are_linked(meld: Path) -> None:
    clips, missing = read_meld(meld)
    assert Counter(clip.split for clip in clips) == {"train": 15, "validation": 8, "test": 4}
    assert [(each.recording.name, each.reason) for each in missing] == [("dia3_utt0.mp4", "no such file or folder")]
    clip = clips[5]
    assert clip.audio == meld / "train_splits" / "dia1_utt1.mp4"
    assert (clip.text, clip.label) == ("This is so awful, it\u0092s 2!", "negative")
    assert (clip.speaker, clip.dialogue, clip.id) == ("Ross", "train/dia1", "train/dia1_utt1")
    assert len({clip.id for clip in clips}) == len(clips)


def test_train_and_dev_are_enough(meld: Path, tmp_path: Path) -> None:
    for part, table in (("train_splits", "train_sent_emo.csv"), ("dev_splits_complete", "dev_sent_emo.csv")):
        (tmp_path / part).symlink_to(meld / part)
        shutil.copy(meld / table, tmp_path)
    clips, _ = read_meld(tmp_path)
    assert {clip.split for clip in clips} == {"train", "validation"}
    shutil.copy(meld / "test_sent_emo.csv", tmp_path)
    with pytest.raises(TrainingError, match="no output_repeated_splits_test in it"):
        read_meld(tmp_path)


def test_emotions(meld: Path) -> None:
    clips, _ = read_meld(meld, "emotion")
    assert {clip.label for clip in clips} == {"joy", "anger"}


def test_other_ways_to_unpack(meld: Path, tmp_path: Path) -> None:
    """Each archive in a separate folder, with its CSV beside it; an existing WAV is preferred to the film."""
    for part, short in (("train_splits", "train"), ("dev_splits_complete", "dev")):
        shutil.copytree(meld / part, tmp_path / short / part)
        shutil.copy(meld / f"{short}_sent_emo.csv", tmp_path / short)
    shutil.copytree(meld / "output_repeated_splits_test", tmp_path / "test" / "output_repeated_splits_test")
    shutil.copy(meld / "test_sent_emo.csv", tmp_path)
    (tmp_path / "train" / "train_splits" / "dia0_utt0.wav").touch()
    (tmp_path / "train" / "train_splits" / "._dia0_utt1.mp4").touch()
    clips, missing = read_meld(tmp_path)
    assert (len(clips), len(missing)) == (27, 1)
    assert [clip.audio.name for clip in clips[:2] if clip.audio] == ["dia0_utt0.wav", "dia0_utt1.mp4"]


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("train_sent_emo.csv", "Sentiment", "Feeling", "line 1: no column Sentiment, so not MELD's own"),
        ("dev_sent_emo.csv", ",negative,", ",bad,", "line 3: sentiment is 'bad', expected one of negative"),
        ("dev_sent_emo.csv", ",negative,0,1", ",negative,0,x", "line 3: Dialogue_ID and Utterance_ID must be integers"),
        ("dev_sent_emo.csv", "1,8,21,", "1\n,,,,,,,,,,,,,", "the number of values differs from that of the columns"),
        ("test_sent_emo.csv", "\u0092", "\udc92", "not UTF-8 text"),
    ],
)
def test_wrong_rows_are_reported_with_file_and_line(
    name: str, old: str, new: str, expected: str, meld: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "MELD.Raw"
    shutil.copytree(meld, folder)
    content = (folder / name).read_text(encoding="utf-8").replace(old, new, 1)
    (folder / name).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(TrainingError, match=expected) as caught:
        read_meld(folder)
    assert name in str(caught.value)


def test_not_unpacked(meld: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no train_sent_emo\.csv in it; give the folder MELD\.Raw"):
        read_meld(tmp_path)
    for name in ("train", "dev", "test"):
        shutil.copy(meld / f"{name}_sent_emo.csv", tmp_path)
    (tmp_path / "train.tar.gz").touch()
    with pytest.raises(TrainingError, match=r"no train_splits in it; unpack train\.tar\.gz there"):
        read_meld(tmp_path)
    for part in ("train_splits", "dev_splits_complete", "output_repeated_splits_test"):
        (tmp_path / part).mkdir()
    with pytest.raises(TrainingError, match="none of the 28 recordings is there"):
        read_meld(tmp_path)
    (tmp_path / "dev_sent_emo.csv").write_text("Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n")
    with pytest.raises(TrainingError, match="no rows below the header"):
        read_meld(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_published_meld_can_be_trained_and_converted(meld: Path, tmp_path: Path, console: Console) -> None:
    settings = TrainingSettings(epochs=1, vgg19_weights=None, image_cache=tmp_path / "images")
    result = train(open_meld(meld), tmp_path / "Model.h5", settings, console)
    card = read_companions(tmp_path / "Model.h5").card
    assert card == result.companions.card
    assert card["rows"] == {"train": 11, "validation": 8}
    assert card["recordings_missing"] == ["dia3_utt0.mp4"]
    assert card["recordings_unreadable"] == ["dia2_utt0.mp4", "dia2_utt1.mp4", "dia2_utt2.mp4", "dia2_utt3.mp4"]
    assert len(list((tmp_path / "images").glob("*.png"))) == 19
    output = printed(console)
    converted = CliRunner().invoke(app, ["convert", str(tmp_path / "Model.h5")], catch_exceptions=False)
    assert converted.exit_code == 0
    bundle = read_bundle(tmp_path / "Model.tflite")
    assert bundle.companions.labels == ("negative", "positive")
    assert bundle.companions.vocabulary == result.companions.vocabulary
    for expected in (
        "dia3_utt0.mp4: no such file",
        "dia2_utt0.mp4: not a readable recording",
        "dia2_utt2.mp4: has no audio track",
        "dia2_utt3.mp4: longer than 30 s, so not one utterance; cut it into clips",
        "4 of 23 recordings skipped",
        "4 of 23 clips left out",
    ):
        assert expected in output


def test_missing_table_in_a_folder_of_films(meld: Path) -> None:
    with pytest.raises(TrainingError, match="no such file"):
        open_corpus(meld / "train_splits" / "missing")


def test_text_only_needs_no_films(meld: Path, tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        shutil.copy(meld / f"{name}_sent_emo.csv", tmp_path)
    clips, missing = read_meld(tmp_path, audio=False)
    assert (len(clips), missing) == (28, ())
    with pytest.raises(TrainingError, match="no train_splits in it"):
        read_meld(tmp_path)


HEADER = ["Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"]
VALUES = st.sampled_from(["joy", "positive", "0", "-1", "9" * 400, "9" * 5000, "x", ""]) | st.text(max_size=5)


@settings(max_examples=60)
@given(
    st.permutations(HEADER) | st.lists(VALUES, max_size=7),
    st.lists(st.lists(VALUES, min_size=5, max_size=7), max_size=4),
    st.binary(max_size=4),
)
def test_any_meld_tables_give_clips_or_edge_mcnn_error(
    tmp_path_factory: pytest.TempPathFactory, header: list[str], rows: list[list[str]], tail: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "random"
    for part in ("train_splits", "dev_splits_complete"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    good = ["hi", "Joey", "joy", "positive", "0", "0"]
    with (folder / "dev_sent_emo.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([HEADER, good])
    with (folder / "train_sent_emo.csv").open("w", encoding="utf-8", newline="", errors="surrogatepass") as stream:
        csv.writer(stream).writerows([header, good, *rows])
    with (folder / "train_sent_emo.csv").open("ab") as stream:
        stream.write(tail)
    for audio in (True, False):
        with contextlib.suppress(EdgeMcnnError):
            assert read_meld(folder, audio=audio)
