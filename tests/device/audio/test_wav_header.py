"""WAV files whose header states another length than the file has."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.audio.decoding import Decoder
from device.audio.wav_header import length_note, wav_length

RATE = 16_000


def wav(tmp_path: Path) -> tuple[bytes, int]:
    """The bytes of a second of audio, and the place of the size of its samples."""
    soundfile.write(tmp_path / "complete.wav", 0.3 * np.sin(np.arange(RATE) / 5), RATE)
    content = (tmp_path / "complete.wav").read_bytes()
    return content, content.index(b"data") + 4


def with_size(content: bytes, place: int, size: int) -> bytes:
    return content[:place] + struct.pack("<I", size) + content[place + 4 :]


def decoded(path: Path) -> int:
    with Decoder(path) as decoder:
        return sum(len(block) for block in decoder.blocks())


@pytest.mark.parametrize(
    ("change", "samples", "note"),
    [
        (lambda content, place: content, RATE, ""),
        (
            lambda content, place: content[: place + 4 + RATE],
            RATE // 2,
            "cut off: its header states 1.0 s of audio, and the file holds 0.5 s, which are used",
        ),
        (
            lambda content, place: with_size(content, place, 0),
            RATE,
            "its header states 0.0 s of audio, and the file holds 1.0 s; all of it is used",
        ),
        (
            lambda content, place: with_size(content, place, RATE // 2),
            RATE // 4,
            "its header states 0.2 s of audio, and the file holds 1.0 s; the rest is not used",
        ),
        # Written into a pipe, so the program did not know the length.
        (lambda content, place: with_size(content, place, 0xFFFFFFFF), RATE, ""),
        (lambda content, place: content + b"LIST" + struct.pack("<I", 4) + b"abcd", RATE, ""),
        (lambda content, place: content + b"\0", RATE, ""),
    ],
)
def test_lengths(change: object, samples: int, note: str, tmp_path: Path) -> None:
    assert callable(change)
    path = tmp_path / "x.wav"
    path.write_bytes(change(*wav(tmp_path)))
    assert length_note(path) == (f"{path}: {note}" if note else "")
    assert decoded(path) == samples


def test_other_files_have_no_length(tmp_path: Path) -> None:
    content, _ = wav(tmp_path)
    for name, part in (("short", content[:30]), ("empty", b""), ("text", b"x" * 100)):
        (tmp_path / name).write_bytes(part)
        assert wav_length(tmp_path / name) is None
    os.mkfifo(tmp_path / "pipe")
    assert wav_length(tmp_path / "pipe") is None  # it returns, and takes nothing from the pipe
    assert wav_length(tmp_path) is None
    assert length_note(tmp_path / "missing") == ""
