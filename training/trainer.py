"""From a table of clips to a `Model.h5`: pictures, features, epochs, evaluation, saving."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.bundle import Companions
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from training.answering import keras_answers
from training.batches import TwoInputBatches
from training.clip_pictures import ClipPictures, clip_pictures
from training.clips import TRAIN, VALIDATION, check_trainable
from training.corpus import Corpus, TextKind, open_corpus, with_text
from training.evaluation import always, evaluate
from training.examples import Examples, examples_of
from training.model_writer import check_output, write_model
from training.network import IDS_INPUT, TRUNK_INPUT, Network, Vgg19Weights, build_network
from training.score_tables import confusion_table, scores_table
from training.scores import Scores
from training.vocabulary import fit_vocabulary


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the defaults are the tutorial's."""

    network: str = "tutorial"
    """One of `training.network.NETWORKS`."""
    epochs: int = 13
    """Passes over the train rows."""
    batch_size: int = 16
    """Rows per step."""
    learning_rate: float = 1e-4
    """Step size of Adam."""
    seed: int = 1
    """The same seed gives the same weights on the same machine."""
    balanced: bool = False
    """Weigh each class by the inverse of its share of the train rows."""
    audio_root: Path | None = None
    """Folder that relative audio paths start from; None is the table's own."""
    text: TextKind = "reference"
    """Which words to train on, see `with_text`."""
    pictures: Path | None = None
    """Folder that keeps the pictures from one training to the next; None keeps none."""
    vgg19_weights: Vgg19Weights = "imagenet"
    """Where the frozen weights come from, see `build_network`."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Entries to add to the model card."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """Settings of picture and ids, saved with the model."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave."""

    scores: Mapping[str, Scores]
    """On the validation clips, by way of asking: `both`, `words alone`, `sound alone`."""
    companions: Companions
    """What was saved with the model, its card included."""
    stopped_early: bool
    """Ctrl-C ended it before the last epoch."""


def train(
    source: Path | Corpus,
    output: Path,
    settings: TrainingSettings = TrainingSettings(),
    console: Console | None = None,
) -> TrainingResult:
    """Train a network on a corpus and write it with its companions to `output`, whole or not at all.

    Ctrl-C during the epochs stops after the current batch; what was learnt so far is evaluated and saved.

    Args:
        source: a corpus, or the path of one, see `open_corpus`.
        output: an `.h5` file; its folder is made if missing.
        settings: how to train.
        console: where progress is shown.

    Raises:
        TrainingError: corpus, recordings, weights or output cannot be used; nothing was written.
    """
    console = console or Console()
    started = time.monotonic()
    check_output(output)
    if isinstance(source, Path):
        source = open_corpus(source, settings.audio_root, settings.seed)
    corpus = with_text(source, settings.text)
    check_trainable(corpus.clips, corpus.name)
    corpus.tell(console)
    clips = [clip for clip in corpus.clips if clip.split in (TRAIN, VALIDATION)]
    data = clip_pictures(clips, settings.front_end, console, settings.pictures)
    if data.unreadable:
        check_trainable(data.clips, f"{corpus.name}, without the unreadable recordings")
    companions = _companions(corpus, data, settings)

    tf_keras.utils.set_random_seed(settings.seed)
    network = build_network(
        settings.network,
        labels=len(companions.labels),
        vocabulary=len(companions.vocabulary),
        front_end=settings.front_end,
        vgg19_weights=settings.vgg19_weights,
    )
    rows = examples_of(data, companions, picture_features(network, data.pictures, console))
    splits = np.array([clip.split for clip in data.clips])
    training, validation = (rows.take(np.flatnonzero(splits == split)) for split in (TRAIN, VALIDATION))
    console.print(f"{len(training)} train and {len(validation)} validation rows, labels {', '.join(companions.labels)}")

    epochs = _fit(network.head, training, validation, settings, console)
    stopped_early = len(epochs) < settings.epochs or not epochs[-1].get("whole", True)
    scores = evaluate(lambda rows: head_answers(network.head, rows), validation)
    commonest = int(np.bincount(training.labels).argmax())
    constant = always(commonest, validation, len(companions.labels))
    console.print(scores_table({**scores, f"always {companions.labels[commonest]}": constant}, companions.labels))
    for name, score in scores.items():
        console.print(confusion_table(name, score, companions.labels))

    card = {
        **companions.card,
        "validation": {name: score.to_card(companions.labels) for name, score in scores.items()},
        f"validation_always_{companions.labels[commonest]}": constant.to_card(companions.labels),
        "history": epochs,
        "stopped_early": stopped_early,
        "seconds": round(time.monotonic() - started),
    }
    companions = Companions(companions.labels, companions.vocabulary, companions.front_end, card)
    write_model(network.full, companions, output)
    console.print(f"{'stopped early; ' if stopped_early else ''}saved {output}", markup=False, soft_wrap=True)
    return TrainingResult(scores, companions, stopped_early)


def picture_features(network: Network, pictures: NDArray[np.float32], console: Console) -> NDArray[np.float32]:
    """The frozen trunk's features of each picture, shape (pictures, n), computed once for all epochs."""
    size = 32
    parts = []
    with Progress(console=console) as progress:
        task = progress.add_task("features", total=len(pictures))
        for start in range(0, len(pictures), size):
            parts.append(network.trunk.predict_on_batch(pictures[start : start + size]))
            progress.update(task, completed=min(start + size, len(pictures)))
    return np.concatenate(parts)


def head_answers(head: Any, rows: Examples) -> NDArray[np.float32]:
    """The head's probabilities, shape (rows, labels); `rows.pictures` holds the trunk's features."""
    return keras_answers(head, TRUNK_INPUT, IDS_INPUT, rows)


def _companions(corpus: Corpus, data: ClipPictures, settings: TrainingSettings) -> Companions:
    """Labels and vocabulary of the train rows, and the card as far as it is known before training."""
    train_clips = [clip for clip in data.clips if clip.split == TRAIN]
    vocabulary = fit_vocabulary(clip.text for clip in train_clips)
    if not vocabulary:
        raise TrainingError(
            f"{corpus.name}: no train row has words; the network reads words as well: fill the text column, or run "
            "`edge-mcnn transcribe` on it and train on the table that it writes with --text vosk"
        )
    if len(vocabulary) == 1:
        raise TrainingError(
            f"{corpus.name}: the train rows know one word only ({vocabulary[0]!r}), from which nothing can be told; "
            "check the text column"
        )
    used = {split: [clip for clip in data.clips if clip.split == split] for split in (TRAIN, VALIDATION)}
    card = {
        **settings.card,
        "network": settings.network,
        "table": Path(corpus.name).name,
        "text": settings.text,
        "rows": {split: len(clips) for split, clips in used.items()},
        "recordings": {split: len({clip.audio for clip in clips} - {None}) for split, clips in used.items()},
        "rows_without_sound": {split: sum(clip.audio is None for clip in clips) for split, clips in used.items()},
        "rows_without_words": {split: sum(not clip.text for clip in clips) for split, clips in used.items()},
        "recordings_unreadable": [path.name for path in data.unreadable],
        "recordings_missing": [each.recording.name for each in corpus.skipped],
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "class_weights": "balanced" if settings.balanced else "none",
        "seed": settings.seed,
        "versions": {name: _version(name) for name in ("edge-mcnn", "tensorflow", "tf-keras", "numpy", "librosa")},
    }
    labels = tuple(sorted({clip.label for clip in train_clips}))
    return Companions(labels, vocabulary, settings.front_end, card)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _fit(
    head: Any, training: Examples, validation: Examples, settings: TrainingSettings, console: Console
) -> list[dict[str, Any]]:
    """Train the head; returns one line of figures per epoch."""
    head.compile(
        optimizer=tf_keras.optimizers.Adam(settings.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    batches = TwoInputBatches(training, TRUNK_INPUT, settings.batch_size, settings.seed)
    counts = np.bincount(training.labels)
    weights = (
        {i: len(training) / (len(counts) * count) for i, count in enumerate(counts)} if settings.balanced else None
    )
    with Progress(console=console) as progress:
        report = _EpochReport(validation, settings.epochs, progress)
        with _ctrl_c_stops(head, console):
            head.fit(
                batches, epochs=settings.epochs, shuffle=False, class_weight=weights, verbose=0, callbacks=[report]
            )
    return report.epochs


@contextmanager
def _ctrl_c_stops(model: Any, console: Console) -> Iterator[None]:
    """Let the first Ctrl-C end the training after the current batch, and a second one end the program."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        model.stop_training = True
        signal.signal(signal.SIGINT, previous)
        console.print("stopping after this batch; what was learnt so far is saved (Ctrl-C again to lose it)")

    try:
        previous = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread: signals are someone else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class _EpochReport(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras ships no types
    """Shows how an epoch advances and what it gave, and keeps the figures."""

    def __init__(self, validation: Examples, epochs: int, progress: Progress) -> None:
        super().__init__()
        self.epochs: list[dict[str, Any]] = []
        self._validation = validation
        self._total = epochs
        self._progress = progress

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._started = time.monotonic()
        self._batches = 0
        self._task = self._progress.add_task(f"epoch {epoch + 1}/{self._total}", total=self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._batches = batch + 1
        self._progress.update(self._task, completed=self._batches)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        answers = head_answers(self.model, self._validation)
        score = Scores.of(self._validation.labels, answers)
        right = answers[np.arange(len(answers)), self._validation.labels]
        figures = {
            "loss": float((logs or {})["loss"]),
            "accuracy": float((logs or {})["accuracy"]),
            "validation_loss": float(-np.log(np.maximum(right, 1e-7)).mean()),
            "validation_weighted_f1": float(score.weighted_f1),
        }
        self.epochs.append({name: round(value, 4) for name, value in figures.items()})
        if self._batches < self.params["steps"]:
            self.epochs[-1]["whole"] = False
        self._progress.remove_task(self._task)
        self._progress.console.print(
            f"epoch {epoch + 1}/{self._total}  "
            + "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())
            + f"  {time.monotonic() - self._started:.0f} s"
        )
