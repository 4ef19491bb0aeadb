"""Pairs a corpus of labelled texts with a corpus of labelled recordings of the same classes into one clip table.

For want of a corpus that has both emotional sound and varied words. The pairs are made up: text and sound share their
class and nothing else. Speakers are split, not clips, so that validation hears voices that training never heard.

    python -m training.default_model.pairing --meld MELD --ravdess RAVDESS --output table.csv
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from device.errors import EdgeMcnnError, TrainingError
from device.front_end.tokens import normalise
from device.recorder.clip_table import TRAINING_COLUMNS
from training.data.clips import TRAIN, VALIDATION
from training.data.meld import read_meld
from training.default_model.ravdess import read_ravdess

_LAST_TRAINING_ACTOR = 16


@dataclass(frozen=True)
class Item:
    """A text or a recording with its class."""

    content: str
    """The words, or the recording's path below its corpus."""
    label: str
    """Name of the class."""


def pair(
    texts: Sequence[Item],
    recordings: Sequence[Item],
    *,
    seed: int,
    without_sound: float = 0.0,
    without_words: float = 0.0,
) -> list[tuple[str, str, str]]:
    """Give each text a recording of its class, every recording of a class about equally often.

    Args:
        texts: every one becomes a row, in the given order; those without a word are left out.
        recordings: at least one of each class that the texts have.
        seed: which pairs are made, and which are left incomplete.
        without_sound: share of the rows that get no recording.
        without_words: share of the rows that lose their text. If none did, a network would learn from the side that is
            easier to learn from, and its other side would know nothing.

    Returns:
        Rows (recording, text, label), either of the first two empty where left out.

    Raises:
        TrainingError: a class has no recording, or the shares exceed 1.
    """
    if min(without_sound, without_words) < 0 or without_sound + without_words > 1:
        raise TrainingError(f"shares of incomplete rows are {without_sound} and {without_words}; together at most 1")
    random = np.random.default_rng(seed)
    texts = [text for text in texts if normalise(text.content)]
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    for recording in recordings:
        by_label[recording.label].append(recording.content)
    order = random.permutation(len(texts))
    soundless = set(order[: round(without_sound * len(texts))].tolist())
    wordless = set(order[len(soundless) : len(soundless) + round(without_words * len(texts))].tolist())
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    rows = []
    for number, text in enumerate(texts):
        if number in soundless:
            rows.append(("", text.content, text.label))
            continue
        if not waiting[text.label]:
            if not by_label[text.label]:
                raise TrainingError(f"no recording of class {text.label!r} to pair a text with; rename or add one")
            waiting[text.label] = [by_label[text.label][i] for i in random.permutation(len(by_label[text.label]))]
        rows.append((waiting[text.label].pop(), "" if number in wordless else text.content, text.label))
    return rows


def texts_of_meld(folder: Path) -> dict[str, list[Item]]:
    """MELD's train and dev utterances by split, labelled with their sentiment; see `read_meld`."""
    clips, _ = read_meld(folder, audio=False)
    return {
        split: [Item(clip.text, clip.label) for clip in clips if clip.split == split] for split in (TRAIN, VALIDATION)
    }


def recordings_of_ravdess(folder: Path) -> dict[str, list[Item]]:
    """Recordings of RAVDESS by split: actors 1 to 16 train, the others validate; see `read_ravdess`."""
    found: dict[str, list[Item]] = {TRAIN: [], VALIDATION: []}
    for clip in read_ravdess(folder):
        split = TRAIN if clip.actor <= _LAST_TRAINING_ACTOR else VALIDATION
        found[split].append(Item(clip.recording, clip.sentiment))
    return found


def write_table(
    path: Path,
    texts: Mapping[str, Sequence[Item]],
    recordings: Mapping[str, Sequence[Item]],
    *,
    seed: int,
    incomplete: float,
) -> int:
    """Pair each split and write the clip table; returns its number of rows.

    Only train rows are left incomplete, a share `incomplete` without sound and as many without words: validation asks
    each row in full, and by words and by sound alone.
    """
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(TRAINING_COLUMNS)
        for split in (TRAIN, VALIDATION):
            share = incomplete if split == TRAIN else 0.0
            pairs = pair(texts[split], recordings[split], seed=seed, without_sound=share, without_words=share)
            writer.writerows((*row, split) for row in pairs)
            rows += len(pairs)
    return rows


def pair_command(
    meld: Annotated[Path, typer.Option(help="Folder with train_sent_emo.csv and dev_sent_emo.csv.")],
    ravdess: Annotated[Path, typer.Option(help="Folder with labels.csv and flac/.")],
    output: Annotated[Path, typer.Option(help="Table to write.")],
    seed: Annotated[int, typer.Option(help="Which pairs are made.")] = 1,
    incomplete: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of train rows without sound, and share without words.")
    ] = 0.25,
) -> None:
    """Pair each MELD text with a RAVDESS recording of the same sentiment."""
    console = Console()
    try:
        rows = write_table(
            output, texts_of_meld(meld), recordings_of_ravdess(ravdess), seed=seed, incomplete=incomplete
        )
    except EdgeMcnnError as error:
        Console(stderr=True).print(f"pairing: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    console.print(
        f"{output}: {rows} rows; next: edge-mcnn train {output} --audio-root {ravdess}", markup=False, soft_wrap=True
    )


if __name__ == "__main__":
    typer.run(pair_command)
