"""Examples from recordings: a table as `edge-mcnn record` writes it, or a folder with a folder per class."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device.adaptation.profile import RECORDING, Example
from device.errors import RecordingError
from device.loading import LoadedModels, classify
from device.recognition.explanation import NEVER
from device.recorder.clip_folder import TABLE
from device.recorder.clip_table import read_table
from device.settings.schema import Settings
from device.system.display import displayable
from device.system.paths import cannot_use

SUFFIXES = frozenset({
    ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".snd", ".w64", ".wav", ".wave",
})  # fmt: skip
"""File name endings of recordings in the folder of a class; other files are counted."""
_COLUMNS = ("audio", "label")
_GIVE = "give a table with the columns audio and label, or a folder with a folder of recordings per class"
_NAMED = 5
"""How many names a message lists."""


@dataclass(frozen=True)
class LabelledRecording:
    """A recording whose class is known."""

    path: Path
    """The file."""
    label: str
    """Its class."""


@dataclass(frozen=True)
class LabelledRecordings:
    """Recordings to learn from."""

    recordings: Sequence[LabelledRecording]
    """The recordings, at least one, in the order of the table, or by class and name."""
    remarks: Sequence[str]
    """Lines about what is left out."""


def find_recordings(source: Path, labels: Collection[str]) -> LabelledRecordings:
    """List the recordings of a table or a folder; none of them is opened.

    Args:
        source: a CSV table with the columns audio and label, whose paths start at its folder; a folder with such a
            table named `clips.csv`; or a folder that contains one folder of recordings per class.
        labels: classes of the model.

    Raises:
        RecordingError: it cannot be read, has no recordings, or has classes that the model does not have.
    """
    if not os.path.isdir(source):  # noqa: PTH112  # Path.is_dir raises in a closed folder
        found = _in_table(source)
    elif os.path.lexists(source / TABLE):
        source = source / TABLE
        found = _in_table(source)
    else:
        found = _in_folders(source)
    if not found.recordings:
        raise RecordingError(f"{displayable(source)}: no recordings in it", fix=_GIVE)
    unknown = list(dict.fromkeys(each.label for each in found.recordings if each.label not in labels))
    if unknown:
        raise RecordingError(
            f"{displayable(source)}: {_listed(unknown)} {'is no class' if len(unknown) == 1 else 'are no classes'} of "
            f"the model, which has {', '.join(map(displayable, labels))}",
            fix="name the classes as the model does, or choose another model with --model",
        )
    return found


def as_learnt(settings: Settings) -> Settings:
    """Return settings for `examples_of`: each utterance alone, and the network runs only once for it."""
    return replace(settings, classifier=replace(settings.classifier, explain=NEVER, context_s=0.0))


def examples_of(models: LoadedModels, recording: LabelledRecording) -> list[Example]:
    """Return an example for each utterance of a recording.

    Args:
        models: the models, with settings from `as_learnt`.
        recording: the recording.

    Raises:
        AudioError: it cannot be read, or no speech was detected in it.
    """
    return [
        Example.now(recording.label, prediction.features, RECORDING)
        for prediction in classify(models, recording.path)
        if prediction.features is not None
    ]


def _in_table(table: Path) -> LabelledRecordings:
    content = read_table(table, _COLUMNS, fix=_GIVE)
    recordings: dict[str, LabelledRecording] = {}
    without = repeated = 0
    for line, row in content.rows:
        audio, label = row["audio"].strip(), row["label"].strip()
        if not audio:
            without += 1
        elif not label:
            raise RecordingError(f"{displayable(table)}, line {line}: no label", fix="write the class into that line")
        else:
            recording = LabelledRecording(table.parent / audio, label)
            repeated += os.path.normpath(recording.path) in recordings
            recordings[os.path.normpath(recording.path)] = recording  # the last row counts, as in the profile
    remarks = []
    if without:
        remarks.append(f"left out {without} {'row' if without == 1 else 'rows'} without a recording")
    if repeated:
        remarks.append(f"left out {repeated} {'row' if repeated == 1 else 'rows'} whose recording is in a later row")
    return LabelledRecordings(list(recordings.values()), remarks)


def _in_folders(folder: Path) -> LabelledRecordings:
    recordings: list[LabelledRecording] = []
    others = 0
    for name in _entries(folder):
        inside = folder / name
        if os.path.isdir(inside):  # noqa: PTH112  # as above
            for path in _files(inside):
                if path.suffix.lower() in SUFFIXES:
                    recordings.append(LabelledRecording(path, name.strip()))
                else:
                    others += 1
        else:
            others += 1
    remark = f"left out {others} {'file' if others == 1 else 'files'} that are no recordings in the folder of a class"
    return LabelledRecordings(recordings, [remark] if others else [])


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, at any depth, by name; links to folders are not followed."""
    for name in _entries(folder):
        path = folder / name
        if not os.path.isdir(path):  # noqa: PTH112  # as above
            yield path
        elif not path.is_symlink():
            yield from _files(path)


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without hidden ones.

    Raises:
        RecordingError: it cannot be read.
    """
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208  # names suffice
    except (OSError, ValueError) as error:
        raise cannot_use(folder, error, RecordingError, fix=_GIVE) from None


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(map(displayable, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")
