"""Compares the length that the header of a WAV file states with the bytes that the file has.

A copy that was interrupted is shorter than its header states; a program that was killed while it recorded leaves a
header that states no length at all, or too little.
"""

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from device.system.display import displayable

_UNKNOWN = 0x7FFF0000
"""From this size on, bytes, a program did not know the length when it wrote the header into a pipe."""
_MOST_CHUNKS = 100


class WavLength(NamedTuple):
    """The length of the samples of a WAV file."""

    stated: int
    """Bytes of samples, as the header states them."""
    present: int
    """Bytes of the file from the first sample on, up to its end."""
    bytes_per_s: int
    """Bytes per second, as the header states them; 0 if it does not."""
    extra: bool
    """Whether bytes follow the stated samples that are no further chunk of the file."""

    @property
    def cut(self) -> bool:
        """Whether the file ends before the stated end of its samples."""
        return self.present < self.stated < _UNKNOWN

    @property
    def unfinished(self) -> bool:
        """Whether the header states no samples at all, and there are some."""
        return self.stated == 0 and self.present > 0 and self.extra

    def seconds(self, size: int) -> str:
        """Return the duration of this many bytes of samples, such as `1.2 s`, or the bytes if the rate is unknown."""
        return f"{size / self.bytes_per_s:.1f} s" if self.bytes_per_s else f"{size} bytes"


def wav_length(path: Path) -> WavLength | None:
    """Read the header of a WAV file; None if the file is in another format or cannot be read."""
    try:
        if not path.is_file():
            return None  # reading a pipe would take its content from the caller
        with path.open("rb") as stream:
            return _read(stream, path.stat().st_size)
    except (OSError, ValueError, struct.error):
        return None


def length_note(path: Path) -> str:
    """Return what is unusual about the length of a WAV file, as one line; empty if nothing is."""
    found = wav_length(path)
    if found is None:
        return ""
    if found.cut:
        return (
            f"{displayable(path)}: cut off: its header states {found.seconds(found.stated)} of audio, and the file "
            f"holds {found.seconds(found.present)}, which are used"
        )
    if found.extra:
        used = "all of it is used" if found.unfinished else "the rest is not used"
        return (
            f"{displayable(path)}: its header states {found.seconds(found.stated)} of audio, and the file holds "
            f"{found.seconds(found.present)}; {used}"
        )
    return ""


def _read(stream: BinaryIO, size: int) -> WavLength | None:
    start = stream.read(12)
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        return None
    bytes_per_s = 0
    for _ in range(_MOST_CHUNKS):
        name, length = struct.unpack("<4sI", stream.read(8))
        begin = stream.tell()
        if name == b"data":
            present = size - begin
            rest = present - length
            stream.seek(begin + length + length % 2)
            extra = rest > 1 and not _is_chunk(stream.read(8))
            return WavLength(length, present, bytes_per_s, extra)
        if name == b"fmt ":
            bytes_per_s = struct.unpack("<8xI", stream.read(12))[0]
        stream.seek(begin + length + length % 2)
    return None


def _is_chunk(header: bytes) -> bool:
    """Return whether these bytes may begin a chunk: its name is four letters, digits or spaces."""
    name = header[:4]
    return len(header) == 8 and name.isascii() and name.decode("ascii").isprintable()
