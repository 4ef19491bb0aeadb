"""Tables as people have them: columns of MELD, IDs that name recordings or finished images, a table per split."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import soundfile
from PIL import Image

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from training.data.corpus import Corpus, open_corpus

MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"


def images_in(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 40)).save(folder / name)
    return folder


def table_of(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def summary(corpus: Corpus) -> list[tuple[str, str, str]]:
    return [(clip.audio.name if clip.audio else "", clip.text, clip.label) for clip in corpus.clips]


def splits(corpus: Corpus) -> list[str]:
    return [clip.split for clip in corpus.clips]


@pytest.mark.parametrize(
    "header",
    ["ID,Utterance,Sentiment,split", "id,text,label,split", "Id,TEXT,Label,Split", "ID,Transcript,class,SPLIT"],
)
def test_columns_as_people_spell_them(header: str, tmp_path: Path) -> None:
    images = images_in(tmp_path / "images", "a.png", "b.jpg")
    table = table_of(tmp_path / "t.csv", header, "a,hi there,positive,Train", "b.jpg,oh no,negative,Validation")
    corpus = open_corpus(table, images=images)
    assert summary(corpus) == [("a.png", "hi there", "positive"), ("b.jpg", "oh no", "negative")]
    assert splits(corpus) == ["train", "validation"]
    assert [clip.id for clip in corpus.clips] == ["a", "b.jpg"]


def test_exact_names_come_first(tmp_path: Path) -> None:
    images = images_in(tmp_path / "images", "a.png")
    table = table_of(tmp_path / "t.csv", "Utterance,ID,text,Sentiment,label", "other,a,hi,negative,glad")
    assert summary(open_corpus(table, images=images)) == [("a.png", "hi", "glad")]


def test_columns_of_meld_without_id(tmp_path: Path) -> None:
    images = images_in(tmp_path / "images", "dia0_utt3.png", "dia1_utt0.png")
    table = table_of(tmp_path / "t.csv", MELD_HEADER, "1,Hi!,Joey,joy,positive,0,3", "2,Oh no.,Ross,fear,negative,1,0")
    corpus = open_corpus(table, images=images)
    assert summary(corpus) == [("dia0_utt3.png", "Hi!", "positive"), ("dia1_utt0.png", "Oh no.", "negative")]
    assert [(clip.speaker, clip.dialogue) for clip in corpus.clips] == [("Joey", "0"), ("Ross", "1")]
    emotions = open_corpus(table, images=images, label="emotion")
    assert [clip.label for clip in emotions.clips] == ["joy", "fear"]


def test_ids_name_recordings(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / "clips" / name, [0.0] * 100, 16_000)
    table = table_of(
        tmp_path / "t.csv", "ID,Utterance,Sentiment", "a.png,hi,positive", "b,oh,negative", ",words,negative"
    )
    corpus = open_corpus(table, tmp_path / "clips")
    assert [name for name, _, _ in summary(corpus)] == ["a.wav", "b.flac", ""]
    assert corpus.images is None
    assert corpus.remarks == ()


def test_text_alone_needs_no_files(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", "ID,Utterance,Sentiment", "a,hi,positive")
    assert summary(open_corpus(table, audio=False)) == [("", "hi", "positive")]


def test_folders_of_the_splits(tmp_path: Path) -> None:
    """The three folders of the tutorial; MELD repeats its names in each of them."""
    images = images_in(tmp_path / "images", "Train/a.png", "Validation/b.png", "Test/c.png", "Test/a.png")
    table = table_of(tmp_path / "t.csv", "ID,text,label", "Train/a,hi,x", "b,ho,y", "c,hu,y")
    assert splits(open_corpus(table, images=images)) == ["train", "validation", "test"]
    with_column = table_of(tmp_path / "s.csv", "ID,text,label,split", "a,hi,x,train", "a,ho,y,test")
    corpus = open_corpus(with_column, images=images)
    assert [clip.audio.parent.name for clip in corpus.clips if clip.audio] == ["Train", "Test"]
    unclear = table_of(tmp_path / "u.csv", "ID,text,label", "a,hi,x", "b,ho,y")
    with pytest.raises(TrainingError, match=r"u\.csv: 1 of 2 IDs name more than one .*'a' \(line 2\) may be"):
        open_corpus(unclear, images=images)


def test_a_table_for_each_split(tmp_path: Path) -> None:
    images = images_in(tmp_path / "images", "train/dia0_utt0.png", "dev/dia0_utt0.png", "test/dia0_utt0.png")
    folder = tmp_path / "tables"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        table_of(folder / f"{split}_sent_emo.csv", MELD_HEADER, f"1,{split},Joey,joy,positive,0,0")
    table_of(folder / "notes.csv", "a,b", "1,2")
    corpus = open_corpus(folder, images=images)
    assert [(clip.split, clip.text, clip.audio.parent.name) for clip in corpus.clips if clip.audio] == [
        ("validation", "dev", "dev"),
        ("test", "test", "test"),
        ("train", "train", "train"),
    ]


def test_tables_beside_class_folders_are_not_the_corpus(tmp_path: Path) -> None:
    for path in ("train/happy/a.wav", "train/sad/b.wav", "validation/happy/c.wav", "validation/sad/d.wav"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / path, [0.0] * 100, 16_000)
    table_of(tmp_path / "train.csv", "a,b", "1,2")
    assert len(open_corpus(tmp_path).clips) == 4


def test_another_programs_images_are_reported(tmp_path: Path) -> None:
    images = images_in(tmp_path / "images", "a.png", "b.png")
    table = table_of(tmp_path / "t.csv", "ID,text,label", "a,hi,x", "b,ho,y")
    linked = open_corpus(table, images=images)
    in_audio = open_corpus(table_of(tmp_path / "s.csv", "audio,text,label", "images/a.png,hi,x", "images/b.png,ho,y"))
    for corpus in (linked, in_audio):
        assert corpus.images is not None
        assert corpus.images.settings is None
        assert any("were not computed by edge-mcnn, so their front end is unknown" in line for line in corpus.remarks)


def own_images(folder: Path, front_end: FrontEnd) -> Path:
    images_in(folder, "a-0123456789abcdef.png", "a-fedcba9876543210.png")
    index = {
        "format": 1,
        "front_end": front_end.image_settings(),
        "recordings": {
            "../clips/train/a.wav": {"image": "a-0123456789abcdef.png"},
            "../clips/test/a.wav": {"image": "a-fedcba9876543210.png"},
            "../clips/train/b.wav": {"skipped": "empty"},
        },
    }
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def test_images_of_edge_mcnn_have_the_names_of_their_recordings(tmp_path: Path) -> None:
    images = own_images(tmp_path / "images", FrontEnd())
    table = table_of(
        tmp_path / "t.csv", "ID,text,label", "train/a,hi,x", "a-fedcba9876543210.png,ho,y", "test/a.png,hu,y"
    )
    corpus = open_corpus(table, images=images)
    assert [name[:3] for name, _, _ in summary(corpus)] == ["a-0", "a-f", "a-f"]
    assert corpus.images is not None
    assert not corpus.remarks
    corpus.images.check(FrontEnd())
    with pytest.raises(TrainingError, match=r"computed with other settings .*compute them again"):
        corpus.images.check(FrontEnd(hop_length=128))
    missing = table_of(tmp_path / "m.csv", "ID,text,label", "train/b,hi,x")
    with pytest.raises(TrainingError, match=r"1 of 1 IDs name none of the images in .*'train/b' \(line 2\)"):
        open_corpus(missing, images=images)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("ID,text,label", ["a,hi,x", "no,ho,y", "none,hu,x"],
         r"t\.csv: 2 of 3 IDs name none of the images in .*'no' \(line 3\), 'none' \(line 4\); correct the column ID, "
         "or name the folder"),
        ("ID,text,label", ["a,hi,x", "a.png,ho,y"], r"1 of 2 IDs appear twice: 'a' \(line 2\), 'a.png' \(line 3\)"),
        ("ID,label", ["a,x"], r"line 1: no column text \(found: ID, label\)"),
        ("ID,text", ["a,x"], r"line 1: no column label \(found: ID, text\)"),
        ("text,label", ["a,x"], r"line 1: no column audio \(found: text, label\)"),
        ("ID,text,label", [",,x"], "neither audio nor text"),
        ("ID,text,label", [], "no rows below the header"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_before_any_work(header: str, rows: Sequence[str], message: str, tmp_path: Path) -> None:
    images = images_in(tmp_path / "images", "a.png")
    with pytest.raises(TrainingError, match=message) as caught:
        open_corpus(table_of(tmp_path / "t.csv", header, *rows), images=images)
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_folder_has_to_be_named(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", "ID,text,label", "a,hi,x")
    with pytest.raises(TrainingError, match=r"t\.csv: no column audio, and no folder .*--audio-root.*--pictures"):
        open_corpus(table)
    with pytest.raises(TrainingError, match="missing: no such file or folder"):
        open_corpus(table, images=tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no images"):
        open_corpus(table, images=tmp_path / "empty")
    with pytest.raises(TrainingError, match="holds no recordings"):
        open_corpus(table, tmp_path / "empty")


def test_class_folders_of_images_need_a_table_with_the_words(tmp_path: Path) -> None:
    images_in(tmp_path, "happy/a.png", "sad/b.png")
    with pytest.raises(TrainingError, match=r"no recordings .*\(found: 2 \.png\); a network needs the words"):
        open_corpus(tmp_path)
