"""Trains the head of the audio branch on the statistics of `augmented_images`: five folds, then everything to ship.

The first corpus, RAVDESS, is divided into five folds by actor; in each the head predicts actors that it was not trained
on. Temperature, audio weight and every published metric are computed from these out-of-fold predictions only. Further
corpora take part in every training with a smaller weight, so that the head meets other voices, languages and rooms.
Statistics and weights are cached, and an interrupted run continues from them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from training.default_model.audio_branch.augmented_images import AugmentedImages, to_rgb
from training.default_model.audio_branch.discriminants import fit_discriminants, most_kinds
from training.images.array_cache import read_arrays, write_arrays
from training.networks.evidence_audio import STANDARDISE_EPSILON, audio_evidence, audio_statistics

FOLDS = 5
"""Number of folds of the cross-validation by actor."""
_RECIPE_VERSION = 3
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
    epochs: int = 12
    """Passes over every copy of every clip."""
    batch_size: int = 128
    """Copies of clips per batch."""
    learning_rate: float = 2e-3
    """Learning rate at the beginning; it falls to 0 with a half cosine."""
    weight_decay: float = 1.0
    """Weight decay of AdamW per unit of learning rate, on kernels only (Loshchilov and Hutter, 2019)."""
    further_weight: float = 0.5
    """Weight of each further corpus, whatever its size; the first corpus has the weight 1."""
    ridge: float = 0.01
    """Share of the diagonal that is added to the covariance of the linear discriminants."""


@dataclass(frozen=True)
class LabelledStatistics:
    """Statistics of one corpus, or of a part of it, that a head is trained on."""

    statistics: NDArray[np.float32]
    """Statistics of each copy of each clip, shape (clips, copies, n)."""
    labels: NDArray[np.int64]
    """Index of each clip's class, shape (clips,)."""
    kinds: NDArray[np.int64]
    """Number of each clip's kind, such as its emotion, shape (clips,); all clips of a kind have the same class."""

    def take(self, clips: NDArray[np.bool_]) -> "LabelledStatistics":
        """Return some of the clips."""
        return LabelledStatistics(self.statistics[clips], self.labels[clips], self.kinds[clips])


@dataclass(frozen=True)
class TrainedAudioBranch:
    """The trained audio branch, and its out-of-fold logits."""

    head: Any
    """Keras model that ships: statistics (batch, n) -> logits (batch, labels), trained on all speakers."""
    logits: NDArray[np.float32]
    """Out-of-fold logits, shape (clips, copies, labels): by a head that was not trained on the clip's actor."""
    labels: NDArray[np.int64]
    """True classes, shape (clips,)."""
    speakers: NDArray[np.int64]
    """Numbers of the speakers, from 1, shape (clips,)."""
    shifted: slice
    """Which copies have shifted edges and are not changed otherwise; copy 0 is the clip itself."""
    augmented: slice
    """Which copies are augmented."""


def fold_of(speakers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold in which each speaker is held out, 0 to 4.

    Pairs of numbers go together: in RAVDESS each of them is a man and a woman.
    """
    return (speakers - 1) // 2 % FOLDS


def train_audio_branch(
    images: AugmentedImages,
    further: Sequence[AugmentedImages] = (),
    *,
    labels: int,
    seed: int,
    cache: Path,
    console: Console,
    settings: AudioTrainingSettings = AudioTrainingSettings(),
) -> TrainedAudioBranch:
    """Train the head on every fold and on everything; what an interrupted run finished is not repeated.

    Classes weigh equally within each corpus, so that the logits are log likelihood ratios, to which a prior can be
    added, and no class is recognised by its corpus. The same seed gives the same weights on the same machine.

    Args:
        images: images of the clips and their copies, divided into folds.
        further: images of further corpora, which every fold is trained on.
        labels: number of classes.
        seed: random seed of the initial weights, the order of the clips and the dropout.
        cache: folder for statistics and weights; created if missing.
        console: where progress is shown.
        settings: how to train.

    Raises:
        TrainingError: `cache` cannot be written to.
    """
    first, *others = (labelled_statistics(each, cache, console) for each in (images, *further))
    fold = fold_of(images.speakers)
    logits = np.zeros((*first.statistics.shape[:2], labels), np.float32)
    with Progress(console=console) as progress:
        task = progress.add_task("audio branch", total=FOLDS + 1)
        for part in range(FOLDS + 1):  # the last part holds out no speaker
            held_out = fold == part
            head = train_head([first.take(~held_out), *others], labels, (seed, part), settings, cache)
            if held_out.any():
                logits[held_out] = predict(head, first.statistics[held_out])
            progress.advance(task)
    return TrainedAudioBranch(head, logits, images.labels, images.speakers, images.shifted, images.augmented)


def predict(head: Any, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a head's logits for each copy of each clip.

    Args:
        head: a trained head.
        statistics: shape (clips, copies, n).

    Returns:
        Logits of shape (clips, copies, labels), float32.
    """
    rows = statistics.reshape(-1, statistics.shape[2])
    logits = np.asarray(head(rows, training=False))  # not head.predict, which compiles a function for every new head
    return np.asarray(logits.reshape(*statistics.shape[:2], -1), np.float32)


def labelled_statistics(images: AugmentedImages, cache: Path, console: Console) -> LabelledStatistics:
    """Compute the statistics of a corpus, as `image_statistics` does, and add its labels."""
    return LabelledStatistics(image_statistics(images.colours, cache, console), images.labels, images.kinds)


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
    model = tf_keras.Model(inputs, audio_statistics(inputs, products=True))
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
        weighted_targets: NDArray[np.float32],
        settings: AudioTrainingSettings,
        seed: tuple[int, ...],
    ) -> None:
        """Take statistics of shape (rows, n), and one-hot targets times the row's weight, shape (rows, classes)."""
        super().__init__()
        self._statistics = statistics
        self._weighted_targets = weighted_targets
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
        targets = share * self._weighted_targets[rows] + (1 - share) * self._weighted_targets[others]
        weights = targets.sum(axis=1)  # Keras's cross entropy requires targets that sum to 1
        return statistics, targets / weights[:, None], weights

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch and what each row is mixed with; Keras calls this."""
        self._epoch += 1
        random = np.random.default_rng((*self._seed, self._epoch))
        self._order = random.permutation(len(self._statistics))
        self._others = random.permutation(len(self._statistics))
        share = random.beta(self._settings.mixup, self._settings.mixup, len(self._statistics))
        self._shares = np.maximum(share, 1 - share).astype(np.float32)


def train_head(
    corpora: Sequence[LabelledStatistics],
    classes: int,
    seed: tuple[int, ...],
    settings: AudioTrainingSettings,
    cache: Path,
) -> Any:
    """Train a head on all clips of some corpora, or load the weights that an earlier run cached.

    The hidden layer is trained on the classes by gradient descent, the linear discriminants are fitted to the kinds.

    Args:
        corpora: at least one corpus; the first has the weight 1, each other one `settings.further_weight`.
        classes: number of classes.
        seed: random seed of the initial weights, the order of the clips and the dropout.
        settings: how to train.
        cache: folder for the weights; created if missing.

    Returns:
        A Keras model, statistics (batch, n) -> logits (batch, classes).

    Raises:
        TrainingError: `cache` cannot be written to.
    """
    arrays = [array for each in corpora for array in (each.statistics, each.labels, each.kinds)]
    path = cache / f"audio-head-{_digest([_RECIPE_VERSION, classes, seed, asdict(settings)], *arrays)}.npz"
    labels, kinds = (np.concatenate([getattr(each, name) for each in corpora]) for name in ("labels", "kinds"))
    head = _build_head(corpora[0].statistics.shape[2], classes, most_kinds(labels, kinds), settings)
    names = [f"weight_{number}" for number in range(len(head.get_weights()))]
    cached = read_arrays(path)
    if cached is not None:
        head.set_weights([cached[name] for name in names])
        return head
    weights = [1.0, *(settings.further_weight for _ in corpora[1:])]
    moments = _moments(corpora, weights)
    trained = _trained_without_kinds(corpora, classes, seed, settings, weights, moments)
    for layer in trained.layers:
        head.get_layer(layer.name).set_weights(layer.get_weights())
    mean, scale = moments[0], 1 / np.sqrt(moments[1] + np.float32(STANDARDISE_EPSILON))
    discriminants = fit_discriminants(
        [(each.statistics - mean) * scale for each in corpora],
        [each.labels for each in corpora],
        [each.kinds for each in corpora],
        weights,
        classes,
        settings.ridge,
    )
    head.get_layer("audio_kinds").set_weights(discriminants)
    write_arrays(path, **dict(zip(names, head.get_weights(), strict=True)))
    return head


def _build_head(width: int, classes: int, kinds: int, settings: AudioTrainingSettings) -> Any:
    """Build a head for `width` statistics with fresh weights; `kinds` is the number of discriminants of each class."""
    inputs = tf_keras.layers.Input((width,), name="audio_statistics")
    evidence = audio_evidence(
        inputs,
        labels=classes,
        units=settings.units,
        dropout=settings.dropout,
        hidden_dropout=settings.hidden_dropout,
        kinds=kinds,
    )
    return tf_keras.Model(inputs, evidence, name="audio_head")


def _trained_without_kinds(
    corpora: Sequence[LabelledStatistics],
    classes: int,
    seed: tuple[int, ...],
    settings: AudioTrainingSettings,
    weights: Sequence[float],
    moments: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> Any:
    """Train a head without discriminants on the classes, on statistics of mean and variance `moments`."""
    tf_keras.utils.set_random_seed(int(np.random.default_rng(seed).integers(2**31)))
    mean, variance = moments
    head = _build_head(len(mean), classes, 0, settings)
    standardise = head.get_layer("audio_standardise")
    standardise.trainable = False  # mean and variance of all clips are more accurate than those of a batch
    standardise.set_weights([np.ones_like(mean), np.zeros_like(mean), mean, variance])
    rows = np.concatenate([each.statistics.reshape(-1, len(mean)) for each in corpora])
    batches = _MixupBatches(rows, _weighted_targets(corpora, weights, classes), settings, seed)
    learning_rate = tf_keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * len(batches))
    optimizer = tf_keras.optimizers.AdamW(learning_rate, weight_decay=settings.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    head.compile(optimizer, tf_keras.losses.CategoricalCrossentropy(from_logits=True))
    head.fit(batches, epochs=settings.epochs, shuffle=False, verbose=0)
    return head


def _moments(
    corpora: Sequence[LabelledStatistics], weights: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and variance of all copies, shape (n,) and float32, with the weights of the corpora."""
    means = [each.statistics.mean((0, 1), dtype=np.float64) for each in corpora]
    mean = np.average(means, axis=0, weights=weights)
    variances = [
        each.statistics.var((0, 1), dtype=np.float64) + (own - mean) ** 2
        for each, own in zip(corpora, means, strict=True)
    ]
    return mean.astype(np.float32), np.average(variances, axis=0, weights=weights).astype(np.float32)


def _weighted_targets(
    corpora: Sequence[LabelledStatistics], weights: Sequence[float], classes: int
) -> NDArray[np.float32]:
    """Return one-hot targets times weights, shape (rows, classes).

    In each corpus every class that it has weighs the same. The weights of the first corpus have the mean 1, and the sum
    over each corpus is its weight times that of the first.
    """
    total = len(corpora[0].labels) * corpora[0].statistics.shape[1]
    targets = []
    for each, weight in zip(corpora, weights, strict=True):
        counts = np.bincount(each.labels, minlength=classes) * each.statistics.shape[1]
        by_class = weight * total / ((counts > 0).sum() * np.maximum(counts, 1))
        targets.append(np.diag(by_class).astype(np.float32)[np.repeat(each.labels, each.statistics.shape[1])])
    return np.concatenate(targets)


def _digest(settings: list[Any], *arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
