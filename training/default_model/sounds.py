"""RAVDESS as pictures: each clip as it is, with its edges moved, and altered (`altered_sound`), kept from run to run.

Pictures are held as steps of the colour map, a byte per pixel instead of twelve. This module knows the corpus and the
front end, and nothing of statistics or networks.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from device.errors import AudioError, TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MAGMA
from training.data.audio_reading import read_recording
from training.default_model.augmentation import ALTERATIONS_VERSION, altered, moved_edges
from training.default_model.ravdess import RavdessClip, read_ravdess
from training.images.array_cache import read_arrays, write_arrays
from training.images.spectrogram import compute_image
from training.parallel import on_all_cores

LONGEST_MOVE_S = 0.05
"""How far the edges move in a copy that is changed in nothing else."""


@dataclass(frozen=True)
class Copies:
    """How many copies of each clip there are, beside the clip itself."""

    moved: int = 4
    """With the edges moved by up to `LONGEST_MOVE_S`, and nothing else."""
    altered: int = 16
    """With voice, microphone, room, noise and edges altered."""
    seed: int = 1
    """Which ones."""


@dataclass(frozen=True)
class Sounds:
    """The clips that have one of the labels, each with copies: the clip itself, the moved ones, the altered ones."""

    steps: NDArray[np.uint8]
    """Steps of the colour map, shape (clips, 1 + moved + altered, image_height, image_width)."""
    labels: NDArray[np.int64]
    """Number of the class in the labels asked for, shape (clips,)."""
    actors: NDArray[np.int64]
    """Shape (clips,), from 1."""
    moved: slice
    """Which copies have their edges moved and nothing else."""
    altered: slice
    """Which copies are altered."""

    def without(self, actors: Collection[int]) -> "Sounds":
        """The clips of all other actors."""
        others = ~np.isin(self.actors, list(actors))
        return replace(self, steps=self.steps[others], labels=self.labels[others], actors=self.actors[others])


def painted(steps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The pictures as the network sees them: (..., height, width) -> (..., height, width, 3), 0 to 1."""
    return np.asarray((MAGMA / np.float32(255)).astype(np.float32)[steps])


def colour_steps(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The inverse of `painted`, for pictures that the front end made.

    (..., height, width, 3) -> (..., height, width).
    """
    weights = np.array([65536, 256, 1])
    colours = MAGMA.astype(np.int64) @ weights
    order = np.argsort(colours)
    found = np.searchsorted(colours[order], np.rint(pictures * 255).astype(np.int64) @ weights)
    return np.asarray(order[found], np.uint8)


def ravdess_sounds(
    data: Path,
    cache: Path,
    *,
    labels: Sequence[str],
    front_end: FrontEnd,
    copies: Copies,
    console: Console,
) -> Sounds:
    """Compute the pictures of RAVDESS, or take those that an earlier run kept.

    Each actor's pictures are one file in `cache`, whose name holds a digest of all that they were computed from. Ctrl-C
    leaves the actors that are done.

    Args:
        data: folder that holds `ravdess/labels.csv` and `ravdess/flac/`.
        cache: folder for the pictures; made if missing.
        labels: names of the classes; clips of other sentiments are left out.
        front_end: settings of the pictures.
        copies: how many copies.
        console: shows progress.

    Raises:
        TrainingError: the corpus is missing, incomplete or unreadable, or `cache` cannot be written to.
    """
    corpus = data / "ravdess"
    clips = [clip for clip in read_ravdess(corpus) if clip.sentiment in labels]
    missing = [name for name in labels if name not in {clip.sentiment for clip in clips}]
    if missing:
        raise TrainingError(f"{corpus / 'labels.csv'}: no clip is labelled {', '.join(missing)}; check the labels")
    by_actor: dict[int, list[RavdessClip]] = {}
    for clip in clips:
        by_actor.setdefault(clip.actor, []).append(clip)
    steps = [
        _of_actor(corpus, cache, actor, by_actor[actor], front_end, copies, console)
        for actor in track(sorted(by_actor), "actors", console=console)
    ]
    ordered = [clip for actor in sorted(by_actor) for clip in by_actor[actor]]
    return Sounds(
        steps=np.concatenate(steps),
        labels=np.array([list(labels).index(clip.sentiment) for clip in ordered], np.int64),
        actors=np.array([clip.actor for clip in ordered], np.int64),
        moved=slice(1, 1 + copies.moved),
        altered=slice(1 + copies.moved, 1 + copies.moved + copies.altered),
    )


def _of_actor(
    corpus: Path,
    cache: Path,
    actor: int,
    clips: Sequence[RavdessClip],
    front_end: FrontEnd,
    copies: Copies,
    console: Console,
) -> NDArray[np.uint8]:
    """Shape (clips, copies, height, width); computed with as many threads as there are cores."""
    shape = (len(clips), 1 + copies.moved + copies.altered, front_end.image_height, front_end.image_width)
    path = cache / f"sounds-actor{actor:02}-{_digest(corpus, clips, front_end, copies)}.npz"
    kept = read_arrays(path)
    if kept is not None and kept["steps"].shape == shape:
        return kept["steps"].astype(np.uint8, copy=False)

    def one(clip: RavdessClip) -> NDArray[np.uint8]:
        try:
            sound = read_recording(corpus / clip.recording, front_end.sample_rate)
        except AudioError as error:
            raise TrainingError(f"{error}; get RAVDESS's {clip.recording} again") from None
        # Seeded by the clip's name: a clip more or less leaves the copies of the others as they are.
        name = hashlib.sha256(clip.recording.encode()).digest()
        random = np.random.default_rng([copies.seed, int.from_bytes(name[:8], "big")])
        sounds = [sound]
        sounds += [moved_edges(sound, random, front_end.sample_rate, LONGEST_MOVE_S) for _ in range(copies.moved)]
        sounds += [altered(sound, random, front_end.sample_rate) for _ in range(copies.altered)]
        return colour_steps(np.stack([compute_image(each, front_end) for each in sounds]))

    steps = np.empty(shape, np.uint8)
    with on_all_cores(one, clips) as results:
        for number, result in enumerate(results):
            steps[number] = result
    write_arrays(path, steps=steps)
    return steps


def _digest(corpus: Path, clips: Sequence[RavdessClip], front_end: FrontEnd, copies: Copies) -> str:
    """Of the recordings' bytes and every setting that the pictures depend on."""
    made_from = [ALTERATIONS_VERSION, LONGEST_MOVE_S, front_end.image_settings(), asdict(copies)]
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode())
    for clip in clips:
        digest.update(clip.recording.encode())
        try:
            digest.update((corpus / clip.recording).read_bytes())
        except OSError as error:
            raise TrainingError(
                f"{corpus / clip.recording}: cannot be read ({error.strerror}); labels.csv names it, "
                "so the corpus is incomplete: get it again"
            ) from None
    return digest.hexdigest()[:16]
