"""Decodes audio files, and audio that a pipe delivers, from the first sample to the last.

libsndfile reads the formats. Some of its codecs cannot seek (GSM 6.10, G.721, G.723), others seek to the wrong place or
fail to (DWVW), and a length may be unknown: a file is therefore read in sequence, and its length is only a hint.
"""

import io
import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.wav_header import wav_length
from device.errors import AudioError, DecodingError
from device.system.display import displayable
from device.system.paths import GIT_LFS, cannot_use, error_about, is_git_lfs_pointer, is_git_lfs_pointer_file
from device.system.streams.stderr import silenced_c_libraries

LARGEST_PIPE_MB = 256
"""Megabytes that are read from a pipe at most: 45 minutes of 48 kHz, 16 bit, mono. They stay in memory."""
WRITER_LIMIT_S = 5.0
"""Seconds to wait for a program that opens a named pipe for writing."""
DATA_LIMIT_S = 30.0
"""Seconds to wait for the next bytes of a pipe."""

STANDARD_INPUT = Path("/dev/stdin")
_OTHER_NAMES = frozenset({"/dev/fd/0", "/proc/self/fd/0"})
_BLOCK_SECONDS = 0.1
_READ_BYTES = 1 << 20
_FIX = "give the path of a WAV or FLAC file"
_FILE_KINDS = (
    (stat.S_ISDIR, "is a folder", "name the recordings in it"),
    (stat.S_ISCHR, "is a device, not a recording", _FIX),
    (stat.S_ISBLK, "is a disk, not a recording", _FIX),
    (stat.S_ISSOCK, "is a socket, not a recording", _FIX),
    (stat.S_ISFIFO, "is a pipe, which can be read only once", "write its content to a file first"),
)


class Decoder:
    """A file, or the bytes of one, that is being decoded; a context manager.

    Args:
        path: the file, and its name in errors.
        content: the bytes of the file if they are in memory; they are decoded instead.

    Raises:
        AudioError: the file cannot be read, or is not a regular file.
        DecodingError: libsndfile does not know the format.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self._path = path
        if content is None:
            require_regular_file(path)
            found = wav_length(path)
            if found is not None and found.unfinished and found.present < LARGEST_PIPE_MB << 20:
                content = b"RIFF\0\0\0\0" + path.read_bytes()[8:]
        self._file = self._open(path, content)
        self.rate = int(self._file.samplerate)
        """Sample rate, Hz."""
        self.channels = int(self._file.channels)
        """Number of channels."""
        self.length = int(self._file.frames)
        """Samples per channel as the header states them, which may be wrong."""
        self._chatty = "MP3" in self._file.format or "MPEG" in self._file.subtype

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def blocks(self, seconds: float = _BLOCK_SECONDS) -> Iterator[NDArray[np.float32]]:
        """Yield the samples in blocks, shape (n, channels), -1 to 1 unless the file holds other numbers.

        Args:
            seconds: length of a block. Longer ones need more memory and less time.

        Raises:
            DecodingError: the file is damaged further on.
        """
        length = max(1, int(self.rate * seconds))
        while True:
            try:
                if self._chatty:
                    with silenced_c_libraries():
                        block = self._file.read(length, dtype="float32", always_2d=True)
                else:
                    block = self._file.read(length, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise DecodingError(f"{displayable(self._path)}: damaged ({_reason(error)})") from None
            if not len(block):
                return
            yield block

    def _open(self, path: Path, content: bytes | None) -> "_SequentialFile":
        if content is None and path.suffix.lower() == ".raw":
            raise AudioError(
                f"{displayable(path)}: raw samples without a header, so their rate and format are unknown",
                fix="convert them, for example: sox -r 16000 -e signed -b 16 -c 1 NAME.raw NAME.wav",
            )
        try:
            with silenced_c_libraries():
                return _SequentialFile(os.fsencode(path) if content is None else _Bytes(_with_length(content)))
        except soundfile.SoundFileError as error:
            if is_git_lfs_pointer_file(path) if content is None else is_git_lfs_pointer(content):
                raise error_about(path, GIT_LFS, AudioError) from None
            raise DecodingError(f"{displayable(path)}: not a readable recording ({_reason(error)})", fix=_FIX) from None
        except (OSError, ValueError) as error:
            raise cannot_use(path, error, AudioError, fix=_FIX) from None


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file in which soundfile seeks nowhere, which it otherwise does after each block."""

    def seekable(self) -> bool:
        """Return False, for any codec."""
        return False


class _Bytes(io.BytesIO):
    """Bytes in which libsndfile may try to seek to a place before their start, as damaged files make it do."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a place, or stay if there is no such place."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


def _with_length(content: bytes) -> bytes:
    """Mark a WAV file whose length was not known when its header was written, so that libsndfile reads to its end."""
    return b"RIFF\x08\0\0\0" + content[8:] if content.startswith(b"RIFF\0\0\0\0") else content


def require_regular_file(path: Path) -> None:
    """Check that a path names a file that can be read, more than once, and has an end.

    Raises:
        AudioError: it does not exist, is not readable, or is a folder, a pipe, a socket or a device.
    """
    mode = _mode(path)
    for is_kind, kind, fix in _FILE_KINDS:
        if is_kind(mode):
            raise AudioError(f"{displayable(path)}: {kind}", fix=fix)
    try:
        os.close(os.open(path, os.O_RDONLY))  # libsndfile does not report why it cannot open a file
    except (OSError, ValueError) as error:
        raise cannot_use(path, error, AudioError, fix=_FIX) from None


def read_if_pipe(path: Path) -> bytes | None:
    """Read a pipe or standard input to its end; other files are left alone.

    Args:
        path: `STANDARD_INPUT`, a named pipe, the pipe of a process substitution `<(command)`, or any other path.

    Returns:
        The bytes; None if the path is no pipe.

    Raises:
        AudioError: nothing is written into the pipe, or more than `LARGEST_PIPE_MB`; or standard input is a terminal
            or a device.
    """
    is_standard_input = path == STANDARD_INPUT or str(path) in _OTHER_NAMES
    try:
        mode = os.fstat(0).st_mode if is_standard_input else path.stat().st_mode
    except (OSError, ValueError):
        return None  # `Decoder` reports why
    if is_standard_input and stat.S_ISCHR(mode):
        raise AudioError(
            "standard input is a terminal or a device, not a recording",
            fix="pipe a recording into the command, or name a file",
        )
    if not stat.S_ISFIFO(mode) and not (is_standard_input and (stat.S_ISREG(mode) or stat.S_ISSOCK(mode))):
        return None
    name = displayable(path)
    if is_standard_input:
        return _collect(_standard_input(name), name)
    try:
        # Not blocking: without a program that writes into it, opening a pipe would wait without end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_use(path, error, AudioError, fix=_FIX) from None
    try:
        return _collect(_named_pipe(descriptor, name), name)
    finally:
        os.close(descriptor)


def _standard_input(name: str) -> Iterator[bytes]:
    while True:
        _wait_for_data(0, name)
        if not (part := os.read(0, _READ_BYTES)):
            return
        yield part


def _named_pipe(descriptor: int, name: str) -> Iterator[bytes]:
    """Yield what a pipe delivers that does not block: it is at its end whenever no program has it open for writing."""
    received = waited = False
    while True:
        try:
            part = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            _wait_for_data(descriptor, name)
            continue
        if part:
            received = True
            yield part
        elif received:
            return
        elif waited:
            raise AudioError(
                f"{name}: is a pipe that no program writes into", fix="start the program that writes into it first"
            )
        else:
            waited = True
            _can_be_read(descriptor, WRITER_LIMIT_S)


def _collect(parts: Iterator[bytes], name: str) -> bytes:
    content = bytearray()
    for part in parts:
        content += part
        if len(content) > LARGEST_PIPE_MB << 20:
            raise AudioError(
                f"{name}: delivers more than {LARGEST_PIPE_MB} MB", fix="write the recording to a file, and name that"
            )
    if not content:
        raise AudioError(f"{name}: is empty: nothing was written into it, or it was read before")
    return bytes(content)


def _wait_for_data(descriptor: int, name: str) -> None:
    if not _can_be_read(descriptor, DATA_LIMIT_S):
        raise AudioError(
            f"{name}: delivers nothing for {DATA_LIMIT_S:g} s", fix="check the program that writes into the pipe"
        )


def _can_be_read(descriptor: int, limit_s: float) -> bool:
    """Wait until something can be read, or the pipe has ended; False after the limit."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * limit_s))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError) as error:
        raise cannot_use(path, error, AudioError, fix=_FIX) from None


def _reason(error: Exception) -> str:
    """The part of libsndfile's message that is about the file, on one line."""
    return displayable(str(error).rpartition(": ")[2].rstrip(".") or "unreadable")
