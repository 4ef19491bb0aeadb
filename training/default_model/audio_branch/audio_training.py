"""Trains the head of the audio branch on the statistics of `augmented_images`: five folds, then everything to ship.

In each of five folds the head predicts actors that it was not trained on; temperature, audio weight and every published
metric are computed from these out-of-fold predictions only. Statistics and weights are cached, and an interrupted run
continues from them.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from training.default_model.audio_branch.augmented_images import AugmentedImages, to_rgb
from training.images.array_cache import read_arrays, write_arrays
from training.networks.evidence_audio import audio_evidence, audio_statistics

FOLDS = 5
"""Number of folds of the cross-validation by actor."""
_RECIPE_VERSION = 1
"""Incremented with every change of `training.networks.evidence_audio` or of this module that changes a weight."""
_IMAGES_PER_BLOCK = 512


@dataclass(frozen=True)
class AudioTrainingSettings:
    """How the head is trained; the defaults are those of the model that ships."""

    units: int = 64
    """Width of the hidden layer."""
    dropout: float = 0.3
    """Share of the statistics dropped in training."""
    hidden_dropout: float = 0.3
    """Share of the hidden layer dropped in training."""
    mixup: float = 0.4
    """Both parameters of the beta distribution from which the shares of mixed clips are drawn (Zhang et al., 2018)."""
    epochs: int = 4
    """Passes over every copy of every clip."""
    batch_size: int = 128
    """Copies of clips per batch."""
    learning_rate: float = 2e-3
    """Learning rate at the beginning; it falls to 0 with a half cosine."""
    weight_decay: float = 1.0
    """Weight decay of AdamW per unit of learning rate, on kernels only (Loshchilov and Hutter, 2019)."""


@dataclass(frozen=True)
class TrainedAudioBranch:
    """The trained audio branch, and its out-of-fold logits."""

    head: Any
    """Keras model that ships: statistics (batch, n) -> logits (batch, labels), trained on all actors."""
    logits: NDArray[np.float32]
    """Out-of-fold logits, shape (clips, copies, labels): by a head that was not trained on the clip's actor."""
    labels: NDArray[np.int64]
    """True classes, shape (clips,)."""
    actors: NDArray[np.int64]
    """Numbers of the actors, from 1, shape (clips,)."""
    shifted: slice
    """Which copies have shifted edges and are not changed otherwise; copy 0 is the clip itself."""
    augmented: slice
    """Which copies are augmented."""


def fold_of(actors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold in which each actor is held out, 0 to 4; pairs of actors go together: each has men and women."""
    return (actors - 1) // 2 % FOLDS


def train_audio_branch(
    images: AugmentedImages,
    *,
    labels: int,
    seed: int,
    cache: Path,
    console: Console,
    settings: AudioTrainingSettings = AudioTrainingSettings(),
) -> TrainedAudioBranch:
    """Train the head on every fold and on everything; what an interrupted run finished is not repeated.

    Classes weigh equally, so that the logits are log likelihood ratios, to which a prior can be added. The same seed
    gives the same weights on the same machine.

    Args:
        images: images of the clips and their copies.
        labels: number of classes.
        seed: random seed of the initial weights, the order of the clips and the dropout.
        cache: folder for statistics and weights; created if missing.
        console: where progress is shown.
        settings: how to train.

    Raises:
        TrainingError: `cache` cannot be written to.
    """
    statistics = image_statistics(images.colours, cache, console)
    fold = fold_of(images.actors)
    key = _digest([_RECIPE_VERSION, labels, seed, asdict(settings)], statistics, images.labels, images.actors)
    logits = np.zeros((*statistics.shape[:2], labels), np.float32)
    with Progress(console=console) as progress:
        task = progress.add_task("audio branch", total=FOLDS + 1)
        for part in range(FOLDS + 1):  # the last part holds out no actor
            held_out = fold == part
            path = cache / f"audio-head-{key}-{part}.npz"
            head = _trained_head(statistics, images.labels, ~held_out, labels, (seed, part), settings, path)
            if held_out.any():
                rows = statistics[held_out].reshape(-1, statistics.shape[2])
                predicted = head.predict(rows, batch_size=1024, verbose=0)
                logits[held_out] = predicted.reshape(-1, statistics.shape[1], labels)
            progress.advance(task)
    return TrainedAudioBranch(head, logits, images.labels, images.actors, images.shifted, images.augmented)


def image_statistics(colours: NDArray[np.uint8], cache: Path, console: Console) -> NDArray[np.float32]:
    """Compute `audio_statistics` of every copy of every clip once, and cache them.

    Args:
        colours: indices into the colour map, shape (clips, copies, height, width).
        cache: folder for the statistics; created if missing.
        console: where progress is shown.

    Returns:
        Statistics of shape (clips, copies, n), float32.

    Raises:
        TrainingError: `cache` cannot be written to, or the images are too small for the statistics.
    """
    path = cache / f"audio-statistics-{_digest([_RECIPE_VERSION], colours)}.npz"
    cached = read_arrays(path)
    if cached is not None:
        return cached["statistics"].astype(np.float32, copy=False)
    inputs = tf_keras.layers.Input((*colours.shape[2:], 3), name="images")
    model = tf_keras.Model(inputs, audio_statistics(inputs))
    flat = colours.reshape(-1, *colours.shape[2:])
    statistics = np.empty((len(flat), model.output_shape[1]), np.float32)
    with Progress(console=console) as progress:
        task = progress.add_task("statistics", total=len(flat))
        for start in range(0, len(flat), _IMAGES_PER_BLOCK):
            block = to_rgb(flat[start : start + _IMAGES_PER_BLOCK])
            statistics[start : start + len(block)] = model.predict_on_batch(block)
            progress.advance(task, len(block))
    statistics = statistics.reshape(*colours.shape[:2], -1)
    write_arrays(path, statistics=statistics)
    return statistics


class _MixupBatches(tf_keras.utils.Sequence):  # type: ignore[misc]  # tf_keras ships no types
    """Batches of copies, each mixed with another; the order of epoch n depends on the seed and n only."""

    def __init__(
        self,
        statistics: NDArray[np.float32],
        labels: NDArray[np.int64],
        classes: int,
        settings: AudioTrainingSettings,
        seed: tuple[int, ...],
    ) -> None:
        super().__init__()
        self._statistics = statistics.reshape(-1, statistics.shape[2])
        self._labels = np.repeat(labels, statistics.shape[1])
        counts = np.bincount(labels, minlength=classes)
        self._weighted_targets = np.diag(len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)
        self._settings = settings
        self._seed = seed
        self._epoch = -1
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._order) // self._settings.batch_size)

    def __getitem__(self, batch: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        size = self._settings.batch_size
        rows = self._order[batch * size : (batch + 1) * size]
        others = self._others[batch * size : (batch + 1) * size]
        share = self._shares[batch * size : (batch + 1) * size, None]
        statistics = share * self._statistics[rows] + (1 - share) * self._statistics[others]
        targets = share * self._weighted_targets[self._labels[rows]]
        targets += (1 - share) * self._weighted_targets[self._labels[others]]
        weights = targets.sum(axis=1)  # Keras's cross entropy requires targets that sum to 1
        return statistics, targets / weights[:, None], weights

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch and what each row is mixed with; Keras calls this."""
        self._epoch += 1
        random = np.random.default_rng((*self._seed, self._epoch))
        self._order = random.permutation(len(self._labels))
        self._others = random.permutation(len(self._labels))
        share = random.beta(self._settings.mixup, self._settings.mixup, len(self._labels))
        self._shares = np.maximum(share, 1 - share).astype(np.float32)


def _trained_head(
    statistics: NDArray[np.float32],
    labels: NDArray[np.int64],
    training_clips: NDArray[np.bool_],
    classes: int,
    seed: tuple[int, int],
    settings: AudioTrainingSettings,
    path: Path,
) -> Any:
    """Train the head on `training_clips`, or load the weights that an earlier run cached in `path`."""
    tf_keras.utils.set_random_seed(int(np.random.default_rng(seed).integers(2**31)))
    inputs = tf_keras.layers.Input((statistics.shape[2],), name="audio_statistics")
    evidence = audio_evidence(
        inputs,
        labels=classes,
        units=settings.units,
        dropout=settings.dropout,
        hidden_dropout=settings.hidden_dropout,
    )
    head = tf_keras.Model(inputs, evidence, name="audio_head")
    standardise = head.get_layer("audio_standardise")
    standardise.trainable = False  # mean and variance of all clips are more accurate than those of a batch
    names = [f"weight_{number}" for number in range(len(head.get_weights()))]
    cached = read_arrays(path)
    if cached is not None:
        head.set_weights([cached[name] for name in names])
        return head
    mean, variance = statistics[training_clips].mean((0, 1)), statistics[training_clips].var((0, 1))
    standardise.set_weights([np.ones_like(mean), np.zeros_like(mean), mean, variance])
    batches = _MixupBatches(statistics[training_clips], labels[training_clips], classes, settings, seed)
    learning_rate = tf_keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * len(batches))
    optimizer = tf_keras.optimizers.AdamW(learning_rate, weight_decay=settings.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    head.compile(optimizer, tf_keras.losses.CategoricalCrossentropy(from_logits=True))
    head.fit(batches, epochs=settings.epochs, shuffle=False, verbose=0)
    write_arrays(path, **dict(zip(names, head.get_weights(), strict=True)))
    return head


def _digest(settings: list[Any], *arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
