"""Reads a folder of class folders: `happy/0001.wav` is a clip with the label `happy`.

Recordings may lie in further folders inside. One more level is accepted as well: `train/happy/0001.wav` with
`validation` (or `dev`) and `test` beside `train`.
"""

from collections.abc import Iterator
from pathlib import Path

from device.errors import TrainingError
from training.data.clips import SPLIT_NAMES, Clip, is_recording
from training.data.splits import make_splits

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".m4a", ".mp4", ".mkv", ".mov", ".avi", ".webm"})
"""File name endings of recordings; other files are ignored."""


def read_class_folders(folder: Path, seed: int = 1) -> tuple[tuple[Clip, ...], str]:
    """Read a folder of class folders; its clips have audio and no text.

    Args:
        folder: path of a folder that holds one folder per class, or one folder per split that holds these.
        seed: seed of the splits, used where the folders do not define any.

    Returns:
        The clips, and a sentence on how they were split if the folders do not define the splits, else an empty string.

    Raises:
        TrainingError: there are no folders in it, no recordings in these, or a name that a table cannot hold.
    """
    try:
        inside = _folders(folder)
    except OSError as error:
        raise TrainingError(
            f"{folder}: cannot be read ({error.strerror})", fix="give the path of a folder of class folders"
        ) from None
    if not inside:
        raise TrainingError(
            f"{folder}: no folders in it", fix="make a folder for each class and put its recordings there"
        )
    has_splits = all(path.name in SPLIT_NAMES for path in inside)
    parts = [(SPLIT_NAMES[path.name], path) for path in inside] if has_splits else [("", folder)]
    clips = tuple(
        Clip(recording, "", class_folder.name, split, id=recording.relative_to(folder).as_posix())
        for split, part in parts
        for class_folder in _folders(part)
        for recording in _recordings(class_folder)
    )
    if not clips:
        raise TrainingError(
            f"{folder}: no recordings in its folders", fix=f"add files that end in {', '.join(sorted(SUFFIXES))}"
        )
    for clip in clips:
        # The label goes into a model and the path into tables, which are UTF-8 and have a clip on each line.
        if len(clip.label.splitlines()) != 1 or any("\ud800" <= letter <= "\udfff" for letter in str(clip.audio)):
            raise TrainingError(f"{folder}: {clip.id!r} is not a plain name in UTF-8", fix="rename it")
    return (clips, "") if has_splits else make_splits(clips, seed)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _recordings(folder: Path) -> Iterator[Path]:
    # Names that begin with a dot are the metadata files that macOS packs beside real files.
    yield from sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and is_recording(path)
    )
