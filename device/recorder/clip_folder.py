"""A folder of clips: `angry/0001.flac` and so on, and the table `clips.csv`, which always go together.

A clip is written beside its place, and moved there when it is whole; then the table is written in the same way. What
a power cut left between the two is found when the folder is opened the next time: a clip carries its words and its
speaker in its tags, as a song does.
"""

import fcntl
import io
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.errors import RecordingError
from device.events import SAMPLE_RATE
from device.recorder.clip_table import ClipRows, Row, read_clip_rows, write_clip_rows
from device.recorder.names import is_class_name
from device.system.atomic_write import atomic_write, remove_partial_files

TABLE = "clips.csv"
_CLIP = re.compile(r"[0-9]{4,9}\.flac")


class ClipFolder:
    """Adds clips to a folder; one process at a time. A context manager, which holds the folder while it is open.

    Args:
        path: the folder; made if it is missing.
        announce: is told what was put right.

    Raises:
        RecordingError: nothing can be written there, another process records into it, or its table is another's.
    """

    def __init__(self, path: Path, announce: Callable[[str], None]) -> None:
        self.path = path
        self.table = path / TABLE
        self._announce = announce
        self._lock = self._opened()
        try:
            self._content = read_clip_rows(self.table)
            self._put_right()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> "ClipFolder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def counts(self) -> Counter[str]:
        """How many clips each class has."""
        return Counter(row["label"].strip() for row in self._content.rows if row["audio"].strip())

    @property
    def has_words(self) -> bool:
        """Whether the words of any clip are known."""
        return any(row["text"].strip() for row in self._content.rows)

    def add(self, samples: NDArray[np.int16], label: str, text: str, speaker: str) -> str:
        """Write a clip and its row; gives its name in the table.

        Args:
            samples: shape (n,), mono, 16 kHz.
            label: its class.
            text: what was said.
            speaker: who spoke; empty if it is not known.

        Raises:
            RecordingError: it cannot be written. Clips and table are as they were.
        """
        clip = self.path / label / f"{self._last_number(label) + 1:04}.flac"
        row = {"audio": self._name(clip), "text": text, "label": label, "speaker": speaker}
        grown = ClipRows(self._content.columns, [*self._content.rows, self._row(row)])
        try:
            clip.parent.mkdir(exist_ok=True)
            with atomic_write(clip) as stream:
                stream.write(_flac(samples, text, speaker))
            try:
                write_clip_rows(self.table, grown)
            except BaseException:
                clip.unlink()
                raise
        except OSError as error:
            raise RecordingError(
                f"{clip}: cannot be written ({error.strerror}); free some space. What was kept before is safe"
            ) from None
        self._content = grown
        return row["audio"]

    def _opened(self) -> int:
        """Make the folder, see that it can be written to, and hold it: a descriptor."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            lock = os.open(self.path, os.O_RDONLY)
        except (OSError, ValueError) as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else getattr(error, "strerror", None) or error
            raise RecordingError(f"{self.path}: cannot record into it ({reason}); name another folder") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise RecordingError(f"{self.path}: another edge-mcnn records into it; end that first") from None
        except OSError:
            return lock  # a file system without locks, where whoever records twice must take care
        return lock

    def _put_right(self) -> None:
        """Let the table say what is there."""
        remove_partial_files(self.path, TABLE)
        ours = [clip for folder in self._class_folders() for clip in _clips(folder)]
        gone = [row for row in self._content.rows if self._is_gone(row["audio"].strip())]
        kept = [row for row in self._content.rows if row not in gone]
        known = {os.path.normpath(self.path / row["audio"].strip()) for row in kept}
        found = [self._found(clip) for clip in ours if os.path.normpath(clip) not in known]
        if not found and not gone:
            return
        for row in gone:
            self._announce(f"{row['audio']} is gone, and its line leaves {self.table}")
        for row in found:
            self._announce(f"{row['audio']} had no line in {self.table}, and has one now")
        content = ClipRows(self._content.columns, [*kept, *found])
        try:
            write_clip_rows(self.table, content)
        except OSError as error:
            raise RecordingError(f"{self.table}: cannot be written ({error.strerror}); free some space") from None
        self._content = content

    def _is_gone(self, audio: str) -> bool:
        """Whether this is a clip of ours that somebody has deleted."""
        label, _, name = audio.rpartition("/")
        return is_class_name(label) and bool(_CLIP.fullmatch(name)) and not (self.path / audio).exists()

    def _name(self, clip: Path) -> str:
        """As it stands in the table."""
        return clip.relative_to(self.path).as_posix()

    def _found(self, clip: Path) -> Row:
        """The row of a clip that has none."""
        text, speaker = _tags(clip)
        return self._row({"audio": self._name(clip), "text": text, "label": clip.parent.name, "speaker": speaker})

    def _row(self, values: Row) -> Row:
        return dict.fromkeys(self._content.columns, "") | {"split": self._content.split} | values

    def _class_folders(self) -> Iterator[Path]:
        for folder in sorted(self.path.iterdir()):
            if folder.is_dir() and is_class_name(folder.name):
                remove_partial_files(folder, "[0-9]*.flac")
                yield folder

    def _last_number(self, label: str) -> int:
        """Of the clips of a class; a number is not given twice."""
        folder = self.path / label
        return max((int(clip.stem) for clip in _clips(folder)), default=0) if folder.is_dir() else 0


def _clips(folder: Path) -> list[Path]:
    return sorted(clip for clip in folder.iterdir() if _CLIP.fullmatch(clip.name))


def _flac(samples: NDArray[np.int16], text: str, speaker: str) -> bytes:
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", SAMPLE_RATE, 1, subtype="PCM_16", format="FLAC") as file:
        if text:
            file.comment = text
        if speaker:
            file.artist = speaker
        file.write(samples)
    return stream.getvalue()


def _tags(clip: Path) -> tuple[str, str]:
    """The words and the speaker of a clip."""
    try:
        with soundfile.SoundFile(clip) as file:
            return file.comment, file.artist
    except (OSError, soundfile.SoundFileError):
        raise RecordingError(f"{clip}: not a readable recording; delete it or move it away") from None
