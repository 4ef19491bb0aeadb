"""The recordings that a measurement of the response replays: a folder of them, each put into a quiet room.

A folder of a corpus has `labels.csv` (columns file, speaker, sentiment) and `flac/`; any other folder is searched for
audio files. Where the speech of a recording ends is determined from its energy alone, independently of the voice
detector that is measured.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.audio_file import Recording
from device.events import SAMPLE_RATE

_AUDIO = {".flac", ".wav", ".ogg"}
_WINDOW_S = 0.02
"""Seconds over which the energy is averaged."""
_LOUD = 0.95
"""Quantile of the windows of a clip whose energy counts as that of its loud speech."""
_AUDIBLE_DB = 30.0
"""Windows that are this much quieter than loud speech, or more, do not count as sound."""
_ROOM_DB = 40.0
"""How much quieter the noise of the room is than loud speech."""
_ROOM_DBFS = (-90.0, -62.0)
"""Lowest and highest level of the room; the highest is below the default gate, so that it is never speech."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording: a sentence, or read speech."""

    name: str
    samples: NDArray[np.int16]
    """Shape (n,), mono, 16 kHz."""
    speaker: str = ""
    sentiment: str = ""
    """The class that the corpus names; empty if it names none."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip in a quiet room."""

    samples: NDArray[np.int16]
    """Shape (n,), mono, 16 kHz: room, clip, room."""
    last_sound_s: float
    """Seconds from the start to the end of the last audible sound of the clip."""


def clips(folder: Path) -> Iterator[Clip]:
    """Yield the recordings in a folder, in the order of `labels.csv`, else of their paths.

    Raises:
        AudioError: a recording cannot be read.
    """
    table = folder / "labels.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                samples = _samples(folder / "flac" / row["file"])
                yield Clip(row["file"], samples, row["speaker"], row["sentiment"])
        return
    for path in sorted(each for each in folder.rglob("*") if each.suffix in _AUDIO):
        yield Clip(str(path.relative_to(folder)), _samples(path))


def scene(clip: Clip, *, before_s: float = 1.0, after_s: float = 2.0, seed: int = 0) -> Scene:
    """Put a clip into a room, whose noise goes on while the clip is played: a seam would be taken for a sound.

    Args:
        clip: the recording.
        before_s: seconds of room before it.
        after_s: seconds of room after it.
        seed: of the noise, which is white, 40 dB below loud speech.
    """
    energy = _energy(clip.samples)
    loud = float(np.quantile(energy, _LOUD)) if len(energy) else 0.0
    room_dbfs = np.clip(10 * np.log10(max(loud, 1e-12)) - _ROOM_DB, *_ROOM_DBFS)
    before, after = (np.zeros(round(seconds * SAMPLE_RATE)) for seconds in (before_s, after_s))
    samples = np.concatenate([before, clip.samples, after])
    samples += np.random.default_rng(seed).standard_normal(len(samples)) * 10 ** (room_dbfs / 20) * 32768
    limited = np.clip(np.round(samples), -32768, 32767).astype(np.int16)
    return Scene(limited, before_s + last_sound_s(clip.samples))


def last_sound_s(samples: NDArray[np.int16]) -> float:
    """Return where the last audible sound ends, in seconds: the last 20 ms within 30 dB of loud speech; 0 if none.

    Args:
        samples: shape (n,), mono, 16 kHz.
    """
    energy = _energy(samples)
    if not energy.any():
        return 0.0
    audible = np.flatnonzero(energy > np.quantile(energy, _LOUD) * 10 ** (-_AUDIBLE_DB / 10))
    return float(audible[-1] + 1) * _WINDOW_S if len(audible) else 0.0


def _energy(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Mean square of each window of 20 ms, relative to full scale, shape (windows,)."""
    window = round(_WINDOW_S * SAMPLE_RATE)
    whole = samples[: len(samples) // window * window].astype(np.float64) / 32768
    return np.asarray((whole.reshape(-1, window) ** 2).mean(axis=1))


def _samples(path: Path) -> NDArray[np.int16]:
    return np.concatenate([frame.samples for frame in Recording(path).frames()])
