"""From recordings to the pictures that the network is trained on, each recording computed once.

The picture is `device.front_end.spectrogram`'s, so that training sees what the device will compute; librosa resamples.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, picture, silent_picture
from training.clip_table import Clip


@dataclass(frozen=True)
class ClipPictures:
    """The distinct pictures of some clips, and which of them belongs to which clip."""

    clips: tuple[Clip, ...]
    """The clips whose recording could be read, or that have none, in the given order."""
    pictures: NDArray[np.float32]
    """Shape (distinct, picture_height, picture_width, 3), 0 to 1; the first is the picture of silence."""
    index: NDArray[np.int64]
    """Shape (clips,): row in `pictures` of each clip; 0 for a clip without sound."""
    unreadable: tuple[Path, ...]
    """Recordings that could not be read; their clips are left out."""


def clip_pictures(clips: Sequence[Clip], front_end: FrontEnd, console: Console) -> ClipPictures:
    """Compute the picture of every distinct recording, on all cores.

    Raises:
        TrainingError: there are recordings, but none of them can be read.
    """
    files = list(dict.fromkeys(clip.audio for clip in clips if clip.audio is not None))
    rows: dict[Path | None, int] = {None: 0}
    pictures = [silent_picture(front_end)]
    unreadable: dict[Path, str] = {}

    def compute(file: Path) -> NDArray[np.float32] | str:
        try:
            return picture(mel_power(read_recording(file, front_end.sample_rate), front_end), front_end)
        except (OSError, ValueError, soundfile.SoundFileError) as error:
            return str(error)

    # Threads, not processes: decoding, resampling and the FFT release the interpreter lock, and threads start at once.
    with ThreadPoolExecutor() as pool:
        results = track(pool.map(compute, files), "pictures", len(files), console=console)
        for file, result in zip(files, results, strict=True):
            if isinstance(result, str):
                unreadable[file] = result
            else:
                rows[file] = len(pictures)
                pictures.append(result)
    if files and len(unreadable) == len(files):
        file, reason = next(iter(unreadable.items()))
        raise TrainingError(
            f"none of the {len(files)} recordings can be read; the first is {file} ({reason}); "
            "convert them to WAV or FLAC"
        )
    for file, reason in unreadable.items():
        console.print(f"skipped {file}: {reason}", style="yellow", markup=False)
    kept = tuple(clip for clip in clips if clip.audio in rows)
    if unreadable:
        console.print(
            f"{len(unreadable)} of {len(files)} recordings unreadable, {len(clips) - len(kept)} clips left out"
        )
    index = np.array([rows[clip.audio] for clip in kept], np.int64)
    return ClipPictures(kept, np.stack(pictures), index, tuple(unreadable))


def read_recording(file: Path, sample_rate: int) -> NDArray[np.float32]:
    """Read a recording of any rate and any number of channels.

    Returns:
        Shape (samples,), float32, -1 to 1, mono at `sample_rate` Hz.

    Raises:
        soundfile.SoundFileError: not a format that libsndfile reads.
        ValueError: it holds no samples, or values that are not numbers.
    """
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono: NDArray[np.float32] = samples.mean(axis=1)
    if not len(mono):
        raise ValueError("it holds no sound")
    if not np.isfinite(mono).all():
        raise ValueError("it holds values that are not numbers")
    if rate != sample_rate:
        mono = librosa.resample(mono, orig_sr=rate, target_sr=sample_rate)
    return mono
