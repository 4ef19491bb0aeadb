"""Turns recordings into the images that the network is trained on, or a network's features of them, each once.

The image is that of `device.front_end.spectrogram`, so that training uses the images that the device will compute. A
finished image, in place of a recording, is read and resized.
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
from training.data.clips import Clip, Skipped, report_skipped, require_readable
from training.data.reading.audio import read_recording
from training.data.reading.images import read_image
from training.data.reading.linked_files import is_image
from training.images.feature_cache import FeatureCache
from training.images.image_cache import ImageCache
from training.images.spectrogram import compute_image
from training.images.stored_images import StoredImages
from training.parallel import on_all_cores

_AT_ONCE = 128
"""Recordings whose images are in memory at once on their way to features."""


@dataclass(frozen=True)
class ClipImages:
    """The distinct images of some clips, and which of them belongs to which clip."""

    clips: tuple[Clip, ...]
    """The clips whose recording is readable, or that have none, in their order."""
    images: NDArray[np.float32] | StoredImages
    """Shape (distinct, image_height, image_width, 3), 0 to 1, or (distinct, n) features of them; the first is the
    image of silence."""
    index: NDArray[np.int64]
    """Shape (clips,): row in `images` of each clip; 0 for a clip without audio."""
    unreadable: tuple[Path, ...]
    """Unreadable recordings; their clips are left out."""


def clip_images(
    clips: Sequence[Clip],
    front_end: FrontEnd,
    console: Console,
    folder: Path | None = None,
    features: FeatureCache | None = None,
) -> ClipImages:
    """Compute the image of every distinct recording, on all cores, and optionally the features of each.

    With `features` only some images are in memory at a time, however many recordings there are, and cached features are
    not computed again.

    Args:
        clips: clips of any split.
        front_end: settings of the images.
        console: console for progress and skipped recordings.
        folder: folder of the image cache, see `ImageCache`; None caches no images.
        features: computes what `ClipImages.images` shall hold from the images; None holds the images themselves.

    Raises:
        TrainingError: there are recordings, but none of them is readable; or the folder cannot be written to.
    """
    files = list(dict.fromkeys(clip.audio for clip in clips if clip.audio is not None))
    cache = None if folder is None else ImageCache(folder, front_end)
    if cache is not None:
        cache.fill(files, console)

    def image(file: Path) -> NDArray[np.float32] | AudioError:
        try:
            if is_image(file):
                return _finished_image(file, front_end)
            if cache is not None:
                return cache.image(file)
            return compute_image(read_recording(file, front_end.sample_rate), front_end)
        except AudioError as error:
            return error

    def load_images(some: Sequence[Path]) -> list[NDArray[np.float32] | AudioError]:
        with on_all_cores(image, some) as results:
            return list(results)

    def load_features(some: Sequence[Path]) -> list[NDArray[np.float32] | AudioError]:
        assert features is not None  # noqa: S101  # only called if so; for the type checker
        names = ["" if cache is None else _name(cache, file) for file in some]
        return features.rows(names, lambda missing: load_images([some[position] for position in missing]))

    silence = silent_image(front_end)
    first = silence if features is None else features.compute(silence[None])[0]
    load, title = (load_images, "images") if features is None else (load_features, "images and features")
    rows: dict[Path | None, int] = {None: 0}
    # One block from the start: stacking a list at the end would need the memory twice.
    block: NDArray[np.float32] | StoredImages = (
        StoredImages.empty(1 + len(files), silence.shape)
        if features is None
        else np.empty((1 + len(files), *first.shape), np.float32)
    )
    block[0] = first
    unreadable: list[Skipped] = []
    with Progress(console=console) as progress:
        task = progress.add_task(title, total=len(files))
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            for file, result in zip(some, load(some), strict=True):
                if isinstance(result, AudioError):
                    unreadable.append(Skipped.because(file, result))
                else:
                    rows[file] = len(rows)
                    block[rows[file]] = result
            progress.advance(task, len(some))
    require_readable(unreadable, len(files))
    report_skipped(unreadable, len(files), console)
    readable = tuple(clip for clip in clips if clip.audio in rows)
    if unreadable:
        console.print(f"{len(clips) - len(readable)} of {len(clips)} clips left out with them")
    index = np.array([rows[clip.audio] for clip in readable], np.int64)
    return ClipImages(readable, _first(block, len(rows)), index, tuple(each.recording for each in unreadable))


def _first(block: NDArray[np.float32] | StoredImages, rows: int) -> NDArray[np.float32] | StoredImages:
    return block.first(rows) if isinstance(block, StoredImages) else block[:rows]


def _finished_image(file: Path, front_end: FrontEnd) -> NDArray[np.float32]:
    """Return a finished image, shape (height, width, 3), 0 to 1.

    Raises:
        AudioError: it cannot be read, so the clip has no audio that a network could use.
    """
    try:
        pixels = read_image(file, front_end.image_height, front_end.image_width)
    except TrainingError as error:
        raise AudioError(error.message, fix=error.fix) from None
    return np.asarray(pixels / np.float32(255), np.float32)


def _name(cache: ImageCache, recording: Path) -> str:
    """Return the name of the recording's image in the cache; empty if the recording does not exist any more."""
    try:
        return cache.path(recording).name
    except AudioError:
        return ""
