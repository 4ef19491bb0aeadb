"""The kinds of corpus beside MELD, their common behaviour, and how the command line distinguishes them."""

from pathlib import Path

import pytest
import typer
from rich.console import Console

from device.errors import TrainingError
from edge_mcnn.options import Target, open_selected_corpus
from tests.training.conftest import printed
from training.data.clip_table import read_clip_table, read_trainable_clips, write_clip_table
from training.data.clips import Clip, check_trainable
from training.data.corpus import Corpus, open_corpus, with_text
from training.fit.trainer import TrainingSettings, train


def folder_of(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_audio_without_text_suggests_transcribe(corpus: Path, tmp_path: Path, console: Console) -> None:
    for label, names in (("a", ("train0", "train2", "train8")), ("b", ("train1", "train3", "train9"))):
        (tmp_path / "classes" / label).mkdir(parents=True)
        for name in names:
            (corpus.parent / f"{name}.wav").rename(tmp_path / "classes" / label / f"{name}.wav")
    with pytest.raises(TrainingError, match=r"no train row has words, .*; .*`edge-mcnn transcribe` .*--text vosk"):
        train(tmp_path / "classes", tmp_path / "Model.h5", TrainingSettings(vgg19_weights=None), console)


TABLE = "audio,text,label,speaker,dialogue,id,text_vosk\n" + "".join(
    f'{f"{n}.wav" if n % 3 else ""},"Well, {n}!",{"ab"[n % 2]},s{n // 4},d{n},i{n},well {n}\n' for n in range(20)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder_of(tmp_path, *(f"{n}.wav" for n in range(20)))
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path / "table.csv"


def test_optional_columns_and_generated_splits(table: Path) -> None:
    clips, note, *_ = read_clip_table(table)
    assert "made by speaker (seed 1): 16 train and 4 validation clips, 1 of 5 speakers held out" in note
    clip = clips[1]
    assert (clip.speaker, clip.dialogue, clip.id, clip.transcript) == ("s0", "d1", "i1", "well 1")
    assert clips[0].transcript is None  # there is no audio to transcribe
    assert read_trainable_clips(table) == clips
    assert read_clip_table(table, seed=2)[1] != note


def test_empty_split_column_defines_no_splits(table: Path) -> None:
    clips = [*read_clip_table(table)[0]]
    table.write_text("\n".join(["audio,text,label,split", *(f",w{n},{'ab'[n % 2]}," for n in range(len(clips)))]))
    assert "made by clip" in read_clip_table(table)[1]
    table.write_text("audio,text,label,split\n,x,a,train\n,x,a,\n")
    with pytest.raises(TrainingError, match="line 3: split is ''"):
        read_clip_table(table)


def test_written_table_is_read_back(table: Path, tmp_path: Path) -> None:
    clips = read_clip_table(table).clips
    other = tmp_path / "other" / "copy.csv"
    other.parent.mkdir()
    write_clip_table(other, clips)
    assert other.read_text(encoding="utf-8").splitlines()[2].startswith("../1.wav,")
    copied, note, *_ = read_clip_table(other)
    assert note == ""
    assert [(*vars(clip).values(),)[1:] for clip in copied] == [(*vars(clip).values(),)[1:] for clip in clips]
    assert [clip.audio and clip.audio.resolve() for clip in copied] == [clip.audio for clip in clips]


def test_failed_write_leaves_no_partial_file(table: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(TrainingError, match=r"taken\.csv: cannot be written"):
        write_clip_table(tmp_path / "taken.csv", read_clip_table(table)[0])
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_with_text_selects_reference_or_transcripts() -> None:
    audio = Path("x.wav")
    clips = (
        Clip(audio, "Oh, no!", "a", "train", transcript="oh no"),
        Clip(audio, "Yes.", "a", "train", transcript="guess"),
        Clip(audio, "", "a", "train", transcript="hm"),
        Clip(audio, "Yes.", "a", "validation", transcript=""),
        Clip(None, "Text only", "a", "train"),
    )
    corpus = Corpus("c", clips)
    assert with_text(corpus, "reference") is corpus
    assert [clip.text for clip in with_text(corpus, "vosk").clips] == ["oh no", "guess", "hm", "", "Text only"]
    both = [clip.text for clip in with_text(corpus, "both").clips]
    assert both == ["oh no", "guess", "Yes.", "hm", "", "Text only"]
    with pytest.raises(TrainingError, match=r"no column text_vosk, .*; run `edge-mcnn transcribe`"):
        with_text(Corpus("c", (*clips, Clip(audio, "x", "a", "train"))), "vosk")


def test_exactly_one_corpus_is_required(tmp_path: Path) -> None:
    for corpus, meld in ((None, None), (tmp_path, tmp_path)):
        with pytest.raises(typer.BadParameter, match="name one corpus"):
            open_selected_corpus(corpus, meld, Target.SENTIMENT, None)


def test_meld_on_the_command_line(meld: Path) -> None:
    assert {clip.label for clip in open_selected_corpus(None, meld, Target.EMOTION, None).clips} == {"joy", "anger"}


def test_one_word_vocabulary(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "table.csv"
    rows = [f",Hi!,{label},{split}" for label in "ab" for split in ("train", "dev")]
    table.write_text("\n".join(["audio,text,label,split", *rows]))
    with pytest.raises(TrainingError, match=r"have one word only \('hi'\)"):
        train(table, tmp_path / "Model.h5", TrainingSettings(vgg19_weights=None), console)


def test_untrainable_table_can_be_read(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("audio,text,label,split\n,hi,a,test\n")
    clips = read_clip_table(table).clips
    assert len(clips) == 1
    with pytest.raises(TrainingError, match="no clip has split 'train'"):
        check_trainable(clips, "x")


def test_unusual_names_survive_a_round_trip(tmp_path: Path) -> None:
    names = ["glad/a b.wav", "glad/\u00e4,\u4e2d.wav", 'sad/"q".wav', "sad/1\n2.wav"]
    corpus = open_corpus(folder_of(tmp_path, *names))
    write_clip_table(tmp_path / "t.csv", corpus.clips)
    assert {clip.audio for clip in read_clip_table(tmp_path / "t.csv")[0]} == {tmp_path / name for name in names}


def test_repeated_rows_and_leaks_are_reported(tmp_path: Path, console: Console) -> None:
    folder_of(tmp_path, "x.wav", "y.wav")
    table = tmp_path / "t.csv"
    table.write_text("audio,text,label,split\nx.wav,hi,a,train\nx.wav,hi,a,train\nx.wav,ho,a,dev\ny.wav,,b,dev\n")
    open_corpus(table).report(console)
    assert "1 rows repeat another row" in printed(console)
    assert f"recordings of train: {tmp_path / 'x.wav'} (the same file); the scores will be" in printed(console)


def test_label_of_test_rows_only_is_reported(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "t.csv"
    rows = ",hi,a,train\n,hi,b,train\n,ho,a,dev\n,hi,c,test\n,ho,c,test\n,ho,B,test\n"
    table.write_text(f"audio,text,label,split\n{rows}")
    open_corpus(table).report(console)
    assert "warning: label 'c' is in test rows only (2 clips), so no network learns it; add train" in printed(console)
    assert "warning: label 'B' is in test rows only (1 clips) (there is also 'b'), so no network" in printed(console)
    table.write_text("audio,text,label,split\n,hi,a,test\n,hi,b,test\n")
    open_corpus(table).report(console)
    assert printed(console).count("in test rows only") == 2, "a table of test rows is for evaluation"


def test_labels_that_look_alike_are_reported(tmp_path: Path, console: Console) -> None:
    table = tmp_path / "t.csv"
    table.write_text("audio,text,label\n,hi,Happy\n,hi,happy \n,hi, happy\n,hi,sad\n")
    open_corpus(table).report(console)
    assert "warning: 'Happy' (1 clips) and 'happy' (2 clips) count as 2 different classes" in printed(console)
