"""A folder of clips, `angry/0001.flac` and so on, and the table `clips.csv`, which is always consistent with them.

First the clip is written atomically, then the table. If the power fails between the two, the clip without a row is
found when the folder is opened the next time: its tags contain its transcript and its speaker, as those of a song do.
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

from device.audio.decoding import require_regular_file
from device.errors import AudioError, RecordingError
from device.events import SAMPLE_RATE
from device.recorder.clip_table import ClipRows, Row, read_clip_rows, write_clip_rows
from device.recorder.names import is_class_name
from device.system.atomic_write import atomic_write, remove_partial_files
from device.system.display import displayable
from device.system.streams.stderr import silenced_c_libraries

TABLE = "clips.csv"
_CLIP = re.compile(r"[0-9]{4,9}\.flac")


class ClipFolder:
    """Adds clips to a folder, one process at a time; a context manager that locks the folder.

    Opening the folder repairs its table after a power failure, or after clips were deleted by hand.

    Args:
        path: the folder; created if it is missing.
        announce: called with a line for each repair of the table.

    Raises:
        RecordingError: the folder cannot be written to, another process records into it, or its `clips.csv` is not a
            clip table.
    """

    def __init__(self, path: Path, announce: Callable[[str], None]) -> None:
        self.path = path
        self.table = path / TABLE
        self._announce = announce
        self._lock = self._open()
        try:
            self._content = read_clip_rows(self.table)
            self._repair()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> "ClipFolder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def counts(self) -> Counter[str]:
        """Number of clips per class."""
        return Counter(row["label"].strip() for row in self._content.rows if row["audio"].strip())

    @property
    def has_transcripts(self) -> bool:
        """Whether any clip has a transcript."""
        return any(row["text"].strip() for row in self._content.rows)

    def add(self, samples: NDArray[np.int16], label: str, text: str, speaker: str) -> str:
        """Write a clip and its row.

        Args:
            samples: shape (n,), int16, mono, 16 kHz.
            label: class of the clip.
            text: transcript of the clip.
            speaker: name of the speaker; empty if it is unknown.

        Returns:
            The name of the clip in the table, such as `angry/0001.flac`.

        Raises:
            RecordingError: it cannot be written. Clips and table are unchanged.
        """
        clip = self.path / label / f"{self._last_number(label) + 1:04}.flac"
        row = {"audio": self._name(clip), "text": text, "label": label, "speaker": speaker}
        extended = ClipRows(self._content.columns, [*self._content.rows, self._row(row)])
        try:
            clip.parent.mkdir(exist_ok=True)
            with atomic_write(clip) as stream:
                stream.write(_flac(samples, text, speaker))
            try:
                write_clip_rows(self.table, extended)
            except BaseException:
                clip.unlink()
                raise
        except OSError as error:
            raise RecordingError(
                f"{clip}: cannot be written ({error.strerror})", fix="free some space; the clips saved before are safe"
            ) from None
        self._content = extended
        return row["audio"]

    def _open(self) -> int:
        """Create the folder, check that it can be written to, and lock it; returns the descriptor of the lock."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            lock = os.open(self.path, os.O_RDONLY)
        except (OSError, ValueError) as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else getattr(error, "strerror", None) or error
            raise RecordingError(f"{self.path}: cannot record into it ({reason})", fix="use another folder") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise RecordingError(
                f"{self.path}: another edge-mcnn is recording into it", fix="stop that one first"
            ) from None
        except OSError:
            return lock  # a file system without locks, where two sessions are not detected
        return lock

    def _repair(self) -> None:
        """Make the table consistent with the clips in the folder."""
        remove_partial_files(self.path, TABLE)
        clips = [clip for folder in self._class_folders() for clip in _clips(folder)]
        deleted = [row for row in self._content.rows if self._is_deleted(row["audio"].strip())]
        present = [row for row in self._content.rows if row not in deleted]
        known = {os.path.normpath(self.path / row["audio"].strip()) for row in present}
        added = [self._row_from_tags(clip) for clip in clips if os.path.normpath(clip) not in known]
        if not added and not deleted:
            return
        for row in deleted:
            self._announce(f"{row['audio']} was deleted; its line was removed from {self.table}")
        for row in added:
            self._announce(f"{row['audio']} had no line in {self.table}; it was added")
        content = ClipRows(self._content.columns, [*present, *added])
        try:
            write_clip_rows(self.table, content)
        except OSError as error:
            raise RecordingError(f"{self.table}: cannot be written ({error.strerror})", fix="free some space") from None
        self._content = content

    def _is_deleted(self, audio: str) -> bool:
        """Whether this names a recorded clip that does not exist any more."""
        label, _, name = audio.rpartition("/")
        return is_class_name(label) and bool(_CLIP.fullmatch(name)) and not (self.path / audio).exists()

    def _name(self, clip: Path) -> str:
        """The name of a clip in the table."""
        return clip.relative_to(self.path).as_posix()

    def _row_from_tags(self, clip: Path) -> Row:
        """A row for a clip that has none."""
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
        """The highest number of the clips of a class, so that no number is used twice; 0 if there are none."""
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
    """The transcript and the speaker of a clip."""
    fix = "delete it or move it away"
    try:
        require_regular_file(clip)
        with silenced_c_libraries(), soundfile.SoundFile(os.fsencode(clip)) as file:
            return file.comment, file.artist
    except AudioError as error:
        raise RecordingError(error.message, fix=fix) from None
    except (OSError, soundfile.SoundFileError):
        raise RecordingError(f"{displayable(clip)}: not a readable recording", fix=fix) from None
