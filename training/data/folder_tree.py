"""Reads what is in a folder of recordings, at any depth, and remembers everything that cannot be read."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.errors import TrainingError
from device.system.paths import cannot_use, explain
from training.data.clips import Skipped, why_unusable

SUFFIXES = frozenset({
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".avi", ".caf", ".flac", ".flv", ".m4a", ".m4b",
    ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".oga", ".ogg", ".opus", ".snd",
    ".w64", ".wav", ".wave", ".webm", ".wma", ".wmv", ".wv",
})  # fmt: skip
"""File name endings of recordings; other files are counted by their ending."""
_DEEPEST = 50
"""Folders inside folders; deeper ones are reported, not read."""
_METADATA = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})
"""Files that operating systems add to folders; all others begin with a dot."""


@dataclass(frozen=True)
class Folder:
    """A folder and everything in it, links followed."""

    path: Path
    direct: tuple[Path, ...]
    """Recordings directly in it that can be opened."""
    folders: tuple["Folder", ...]
    """Folders directly in it."""
    skipped: tuple[Skipped, ...]
    """What cannot be read, at any depth."""
    others: Counter[str]
    """Number of files that are no recordings, at any depth, by their ending."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    def recordings(self) -> Iterator[Path]:
        """Yield all recordings in it that can be opened, at any depth."""
        yield from self.direct
        for folder in self.folders:
            yield from folder.recordings()

    def filled(self) -> list["Folder"]:
        """Return the folders directly in it that hold recordings, at any depth."""
        return [folder for folder in self.folders if next(folder.recordings(), None) is not None]


def scan(folder: Path) -> Folder:
    """Read a folder and everything in it.

    Raises:
        TrainingError: the folder itself cannot be read.
    """
    try:
        found = os.stat(folder)  # noqa: PTH116  # also for paths that are too long
        entries = sorted(os.listdir(folder))  # noqa: PTH208  # as in `_inner`
    except (OSError, ValueError) as error:
        raise cannot_use(folder, error, TrainingError, fix="give the path of a folder of class folders") from None
    return _contents(folder, entries, ((found.st_dev, found.st_ino),))


def _contents(folder: Path, entries: Sequence[str], around: tuple[tuple[int, int], ...]) -> Folder:
    """Read what is in a folder.

    Args:
        folder: path of the folder.
        entries: names in the folder, sorted.
        around: device and inode of this folder and of those around it.
    """
    direct: list[Path] = []
    folders: list[Folder] = []
    skipped: list[Skipped] = []
    others: Counter[str] = Counter()
    for name in entries:
        path = folder / name
        if name.startswith(".") or name.casefold() in _METADATA:
            continue
        is_recording = path.suffix.lower() in SUFFIXES
        try:
            found = os.stat(path)  # noqa: PTH116  # as above
            if stat.S_ISDIR(found.st_mode):
                inner = _inner(path, (found.st_dev, found.st_ino), around)
                if isinstance(inner, Skipped):
                    skipped.append(inner)
                else:
                    folders.append(inner)
                continue
            reason = why_unusable(path) if is_recording else ""
        except OSError as error:
            reason = explain(error, path).message
            is_recording = is_recording or not path.suffix  # a link without an ending may have led to a folder
        if not is_recording:
            others[path.suffix.lower()] += 1
        elif reason:
            skipped.append(Skipped.unopened(path, reason))
        else:
            direct.append(path)
    for inner in folders:
        skipped += inner.skipped
        others += inner.others
    return Folder(folder, tuple(direct), tuple(folders), tuple(skipped), others)


def _inner(path: Path, identity: tuple[int, int], around: tuple[tuple[int, int], ...]) -> Folder | Skipped:
    if identity in around:
        return Skipped(path, "is a link to a folder around it", is_folder=True)
    if len(around) > _DEEPEST:
        return Skipped(path, f"is more than {_DEEPEST} folders deep", is_folder=True)
    try:
        entries = sorted(os.listdir(path))  # noqa: PTH208  # `Path.iterdir` would sort differently
    except OSError as error:
        return Skipped(path, explain(error, path).message, is_folder=True)
    return _contents(path, entries, (*around, identity))
