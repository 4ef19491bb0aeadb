"""Trains the sound branch's head on the statistics of `sounds`: five times for figures, once on everything to ship.

In each of five folds the head answers actors that it never heard; those answers, out of fold, are what temperature,
trust and every published figure may be computed from. Everything is kept in a cache and taken up again.
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

from training.default_model.sounds import Sounds, painted
from training.images.array_cache import read_arrays, write_arrays
from training.networks.evidence_audio import audio_evidence, audio_statistics

FOLDS = 5
_RECIPE_VERSION = 1
"""Raised with every change of `training.networks.evidence_audio` or of this module that changes a weight."""
_PICTURES_AT_ONCE = 512


@dataclass(frozen=True)
class HeadSettings:
    """How the head is trained; the defaults are the recipe of the network that ships."""

    units: int = 64
    """Width of the hidden layer."""
    dropout: float = 0.3
    """Share of the statistics left out in training."""
    hidden_dropout: float = 0.3
    """Share of the hidden layer left out in training."""
    mixup: float = 0.4
    """Both parameters of the beta distribution that mixed pairs of clips are drawn from (Zhang et al., 2018)."""
    epochs: int = 4
    """Times that every copy of every clip is trained on."""
    batch_size: int = 128
    """Copies of clips."""
    rate: float = 2e-3
    """Learning rate at the beginning; it falls to 0 with a half cosine."""
    weight_decay: float = 1.0
    """Of AdamW, per unit of learning rate, on the kernels alone (Loshchilov and Hutter, 2019)."""


@dataclass(frozen=True)
class TrainedSound:
    """The sound branch, trained, and what is known of how well it does."""

    head: Any
    """The Keras model that ships: statistics (batch, n) -> logits (batch, labels), trained on all actors."""
    logits: NDArray[np.float32]
    """Out of fold, for every clip and copy, shape (clips, copies, labels): by a head that never heard the actor."""
    labels: NDArray[np.int64]
    """Shape (clips,)."""
    actors: NDArray[np.int64]
    """Shape (clips,), from 1."""
    moved: slice
    """Which copies have their edges moved and nothing else; copy 0 is the clip itself."""
    altered: slice
    """Which copies are altered."""


def fold_of(actors: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold in which an actor is held out, 0 to 4: pairs of actors go together, so each has men and women."""
    return (actors - 1) // 2 % FOLDS


def train_sound(
    sounds: Sounds,
    *,
    labels: int,
    seed: int,
    cache: Path,
    console: Console,
    settings: HeadSettings = HeadSettings(),
) -> TrainedSound:
    """Train the head on every fold and on everything; what an interrupted run finished is not done again.

    Classes weigh equally, so that the logits are log likelihood ratios, to which a prior can be added. The same seed
    gives the same weights on the same machine.

    Args:
        sounds: clips with their copies.
        labels: number of classes.
        seed: of the weights at the beginning, the order of the clips and the dropout.
        cache: folder for statistics and weights; made if missing.
        console: shows progress.
        settings: of the training.

    Raises:
        TrainingError: `cache` cannot be written to.
    """
    statistics = picture_statistics(sounds.steps, cache, console)
    fold = fold_of(sounds.actors)
    key = _digest([_RECIPE_VERSION, labels, seed, asdict(settings)], statistics, sounds.labels, sounds.actors)
    logits = np.zeros((*statistics.shape[:2], labels), np.float32)
    with Progress(console=console) as progress:
        task = progress.add_task("sound", total=FOLDS + 1)
        for part in range(FOLDS + 1):  # the last one holds nobody out
            held = fold == part
            path = cache / f"sound-head-{key}-{part}.npz"
            head = _trained_head(statistics, sounds.labels, ~held, labels, (seed, part), settings, path)
            if held.any():
                answers = head.predict(statistics[held].reshape(-1, statistics.shape[2]), batch_size=1024, verbose=0)
                logits[held] = answers.reshape(-1, statistics.shape[1], labels)
            progress.advance(task)
    return TrainedSound(head, logits, sounds.labels, sounds.actors, sounds.moved, sounds.altered)


def picture_statistics(steps: NDArray[np.uint8], cache: Path, console: Console) -> NDArray[np.float32]:
    """`audio_statistics` of every copy of every clip, computed once and kept.

    Args:
        steps: steps of the colour map, shape (clips, copies, height, width).
        cache: folder; made if missing.
        console: shows progress.

    Returns:
        Shape (clips, copies, n), float32.

    Raises:
        TrainingError: `cache` cannot be written to, or the pictures are too small for the statistics.
    """
    path = cache / f"sound-statistics-{_digest([_RECIPE_VERSION], steps)}.npz"
    kept = read_arrays(path)
    if kept is not None:
        return kept["statistics"].astype(np.float32, copy=False)
    images = tf_keras.layers.Input((*steps.shape[2:], 3), name="images")
    model = tf_keras.Model(images, audio_statistics(images))
    flat = steps.reshape(-1, *steps.shape[2:])
    statistics = np.empty((len(flat), model.output_shape[1]), np.float32)
    with Progress(console=console) as progress:
        task = progress.add_task("statistics", total=len(flat))
        for begin in range(0, len(flat), _PICTURES_AT_ONCE):
            block = painted(flat[begin : begin + _PICTURES_AT_ONCE])
            statistics[begin : begin + len(block)] = model.predict_on_batch(block)
            progress.advance(task, len(block))
    statistics = statistics.reshape(*steps.shape[:2], -1)
    write_arrays(path, statistics=statistics)
    return statistics


class _MixedStatistics(tf_keras.utils.Sequence):  # type: ignore[misc]  # tf_keras ships no types
    """Batches of copies, each mixed with another; the order of epoch n depends on the seed and n alone."""

    def __init__(
        self,
        statistics: NDArray[np.float32],
        labels: NDArray[np.int64],
        classes: int,
        settings: HeadSettings,
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
        weights = targets.sum(axis=1)  # Keras's cross entropy wants targets that sum to 1
        return statistics, targets / weights[:, None], weights

    def on_epoch_end(self) -> None:
        """Draw the order and the mates of the next epoch; Keras calls this."""
        self._epoch += 1
        random = np.random.default_rng((*self._seed, self._epoch))
        self._order = random.permutation(len(self._labels))
        self._others = random.permutation(len(self._labels))
        share = random.beta(self._settings.mixup, self._settings.mixup, len(self._labels))
        self._shares = np.maximum(share, 1 - share).astype(np.float32)


def _trained_head(
    statistics: NDArray[np.float32],
    labels: NDArray[np.int64],
    heard: NDArray[np.bool_],
    classes: int,
    seed: tuple[int, int],
    settings: HeadSettings,
    path: Path,
) -> Any:
    """The head trained on the clips `heard`, or with the weights that an earlier run left in `path`."""
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
    standardise.trainable = False  # all clips say better what is usual than a batch does
    names = [f"weight_{number}" for number in range(len(head.get_weights()))]
    kept = read_arrays(path)
    if kept is not None:
        head.set_weights([kept[name] for name in names])
        return head
    mean, variance = statistics[heard].mean((0, 1)), statistics[heard].var((0, 1))
    standardise.set_weights([np.ones_like(mean), np.zeros_like(mean), mean, variance])
    batches = _MixedStatistics(statistics[heard], labels[heard], classes, settings, seed)
    rate = tf_keras.optimizers.schedules.CosineDecay(settings.rate, settings.epochs * len(batches))
    optimizer = tf_keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
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
