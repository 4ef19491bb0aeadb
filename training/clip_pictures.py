"""From recordings to the pictures that the network is trained on, each recording computed once.

The picture is `device.front_end.spectrogram`'s, so that training sees what the device will compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from device.errors import AudioError, TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, picture, silent_picture
from training.clips import Clip
from training.parallel import on_all_cores
from training.picture_folder import PictureFolder
from training.skipped import Skipped, tell_skipped
from training.sound import read_recording


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


def clip_pictures(
    clips: Sequence[Clip], front_end: FrontEnd, console: Console, folder: Path | None = None
) -> ClipPictures:
    """Compute the picture of every distinct recording, on all cores.

    Args:
        clips: of any split.
        front_end: settings of the pictures.
        console: where progress and skipped recordings are shown.
        folder: keeps the pictures from one training to the next, see `PictureFolder`; None keeps them in memory only.

    Raises:
        TrainingError: there are recordings, but none of them can be read; or the folder cannot be written to.
    """
    files = list(dict.fromkeys(clip.audio for clip in clips if clip.audio is not None))
    kept_pictures = None if folder is None else PictureFolder(folder, front_end)
    rows: dict[Path | None, int] = {None: 0}
    # One block from the start: a list that is stacked at the end would need the memory twice.
    silence = silent_picture(front_end)
    pictures = np.empty((1 + len(files), *silence.shape), np.float32)
    pictures[0] = silence
    unreadable: list[Skipped] = []

    def compute(file: Path) -> NDArray[np.float32] | AudioError:
        try:
            if kept_pictures is not None:
                return kept_pictures.picture(file)
            return picture(mel_power(read_recording(file, front_end.sample_rate), front_end), front_end)
        except AudioError as error:
            return error

    if kept_pictures is not None:
        kept_pictures.fill(files, console)
    with on_all_cores(compute, files) as results:
        for file, result in zip(files, track(results, "pictures", len(files), console=console), strict=True):
            if isinstance(result, AudioError):
                unreadable.append(Skipped(file, str(result).removeprefix(f"{file}: ")))
            else:
                rows[file] = len(rows)
                pictures[rows[file]] = result
    if files and len(unreadable) == len(files):
        first = unreadable[0]
        raise TrainingError(
            f"none of the {len(files)} recordings can be read; the first is {first.recording} ({first.reason}); "
            "convert them to WAV or FLAC"
        )
    tell_skipped(unreadable, len(files), console)
    kept = tuple(clip for clip in clips if clip.audio in rows)
    if unreadable:
        console.print(f"{len(clips) - len(kept)} of {len(clips)} clips left out with them")
    index = np.array([rows[clip.audio] for clip in kept], np.int64)
    return ClipPictures(kept, pictures[: len(rows)], index, tuple(each.recording for each in unreadable))
