"""Pairs a corpus of labelled texts with a corpus of labelled recordings of the same classes into one clip table.

It replaces a corpus with both emotional audio and varied text, which is not available. The pairs are synthetic: text
and audio share their class and nothing else. The split is by speaker, not by clip, so that validation uses voices that
training does not.

    python -m training.default_model.synthetic_pairs --meld MELD --ravdess RAVDESS --output table.csv
"""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from device.errors import EdgeMcnnError, TrainingError
from device.front_end.tokens import normalise
from device.recorder.clip_table import TRAINING_COLUMNS
from device.system.atomic_write import write_text
from device.system.display import shell_quoted
from device.system.streams.console import SafeConsole
from training.data.clips import TRAIN, VALIDATION
from training.data.meld import read_meld
from training.default_model.audio_branch.acted_speech import RAVDESS, read_acted_speech
from training.default_model.class_sets import SENTIMENT, ClassSet

HELD_OUT_ACTORS = (17, 18, 19, 20)
"""Actors of RAVDESS whose recordings are for validation; those of all others are for training."""


@dataclass(frozen=True)
class Item:
    """A text or a recording with its class."""

    content: str
    """The text, or the path of the recording relative to its corpus."""
    label: str
    """Name of the class."""


def pair(
    texts: Sequence[Item],
    recordings: Sequence[Item],
    *,
    seed: int,
    without_audio: float = 0.0,
    without_text: float = 0.0,
) -> list[tuple[str, str, str]]:
    """Give each text a recording of its class, every recording of a class about equally often.

    Args:
        texts: texts, each of which becomes a row, in the same order; those without a word are left out.
        recordings: recordings, at least one of each class that the texts have.
        seed: random seed of the pairs and of the incomplete rows.
        without_audio: share of the rows that get no recording.
        without_text: share of the rows that lose their text. Without such rows a network would learn from the modality
            that is easier to learn from, and its other branch would learn nothing.

    Returns:
        Rows (recording, text, label); recording or text is empty where it is left out.

    Raises:
        TrainingError: a class has no recording, or the shares exceed 1.
    """
    if min(without_audio, without_text) < 0 or without_audio + without_text > 1:
        raise TrainingError(
            f"shares of incomplete rows are {without_audio} and {without_text}",
            fix="choose shares of together at most 1",
        )
    random = np.random.default_rng(seed)
    texts = [text for text in texts if normalise(text.content)]
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    for recording in recordings:
        by_label[recording.label].append(recording.content)
    order = random.permutation(len(texts))
    no_audio = set(order[: round(without_audio * len(texts))].tolist())
    no_text = set(order[len(no_audio) : len(no_audio) + round(without_text * len(texts))].tolist())
    unused: defaultdict[str, list[str]] = defaultdict(list)
    rows = []
    for number, text in enumerate(texts):
        if number in no_audio:
            rows.append(("", text.content, text.label))
            continue
        if not unused[text.label]:
            if not by_label[text.label]:
                raise TrainingError(
                    f"no recording of class {text.label!r} to pair a text with", fix="rename the class or add one"
                )
            unused[text.label] = [by_label[text.label][i] for i in random.permutation(len(by_label[text.label]))]
        rows.append((unused[text.label].pop(), "" if number in no_text else text.content, text.label))
    return rows


def texts_of_meld(folder: Path, classes: ClassSet = SENTIMENT) -> dict[str, list[Item]]:
    """Return MELD's train and dev utterances by split, labelled with their class; see `read_meld`."""
    clips, _ = read_meld(folder, classes.meld_target, audio=False)
    return {
        split: [Item(clip.text, clip.label) for clip in clips if clip.split == split] for split in (TRAIN, VALIDATION)
    }


def recordings_of_ravdess(folder: Path, classes: ClassSet = SENTIMENT) -> dict[str, list[Item]]:
    """Return recordings of RAVDESS that have a class: the `HELD_OUT_ACTORS` for validation, the others for training."""
    found: dict[str, list[Item]] = {TRAIN: [], VALIDATION: []}
    for clip in read_acted_speech(folder, RAVDESS):
        label = classes.of_acted_emotion.get(clip.emotion)
        if label is not None:
            split = VALIDATION if clip.speaker in HELD_OUT_ACTORS else TRAIN
            found[split].append(Item(clip.path, label))
    return found


def write_table(
    path: Path,
    texts: Mapping[str, Sequence[Item]],
    recordings: Mapping[str, Sequence[Item]],
    *,
    seed: int,
    incomplete: float,
) -> int:
    """Pair each split and write the clip table.

    Args:
        path: file to write.
        texts: texts by split.
        recordings: recordings by split.
        seed: random seed of the pairs.
        incomplete: share of the train rows without audio, and share without text. Validation rows are complete: an
            evaluation blanks their audio or text itself.

    Returns:
        Number of rows.

    Raises:
        TrainingError: the file cannot be written; it is unchanged.
    """
    rows = 0
    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(TRAINING_COLUMNS)
    for split in (TRAIN, VALIDATION):
        share = incomplete if split == TRAIN else 0.0
        pairs = pair(texts[split], recordings[split], seed=seed, without_audio=share, without_text=share)
        writer.writerows((*row, split) for row in pairs)
        rows += len(pairs)
    try:
        write_text(path, content.getvalue())
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror})", fix="free some space") from None
    return rows


def pair_command(
    meld: Annotated[Path, typer.Option(help="Folder with train_sent_emo.csv and dev_sent_emo.csv.")],
    ravdess: Annotated[Path, typer.Option(help="Folder with labels.csv and flac/.")],
    output: Annotated[Path, typer.Option(help="Table to write.")],
    seed: Annotated[int, typer.Option(help="Random seed of the pairs.")] = 1,
    incomplete: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of train rows without audio, and share without text.")
    ] = 0.25,
) -> None:
    """Pair each MELD text with a RAVDESS recording of the same sentiment."""
    try:
        rows = write_table(
            output, texts_of_meld(meld), recordings_of_ravdess(ravdess), seed=seed, incomplete=incomplete
        )
    except EdgeMcnnError as error:
        errors = SafeConsole(stderr=True)
        errors.print(f"synthetic pairs: {error.message}", style="red", soft_wrap=True)
        if error.fix:
            errors.print(f"  fix: {error.fix}", soft_wrap=True)
        raise typer.Exit(1) from None
    SafeConsole().print(
        f"{output}: {rows} rows; next: edge-mcnn train {shell_quoted(output)} --audio-root {shell_quoted(ravdess)}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    typer.run(pair_command)
