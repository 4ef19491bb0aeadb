"""From recordings to the pictures that the network is trained on, or what it sees in them, each computed once.

The picture is `device.front_end.spectrogram`'s, so that training sees what the device will compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.errors import AudioError, TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image
from training.data.audio_reading import read_recording
from training.data.clips import Clip, Skipped, report_skipped
from training.images.feature_cache import FeatureCache
from training.images.image_cache import ImageCache
from training.images.spectrogram import compute_image
from training.parallel import on_all_cores

_AT_ONCE = 128
"""Recordings whose pictures are in memory at once on their way to features."""


@dataclass(frozen=True)
class ClipImages:
    """The distinct pictures of some clips, and which of them belongs to which clip."""

    clips: tuple[Clip, ...]
    """The clips whose recording could be read, or that have none, in the given order."""
    images: NDArray[np.float32]
    """Shape (distinct, image_height, image_width, 3), 0 to 1, or (distinct, n) features of them; the first is the
    picture of silence."""
    index: NDArray[np.int64]
    """Shape (clips,): row in `pictures` of each clip; 0 for a clip without sound."""
    unreadable: tuple[Path, ...]
    """Recordings that could not be read; their clips are left out."""


def clip_images(
    clips: Sequence[Clip],
    front_end: FrontEnd,
    console: Console,
    folder: Path | None = None,
    features: FeatureCache | None = None,
) -> ClipImages:
    """Compute the picture of every distinct recording, on all cores, and if asked for the features of each.

    With `features` no more than some pictures are in memory at a time, however many recordings there are, and what is
    kept there is not computed again.

    Args:
        clips: of any split.
        front_end: settings of the pictures.
        console: where progress and skipped recordings are shown.
        folder: keeps the pictures from one training to the next, see `ImageCache`; None keeps none.
        features: turns pictures into what `ClipImages.images` shall hold; None holds the pictures themselves.

    Raises:
        TrainingError: there are recordings, but none of them can be read; or the folder cannot be written to.
    """
    files = list(dict.fromkeys(clip.audio for clip in clips if clip.audio is not None))
    kept_pictures = None if folder is None else ImageCache(folder, front_end)
    if kept_pictures is not None:
        kept_pictures.fill(files, console)

    def one(file: Path) -> NDArray[np.float32] | AudioError:
        try:
            if kept_pictures is not None:
                return kept_pictures.picture(file)
            return compute_image(read_recording(file, front_end.sample_rate), front_end)
        except AudioError as error:
            return error

    def pictures_of(some: Sequence[Path]) -> list[NDArray[np.float32] | AudioError]:
        with on_all_cores(one, some) as results:
            return list(results)

    def features_of(some: Sequence[Path]) -> list[NDArray[np.float32] | AudioError]:
        assert features is not None  # noqa: S101  # used only then; for the type checker
        names = ["" if kept_pictures is None else _name(kept_pictures, file) for file in some]
        return features.rows(names, lambda missing: pictures_of([some[place] for place in missing]))

    silence = silent_image(front_end)
    seen = silence if features is None else features.of(silence[None])[0]
    given, what = (pictures_of, "pictures") if features is None else (features_of, "pictures and features")
    rows: dict[Path | None, int] = {None: 0}
    # One block from the start: a list that is stacked at the end would need the memory twice.
    block = np.empty((1 + len(files), *seen.shape), np.float32)
    block[0] = seen
    unreadable: list[Skipped] = []
    with Progress(console=console) as progress:
        task = progress.add_task(what, total=len(files))
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            for file, result in zip(some, given(some), strict=True):
                if isinstance(result, AudioError):
                    unreadable.append(Skipped(file, str(result).removeprefix(f"{file}: ")))
                else:
                    rows[file] = len(rows)
                    block[rows[file]] = result
            progress.advance(task, len(some))
    if files and len(unreadable) == len(files):
        first = unreadable[0]
        raise TrainingError(
            f"none of the {len(files)} recordings can be read; the first is {first.recording} ({first.reason}); "
            "convert them to WAV or FLAC"
        )
    report_skipped(unreadable, len(files), console)
    kept = tuple(clip for clip in clips if clip.audio in rows)
    if unreadable:
        console.print(f"{len(clips) - len(kept)} of {len(clips)} clips left out with them")
    index = np.array([rows[clip.audio] for clip in kept], np.int64)
    return ClipImages(kept, block[: len(rows)], index, tuple(each.recording for each in unreadable))


def _name(pictures: ImageCache, recording: Path) -> str:
    """The name that the recording's picture is kept under; empty where there is no such recording any more."""
    try:
        return pictures.path(recording).name
    except AudioError:
        return ""
