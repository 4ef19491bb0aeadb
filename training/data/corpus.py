"""Opens a corpus of any kind: a CSV table, MELD in its published layout, or a folder of class folders."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from device.audio.wav_header import length_note
from device.errors import TrainingError
from device.front_end.tokens import normalise
from device.recorder.clip_table import TRANSCRIPT_COLUMN
from device.system.display import displayable
from training.data.class_folders import read_class_folders
from training.data.clip_table import read_clip_table, split_tables
from training.data.clips import TRAIN, Clip, Skipped, report_skipped, similar_labels, untrained_labels
from training.data.finished_images import FinishedImages
from training.data.folder_tree import scan
from training.data.id_column import LabelKind
from training.data.leaks import describe_leaks
from training.data.meld import Target, read_meld

TextKind = Literal["reference", "vosk", "both"]
"""Which text of the clips to use: the corpus's own, Vosk's transcripts, or both, see `with_text`."""


@dataclass(frozen=True)
class Corpus:
    """Labelled clips from any source."""

    name: str
    """The path that the user entered, for messages."""
    clips: tuple[Clip, ...]
    """All clips without audio, and those whose recording exists."""
    skipped: tuple[Skipped, ...] = ()
    """Recordings that the corpus names and that do not exist or cannot be opened, and folders that cannot be read."""
    note: str = ""
    """How splits were made; empty if the corpus defines them."""
    remarks: tuple[str, ...] = ()
    """What else was decided or left out when the corpus was read, a line each."""
    images: FinishedImages | None = None
    """The finished images that the clips have instead of recordings; None if they have recordings."""

    @property
    def recordings(self) -> int:
        """Number of distinct recordings, the skipped ones included."""
        used = {clip.audio for clip in self.clips} - {None}
        return len(used) + sum(not each.is_folder for each in self.skipped)

    def report(self, console: Console, *, skipped: bool = True) -> None:
        """Print, before work begins, how the corpus was read, what is suspicious about it, and what is skipped.

        Args:
            console: where to print.
            skipped: whether to print what is skipped; if not, the caller does it together with unreadable recordings.
        """
        suspicious = (
            *similar_labels(self.clips),
            *untrained_labels(self.clips),
            *_repetitions(self.clips),
            *_lengths(self.clips),
        )
        leaks = describe_leaks(self.clips, made=bool(self.note))
        for line in (*self.remarks, self.note, *suspicious, *leaks):
            if line:
                console.print(displayable(line), soft_wrap=True)
        if skipped:
            report_skipped(self.skipped, self.recordings, console)


def open_corpus(
    path: Path,
    audio_root: Path | None = None,
    seed: int = 1,
    *,
    images: Path | None = None,
    label: LabelKind = "sentiment",
    audio: bool = True,
    text: bool = True,
) -> Corpus:
    """Open a table, a folder of class folders, or a folder with a table for each split.

    A folder is one of tables if it holds `train.csv` or a file named similarly, and no recordings, or if `audio_root`
    names the folder of the recordings.

    Args:
        path: path of the CSV file or the folder.
        audio_root: folder that relative audio paths in a table start from; the table's own if None.
        seed: seed of the splits, used where the corpus defines none.
        images: folder of the finished images that a table without recordings names, see `read_clip_table`.
        label: which of the columns Sentiment and Emotion of a table is the label, where there is no column label.
        audio: whether recordings will be read; if not, those that a table names need not exist.
        text: whether the text will be read; if not, a table needs none.

    Raises:
        TrainingError: `read_clip_table` or `read_class_folders` raises it.
    """
    tables = {path: ""}
    if os.path.isdir(path):  # noqa: PTH112  # `Path.is_dir` raises for names that are too long
        tables = split_tables(path)
        if tables and audio_root is None and next(scan(path).recordings(), None) is not None:
            tables = {}
    read = (
        read_clip_table(tables, audio_root, seed, images=images, label=label, audio=audio, text=text)
        if tables
        else read_class_folders(path, seed)
    )
    return Corpus(str(path), read.clips, read.skipped, read.note, read.remarks, read.images)


def open_meld(folder: Path, target: Target = "sentiment", *, audio: bool = True) -> Corpus:
    """Open MELD with the arguments of `read_meld`."""
    clips, missing = read_meld(folder, target, audio=audio)
    return Corpus(str(folder), clips, missing)


def with_text(corpus: Corpus, kind: TextKind) -> Corpus:
    """Return the corpus with the text that a network is to be trained on.

    `reference` uses the corpus's own text and `vosk` Vosk's transcripts, which is what the device will read. With
    `both` each train clip appears twice, once with either, unless they read the same; validation has Vosk's. A clip
    without audio has no transcript and uses its own text.

    Raises:
        TrainingError: Vosk's transcripts are requested, and the corpus was not transcribed.
    """
    if kind == "reference":
        return corpus
    if any(clip.audio is not None and clip.transcript is None for clip in corpus.clips):
        raise TrainingError(
            f"{corpus.name}: no column {TRANSCRIPT_COLUMN}, so there are no transcripts by Vosk",
            fix="run `edge-mcnn transcribe` on it and use the table that it writes",
        )
    return replace(corpus, clips=tuple(_with_transcripts(corpus.clips, both=kind == "both")))


def _with_transcripts(clips: Sequence[Clip], *, both: bool) -> list[Clip]:
    chosen = []
    for clip in clips:
        transcribed = clip if clip.transcript is None else replace(clip, text=clip.transcript)
        chosen.append(transcribed)
        if both and clip.split == TRAIN and normalise(clip.text) not in ("", normalise(transcribed.text)):
            chosen.append(clip)
    return chosen


def _repetitions(clips: Sequence[Clip]) -> list[str]:
    """Return a warning about rows that occur more than once and perhaps should not."""
    rows = Counter((clip.audio, clip.text, clip.label, clip.split) for clip in clips if clip.audio and clip.text)
    repeated = sum(rows.values()) - len(rows)
    return [f"{repeated} rows repeat another row, and count again"] if repeated else []


def _lengths(clips: Sequence[Clip]) -> list[str]:
    """Return a warning about WAV files whose header states another length than they have: how many, and the first."""
    notes = [note for audio in dict.fromkeys(clip.audio for clip in clips) if audio and (note := length_note(audio))]
    if not notes:
        return []
    others = f"; {len(notes)} recordings are like this or similar" if len(notes) > 1 else ""
    return [f"warning: {notes[0]}{others}"]
