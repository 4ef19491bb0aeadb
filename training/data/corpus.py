"""Opens a corpus, whatever kind it is: a CSV table, MELD as it comes, or a folder of class folders."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from device.errors import TrainingError
from device.front_end.tokens import normalise
from device.recorder.clip_table import TRANSCRIPT_COLUMN
from training.data.class_folders import read_class_folders
from training.data.clip_table import read_table
from training.data.clips import TRAIN, Clip, Skipped, report_skipped
from training.data.meld import Target, read_meld

TextKind = Literal["reference", "vosk", "both"]


@dataclass(frozen=True)
class Corpus:
    """Labelled clips, wherever they came from."""

    name: str
    """What the user gave, for messages."""
    clips: tuple[Clip, ...]
    """Every clip whose recording is there, or that has none."""
    skipped: tuple[Skipped, ...] = ()
    """Recordings that the corpus names and that are not there."""
    note: str = ""
    """What the reader should know, such as how splits were made; empty if nothing."""

    def report(self, console: Console) -> None:
        """Say what there is to say before work begins."""
        for line in (self.note, *_repetitions(self.clips)):
            if line:
                console.print(line, markup=False, soft_wrap=True)
        report_skipped(self.skipped, len({clip.audio for clip in self.clips} - {None}) + len(self.skipped), console)


def open_corpus(
    path: Path, audio_root: Path | None = None, seed: int = 1, *, audio: bool = True, text: bool = True
) -> Corpus:
    """Open a table, or a folder of class folders.

    Args:
        path: the CSV file or the folder.
        audio_root: folder that relative audio paths in a table start from; the table's own if None.
        seed: decides the splits where there are none.
        audio: whether recordings will be read; if not, those that a table names need not be there.
        text: whether words will be read; if not, a table needs none.

    Raises:
        TrainingError: see `read_table` and `read_class_folders`.
    """
    if path.is_dir():
        clips, note = read_class_folders(path, seed)
    else:
        clips, note = read_table(path, audio_root, seed, audio=audio, text=text)
    return Corpus(str(path), clips, note=note)


def open_meld(folder: Path, target: Target = "sentiment", *, audio: bool = True) -> Corpus:
    """Open MELD, see `read_meld`."""
    clips, missing = read_meld(folder, target, audio=audio)
    return Corpus(str(folder), clips, missing)


def _repetitions(clips: Sequence[Clip]) -> list[str]:
    """What is there more than once and should perhaps not be."""
    rows = Counter((clip.audio, clip.text, clip.label, clip.split) for clip in clips if clip.audio and clip.text)
    again = sum(rows.values()) - len(rows)
    splits: defaultdict[Path, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.audio is not None:
            splits[clip.audio].add(clip.split)
    leaks = [audio for audio, names in splits.items() if TRAIN in names and len(names) > 1]
    return [
        f"{again} rows repeat another row, and count again" if again else "",
        f"{len(leaks)} recordings are in train and in another split, first {leaks[0]}: figures will be too good"
        if leaks
        else "",
    ]


def with_text(corpus: Corpus, kind: TextKind) -> Corpus:
    """The corpus with the words that a network is to be trained on.

    `reference` takes the corpus's own words and `vosk` those that Vosk heard, which is what the device will read. With
    `both` each train clip is there twice, once with either, unless they read the same; validation has Vosk's. A clip
    without sound, where there is nothing to hear, keeps its own words.

    Raises:
        TrainingError: Vosk's words are asked for, and nobody has transcribed the corpus.
    """
    if kind == "reference":
        return corpus
    if any(clip.audio is not None and clip.transcript is None for clip in corpus.clips):
        raise TrainingError(
            f"{corpus.name}: no column {TRANSCRIPT_COLUMN}, so what Vosk heard is not known; run "
            "`edge-mcnn transcribe` on it and take the table that it writes"
        )
    return replace(corpus, clips=tuple(_chosen(corpus.clips, both=kind == "both")))


def _chosen(clips: Sequence[Clip], *, both: bool) -> list[Clip]:
    chosen = []
    for clip in clips:
        heard = clip if clip.transcript is None else replace(clip, text=clip.transcript)
        chosen.append(heard)
        if both and clip.split == TRAIN and normalise(clip.text) not in ("", normalise(heard.text)):
            chosen.append(clip)
    return chosen
