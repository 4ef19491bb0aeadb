"""Acted speech as spectrogram images: every clip unchanged, with shifted edges, and augmented; cached between runs.

Images are stored as indices into the colour map, one byte per pixel instead of twelve.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.errors import AudioError, TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MAGMA
from training.data.reading.audio import read_recording
from training.default_model.audio_branch.acted_speech import ActedCorpus, ActedRecording, read_acted_speech
from training.default_model.class_sets import ClassSet
from training.images.array_cache import read_arrays, write_arrays
from training.images.augmentation import AUGMENTATION_VERSION, augment, shift_edges
from training.images.spectrogram import compute_image
from training.parallel import on_all_cores

LONGEST_SHIFT_S = 0.05
"""Seconds by which the edges shift at most in a copy that is not changed otherwise."""


@dataclass(frozen=True)
class CopySettings:
    """How many copies of each clip there are, besides the clip itself."""

    shifted: int = 4
    """Number of copies whose edges are shifted by up to `LONGEST_SHIFT_S`, and nothing else."""
    augmented: int = 6
    """Number of copies with augmented voice, microphone, room, noise and edges."""
    seed: int = 1
    """Random seed of the copies."""


@dataclass(frozen=True)
class AugmentedImages:
    """Images of the clips that have one of the classes: of the clip itself, the shifted and the augmented copies."""

    colours: NDArray[np.uint8]
    """Indices into the colour map, shape (clips, 1 + shifted + augmented, image_height, image_width)."""
    labels: NDArray[np.int64]
    """Index of each clip's class in the class set, shape (clips,)."""
    kinds: NDArray[np.int64]
    """Index of each clip's emotion in the emotions of the class set, shape (clips,): a class can have several."""
    speakers: NDArray[np.int64]
    """Number of each clip's speaker, from 1, shape (clips,)."""
    shifted: slice
    """Which copies have shifted edges and are not changed otherwise."""
    augmented: slice
    """Which copies are augmented."""

    def without(self, speakers: Collection[int]) -> "AugmentedImages":
        """Return the clips of all other speakers."""
        others = ~np.isin(self.speakers, list(speakers))
        return replace(
            self,
            colours=self.colours[others],
            labels=self.labels[others],
            kinds=self.kinds[others],
            speakers=self.speakers[others],
        )


def to_rgb(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert indices into the colour map to the network's input.

    Args:
        colours: shape (..., height, width).

    Returns:
        Images of shape (..., height, width, 3), float32, 0 to 1.
    """
    return np.asarray((MAGMA / np.float32(255)).astype(np.float32)[colours])


def to_colour_indices(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert images of the front end to indices into the colour map; the inverse of `to_rgb`.

    Args:
        images: shape (..., height, width, 3), 0 to 1.

    Returns:
        Indices of shape (..., height, width), uint8.
    """
    weights = np.array([65536, 256, 1])
    colours = MAGMA.astype(np.int64) @ weights
    order = np.argsort(colours)
    found = np.searchsorted(colours[order], np.rint(images * 255).astype(np.int64) @ weights)
    return np.asarray(order[found], np.uint8)


def corpus_images(
    data: Path,
    corpus: ActedCorpus,
    cache: Path,
    *,
    classes: ClassSet,
    front_end: FrontEnd,
    copies: CopySettings,
    console: Console,
) -> AugmentedImages:
    """Compute the images of a corpus of acted speech, or read those that an earlier run cached.

    The images of each speaker are one file in `cache`, whose name holds a digest of all that they were computed from.
    After Ctrl-C the finished speakers remain.

    Args:
        data: folder that holds the folder of the corpus, with `labels.csv` and `flac/`.
        corpus: which corpus.
        cache: folder for the images; created if missing.
        classes: class set; clips of other emotions are left out of the result, but not of the cached files, which
            serve every class set.
        front_end: settings of the images.
        copies: number of copies.
        console: where progress is shown.

    Raises:
        TrainingError: the corpus is missing, incomplete or unreadable, or `cache` cannot be written to.
    """
    folder = data / corpus.folder
    clips = read_acted_speech(folder, corpus)
    class_of = classes.of_acted_emotion
    present = {class_of.get(clip.emotion) for clip in clips}
    expected = {class_of[emotion]: emotion for emotion in corpus.emotions if emotion in class_of}
    missing = [emotion for name, emotion in expected.items() if name not in present]
    if missing:
        raise TrainingError(
            f"{folder / 'labels.csv'}: no clip is labelled {', '.join(missing)}", fix="check its column emotion"
        )
    by_speaker: dict[int, list[ActedRecording]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.speaker, []).append(clip)
    colours = []
    with Progress(console=console) as progress:
        # Not progress.track: it leaves a generator open after an error, which hangs the exit of Python 3.13.
        task = progress.add_task(f"speakers of {corpus.title}", total=len(by_speaker))
        for speaker in sorted(by_speaker):
            colours.append(_images_of_speaker(data, corpus, cache, speaker, by_speaker[speaker], front_end, copies))
            progress.advance(task)
    ordered = [clip for speaker in sorted(by_speaker) for clip in by_speaker[speaker]]
    used = np.array([clip.emotion in class_of for clip in ordered], np.bool_)
    chosen = [clip for clip in ordered if clip.emotion in class_of]
    emotions = list(class_of)
    return AugmentedImages(
        colours=np.concatenate(colours)[used],
        labels=np.array([classes.labels.index(class_of[clip.emotion]) for clip in chosen], np.int64),
        kinds=np.array([emotions.index(clip.emotion) for clip in chosen], np.int64),
        speakers=np.array([clip.speaker for clip in chosen], np.int64),
        shifted=slice(1, 1 + copies.shifted),
        augmented=slice(1 + copies.shifted, 1 + copies.shifted + copies.augmented),
    )


def _images_of_speaker(
    data: Path,
    corpus: ActedCorpus,
    cache: Path,
    speaker: int,
    clips: Sequence[ActedRecording],
    front_end: FrontEnd,
    copies: CopySettings,
) -> NDArray[np.uint8]:
    """Compute colour indices of shape (clips, copies, height, width), with as many threads as there are cores."""
    folder = data / corpus.folder
    shape = (len(clips), 1 + copies.shifted + copies.augmented, front_end.image_height, front_end.image_width)
    path = cache / f"{corpus.folder}-speaker{speaker:02}-{_digest(folder, clips, front_end, copies)}.npz"
    cached = read_arrays(path)
    if cached is not None and cached["colours"].shape == shape:
        return cached["colours"].astype(np.uint8, copy=False)

    def images_of(clip: ActedRecording) -> NDArray[np.uint8]:
        try:
            samples = read_recording(folder / clip.path, front_end.sample_rate)
        except AudioError as error:
            raise TrainingError(error.message, fix=f"download {corpus.title}'s {clip.path} again") from None
        # Seeded by the clip's name, so that adding or removing a clip does not change the copies of the others.
        name = hashlib.sha256(clip.path.encode()).digest()
        random = np.random.default_rng([copies.seed, int.from_bytes(name[:8], "big")])
        versions = [samples]
        versions += [
            shift_edges(samples, random, front_end.sample_rate, LONGEST_SHIFT_S) for _ in range(copies.shifted)
        ]
        versions += [augment(samples, random, front_end.sample_rate) for _ in range(copies.augmented)]
        return to_colour_indices(np.stack([compute_image(version, front_end) for version in versions]))

    colours = np.empty(shape, np.uint8)
    with on_all_cores(images_of, clips) as results:
        for number, result in enumerate(results):
            colours[number] = result
    write_arrays(path, colours=colours)
    return colours


def _digest(folder: Path, clips: Sequence[ActedRecording], front_end: FrontEnd, copies: CopySettings) -> str:
    """Return a digest of the recordings' bytes and of every setting that the images depend on."""
    settings = [AUGMENTATION_VERSION, LONGEST_SHIFT_S, front_end.image_settings(), asdict(copies)]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for clip in clips:
        digest.update(clip.path.encode())
        try:
            digest.update((folder / clip.path).read_bytes())
        except OSError as error:
            raise TrainingError(
                f"{folder / clip.path}: cannot be read ({error.strerror}), although labels.csv lists it",
                fix="the corpus is incomplete: download it again",
            ) from None
    return digest.hexdigest()[:16]
