"""A folder of pictures, one PNG per recording, computed once and kept from one training to the next.

A picture's name holds a digest of all that it was computed from: the recording (its place, size and time) and the front
end. So a picture that is there is right, whenever and however the work was interrupted; a changed recording or front
end asks for another name, and the picture that nobody asks for any more is removed.
"""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import Progress

from device.errors import AudioError, TrainingError
from device.front_end.parameters import FrontEnd
from device.system.atomic_write import atomic_write
from training.data.audio_reading import LONGEST_CLIP_S, read_recording
from training.data.clips import Skipped
from training.images.spectrogram import compute_image
from training.parallel import on_all_cores

INDEX = "index.json"
_FORMAT = 1


@dataclass(frozen=True)
class Filled:
    """What filling a folder came to."""

    computed: int
    """Pictures that were computed."""
    kept: int
    """Pictures that were there already."""
    removed: int
    """Pictures of an earlier front end, or of recordings that have changed since."""
    skipped: tuple[Skipped, ...]
    """Recordings that have no picture, because they cannot be used."""


class ImageCache:
    """Pictures of recordings, kept as PNG files.

    Args:
        folder: made if missing.
        front_end: settings of the pictures.

    Raises:
        TrainingError: it is no folder, or cannot be made.
    """

    def __init__(self, folder: Path, front_end: FrontEnd) -> None:
        self.folder = folder
        self._front_end = front_end
        self._settings: dict[str, Any] = {**front_end.image_settings(), "longest_clip_s": LONGEST_CLIP_S}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None
        self._root = folder.resolve()

    def path(self, recording: Path) -> Path:
        """Where the recording's picture is, or would be.

        Raises:
            AudioError: there is no such recording.
        """
        try:
            found = recording.stat()
        except OSError as error:
            raise AudioError(f"{recording}: cannot be read ({error.strerror})") from None
        made_from = [_FORMAT, self._settings, self._relative(recording), found.st_size, found.st_mtime_ns]
        digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', recording.stem)[:60]}-{digest}.png"

    def picture(self, recording: Path) -> NDArray[np.float32]:
        """The recording's picture, shape (height, width, 3), 0 to 1: the one kept, or computed now and kept.

        It equals what `device.front_end.spectrogram.spectrogram_image` computes: colours have 256 steps, which PNG
        holds exactly.

        Raises:
            AudioError: the recording cannot be used.
            TrainingError: the disk is full or the folder cannot be written to.
        """
        path = self.path(recording)
        kept = _load(path, (self._front_end.image_height, self._front_end.image_width, 3))
        if kept is not None:
            return kept
        samples = read_recording(recording, self._front_end.sample_rate)
        computed = compute_image(samples, self._front_end)
        _save(path, computed)
        return computed

    def fill(self, recordings: Sequence[Path], console: Console) -> Filled:
        """Compute the pictures that are missing, on all cores, and write the index.

        Ctrl-C, an error or a lost power supply leave the pictures that are done; the next call goes on from there.

        Raises:
            TrainingError: the disk is full or the folder cannot be written to.
        """
        index = self._read_index()
        done: dict[str, str | None] = {}
        skipped: list[Skipped] = []
        kept = 0

        def one(recording: Path) -> tuple[bool, str] | AudioError:
            try:
                path = self.path(recording)
                there = path.exists()
                if not there:
                    self.picture(recording)
            except AudioError as error:
                return error
            return there, path.name

        distinct = list(dict.fromkeys(recordings))
        try:
            with Progress(console=console) as progress, on_all_cores(one, distinct) as results:
                task = progress.add_task("pictures", total=len(distinct))
                for recording, result in zip(distinct, results, strict=True):
                    if isinstance(result, AudioError):
                        skipped.append(Skipped(recording, str(result).removeprefix(f"{recording}: ")))
                        done[self._relative(recording)] = None
                    else:
                        kept += result[0]
                        done[self._relative(recording)] = result[1]
                    progress.advance(task)
        finally:
            removed = self._write_index(index, done, {self._relative(each.recording): each.reason for each in skipped})
        return Filled(len(distinct) - kept - len(skipped), kept, removed, tuple(skipped))

    def _relative(self, recording: Path) -> str:
        """The recording's place as seen from here: folder and corpus can move together."""
        return Path(os.path.relpath(recording.resolve(), self._root)).as_posix()

    def _read_index(self) -> dict[str, Any]:
        try:
            index = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
            if index["format"] == _FORMAT and all(isinstance(each, dict) for each in index["recordings"].values()):
                return dict(index)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            pass  # none yet, or none of ours: the pictures' names say all that is needed
        return {}

    def _write_index(self, before: dict[str, Any], done: dict[str, str | None], reasons: dict[str, str]) -> int:
        """Write what there is now and remove pictures that went out of date; returns how many."""
        former = {name: str(entry.get("picture", "")) for name, entry in before.get("recordings", {}).items()}
        if before.get("front_end") == self._settings:
            still = {name: file or None for name, file in former.items() if name not in done}
            reasons = {
                **{name: entry["skipped"] for name, entry in before["recordings"].items() if "skipped" in entry},
                **reasons,
            }
        else:
            still = {}  # every picture there is shows something else than is asked for now
        current: dict[str, str | None] = {**still, **done}
        index = {
            "format": _FORMAT,
            "front_end": self._settings,
            "recordings": {
                name: {"picture": file} if file is not None else {"skipped": reasons.get(name, "")}
                for name, file in sorted(current.items())
            },
        }
        try:
            with atomic_write(self.folder / INDEX) as stream:
                stream.write((json.dumps(index, indent=1) + "\n").encode())
            stale = {Path(file).name for file in former.values()} - set(current.values())
            there = [self.folder / file for file in stale if file.endswith(".png") and (self.folder / file).is_file()]
            for path in there:
                path.unlink()
        except OSError as error:
            raise _cannot_write(self.folder, error) from None
        return len(there)


def _load(path: Path, shape: tuple[int, int, int]) -> NDArray[np.float32] | None:
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        return None
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):  # what Pillow raises for damaged files
        return None
    return np.asarray(pixels / np.float32(255), np.float32) if pixels.shape == shape else None


def _save(path: Path, computed: NDArray[np.float32]) -> None:
    """Write beside and rename, so that a picture is there whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    try:
        try:
            Image.fromarray(np.rint(computed * 255).astype(np.uint8)).save(partial, "PNG", compress_level=1)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path.parent, error) from None


def _cannot_write(folder: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"{folder}: cannot be written to ({error.strerror or error}); free some space and run it again, "
        "what is done is kept"
    )
