"""A folder of spectrogram images, one PNG per recording, computed once and reused by every training.

An image's name contains a digest of everything that it was computed from: the recording (its path, size and
modification time) and the front end. So a cached image is always valid, whenever and however the work was interrupted;
a changed recording or front end leads to another name, and the image that is no longer used is removed.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress

from device.errors import AudioError, TrainingError
from device.front_end.parameters import FrontEnd
from device.system.atomic_write import atomic_write
from device.system.display import displayable
from training.data.clips import Skipped
from training.data.finished_images import INDEX, INDEX_FORMAT, file_of, read_index
from training.data.reading.audio import LONGEST_CLIP_S, read_recording
from training.data.reading.linked_files import IMAGE_SUFFIXES
from training.images.array_cache import cannot_write
from training.images.spectrogram import compute_image
from training.parallel import in_processes, on_all_cores

if TYPE_CHECKING:  # each process would import it, and asyncio with it
    from training.dask_cluster import DaskCluster

_OWN_NAME = re.compile(r".*-[0-9a-f]{16}\.png", re.DOTALL)
"""Names of the images in a cache."""
_WORTH_PROCESSES = 128
"""Missing images from which on processes are faster than threads, although each takes half a second to start."""


@dataclass(frozen=True)
class CacheUpdate:
    """The result of filling an image cache."""

    computed: int
    """Number of images that were computed."""
    reused: int
    """Number of images that were in the cache already."""
    removed: int
    """Number of removed images, of an earlier front end or of recordings that have changed since."""
    skipped: tuple[Skipped, ...]
    """Recordings without an image, because they cannot be used."""
    files: Mapping[Path, str]
    """File name of the image of each other recording."""


class ImageCache:
    """Images of recordings, stored as PNG files.

    Args:
        folder: folder of the cache; made if missing.
        front_end: settings of the images.

    Raises:
        TrainingError: the path is not a folder, the folder cannot be made or read, or holds images of another program.
    """

    def __init__(self, folder: Path, front_end: FrontEnd) -> None:
        self.folder = folder
        self._front_end = front_end
        self._settings: dict[str, Any] = {**front_end.image_settings(), "longest_clip_s": LONGEST_CLIP_S}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be made ({error.strerror})", fix="choose another folder") from None
        self._root = folder.resolve()
        self._refuse_other_images()

    def _refuse_other_images(self) -> None:
        """Refuse a folder of images that another program made: they are not those of the recordings."""
        if read_index(self.folder) is not None:
            return
        with os.scandir(self.folder) as entries:
            names = (entry.name for entry in entries if not entry.name.startswith("."))
            other = next(
                (name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES and not _OWN_NAME.match(name)),
                None,
            )
        if other is not None:
            raise TrainingError(
                f"{displayable(self.folder)}: holds images of another program, such as {displayable(other)}",
                fix="choose another folder; to train on these images, give a table with a column ID that names them, "
                "and without the column audio",
            )

    def path(self, recording: Path) -> Path:
        """Return the path of the recording's image, whether or not it is in the cache.

        Raises:
            AudioError: the recording does not exist.
        """
        try:
            found = recording.stat()
        except OSError as error:
            raise AudioError(f"{recording}: cannot be read ({error.strerror})") from None
        made_from = [INDEX_FORMAT, self._settings, self._relative(recording), found.st_size, found.st_mtime_ns]
        digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', recording.stem)[:60]}-{digest}.png"

    def image(self, recording: Path) -> NDArray[np.float32]:
        """Return the recording's image, shape (height, width, 3), 0 to 1, from the cache or computed and cached.

        It equals the result of `training.images.spectrogram.compute_image`: colours have 256 steps, which PNG
        stores exactly.

        Raises:
            AudioError: the recording cannot be used.
            TrainingError: the disk is full or the folder cannot be written to.
        """
        path = self.path(recording)
        cached = _load(path, (self._front_end.image_height, self._front_end.image_width, 3))
        if cached is not None:
            return cached
        computed = self._compute(recording)
        _save(path, computed)
        return computed

    def fill(self, recordings: Sequence[Path], console: Console, cluster: "DaskCluster | None" = None) -> CacheUpdate:
        """Compute the missing images, on all cores or on a cluster, and write the index.

        Ctrl-C, an error or a power failure leave the finished images; the next call continues from there.

        Args:
            recordings: the recordings.
            console: console for progress.
            cluster: machines that compute the images, which are written here; None computes them here.

        Raises:
            TrainingError: the disk is full, the folder cannot be written to, or the cluster is lost.
        """
        index = read_index(self.folder) or {}  # without an index, the images' names suffice
        files: dict[Path, str] = {}
        skipped: list[Skipped] = []
        computed = cached = 0
        spellings: dict[tuple[str, str], list[Path]] = {}
        for recording in dict.fromkeys(recordings):  # two paths of one recording have one image, which is made once
            spellings.setdefault((os.path.realpath(recording), recording.stem), []).append(recording)
        distinct = [each[0] for each in spellings.values()]
        received = set() if cluster is None else self._fill_from(cluster, distinct, console)
        missing = islice((recording for recording in distinct if not self._has(recording)), _WORTH_PROCESSES)
        on_cores = in_processes if len(list(missing)) == _WORTH_PROCESSES else on_all_cores
        try:
            with Progress(console=console) as progress, on_cores(self._ensure, distinct) as results:
                task = progress.add_task("images", total=len(distinct))
                for same, result in zip(spellings.values(), results, strict=True):
                    if isinstance(result, AudioError):
                        skipped += [Skipped.because(recording, result) for recording in same]
                    else:
                        file, existed = result
                        files |= dict.fromkeys(same, file)
                        reused = existed and file not in received
                        computed, cached = computed + (not reused), cached + reused
                    progress.advance(task)
        finally:
            # Interrupted: results arrive in order, so that later images may be finished, too.
            for recording in {*distinct} - {*files} - {each.recording for each in skipped}:
                with contextlib.suppress(AudioError):  # it does not exist
                    if (path := self.path(recording)).exists():
                        files[recording] = path.name
            done = {self._relative(recording): file for recording, file in files.items()}
            reasons = {self._relative(each.recording): each.reason for each in skipped}
            removed = self._write_index(index, {**done, **dict.fromkeys(reasons)}, reasons)
        return CacheUpdate(computed, cached, removed, tuple(skipped), files)

    def _has(self, recording: Path) -> bool:
        """Return whether the recording has an image; a recording that does not exist has one, as it needs none."""
        try:
            return self.path(recording).exists()
        except AudioError:
            return True

    def _ensure(self, recording: Path) -> tuple[str, bool] | AudioError:
        """Compute the recording's image unless it exists, in any process; returns its name and whether it existed."""
        try:
            path = self.path(recording)
            existed = path.exists()
            if not existed:
                _save(path, self._compute(recording))
        except AudioError as error:
            return error
        return path.name, existed

    def _compute(self, recording: Path) -> NDArray[np.float32]:
        return compute_image(read_recording(recording, self._front_end.sample_rate), self._front_end)

    def _fill_from(self, cluster: "DaskCluster", recordings: Sequence[Path], console: Console) -> set[str]:
        """Write the missing images that a cluster computes; return their names. Some recordings may still lack one."""
        paths: dict[Path, Path] = {}
        for recording in recordings:
            with contextlib.suppress(AudioError):  # it does not exist, which is reported later
                path = self.path(recording)
                if not path.exists():
                    paths[recording] = path
        received = set()
        with Progress(console=console) as progress:
            task = progress.add_task("images, on the cluster", total=len(paths))
            for recording, content in cluster.results(partial(_image_of, front_end=self._front_end), list(paths)):
                if content is not None:
                    _write(paths[recording], content)
                    received.add(paths[recording].name)
                progress.advance(task)
        return received

    def _relative(self, recording: Path) -> str:
        """Return the recording's path relative to the folder, so that cache and corpus can move together."""
        return Path(os.path.relpath(recording.resolve(), self._root)).as_posix()

    def _write_index(self, before: dict[str, Any], done: dict[str, str | None], reasons: dict[str, str]) -> int:
        """Write the index and remove images that are out of date; returns the number of removed images."""
        former = {name: file_of(entry) for name, entry in before.get("recordings", {}).items()}
        if before.get("front_end") == self._settings:
            unchanged = {name: file or None for name, file in former.items() if name not in done}
            reasons = {
                **{name: entry["skipped"] for name, entry in before["recordings"].items() if "skipped" in entry},
                **reasons,
            }
        else:
            unchanged = {}  # every cached image has other settings than the current ones
        current: dict[str, str | None] = {**unchanged, **done}
        index = {
            "format": INDEX_FORMAT,
            "front_end": self._settings,
            "recordings": {
                name: {"image": file} if file is not None else {"skipped": reasons.get(name, "")}
                for name, file in sorted(current.items())
            },
        }
        try:
            with atomic_write(self.folder / INDEX) as stream:
                stream.write((json.dumps(index, indent=1) + "\n").encode())
            stale = {Path(file).name for file in former.values()} - set(current.values())
            existing = [self.folder / file for file in stale if file.endswith(".png")]
            existing = [path for path in existing if path.is_file()]
            for path in existing:
                path.unlink()
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        return len(existing)


def _load(path: Path, shape: tuple[int, int, int]) -> NDArray[np.float32] | None:
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        return None
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):  # Pillow's errors for damaged files
        return None
    return np.asarray(pixels / np.float32(255), np.float32) if pixels.shape == shape else None


def _image_of(recording: Path, front_end: FrontEnd) -> bytes:
    """Return the image of a recording as the content of a PNG file."""
    return _encode(compute_image(read_recording(recording, front_end.sample_rate), front_end))


def _encode(computed: NDArray[np.float32]) -> bytes:
    content = io.BytesIO()
    # Runs of equal colours are what compresses in these images: this takes less time than the default, and less space.
    Image.fromarray(np.rint(computed * 255).astype(np.uint8)).save(
        content, "PNG", compress_level=1, compress_type=zlib.Z_RLE
    )
    return content.getvalue()


def _save(path: Path, computed: NDArray[np.float32]) -> None:
    _write(path, _encode(computed))


def _write(path: Path, content: bytes) -> None:
    """Write beside and rename, so that an image is complete or missing.

    This is not `atomic_write`: to force each of thousands of small files to the disk would take longer than computing
    them, an image that a power failure damages is computed again, and under a fixed name the next run replaces the
    partial file that a killed one left.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path.parent, error) from None
