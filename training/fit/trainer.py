"""Trains a network on a corpus and writes `Model.h5`: images, features, epochs, evaluation, saving."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tf_keras
from rich.console import Console

from device.bundle import LABELS_FILE, Companions
from device.errors import TrainingError
from device.system.streams.console import SafeConsole
from training.base_model.base import check_base, describe_base
from training.data.clips import TRAIN, VALIDATION, Clip, check_trainable
from training.data.corpus import Corpus, open_corpus, with_text
from training.data.leaks import refuse_identical
from training.evaluation.modalities import constant_scores, score_modalities
from training.evaluation.score_tables import confusion_table, f1_table, scores_table
from training.evaluation.scores import Scores
from training.fit.augmentation import TrainCopies, check_augmentation, train_copies
from training.fit.checkpoints import Checkpoint
from training.fit.companions import companions_of, describe_transitions, labels_of, vocabulary_of
from training.fit.epochs import Fitted, describe_steps, fit, head_probabilities
from training.fit.h5_writer import check_labels_file, check_output, write_model
from training.fit.progress.event_log import EventLog
from training.fit.settings import TrainingSettings
from training.fit.speaker_variation import trained_variation
from training.fit.workers import Workers, assemble, read_cluster
from training.images.examples import Examples, examples_of
from training.images.feature_cache import FeatureCache, digest
from training.images.spectrogram_images import ClipImages, clip_images
from training.networks.network import TUTORIAL, Network, build_network

__all__ = ["TrainingResult", "TrainingSettings", "train"]

_FAST_LSTM_NOTE = (
    "--fast-lstm: the LSTM is trained without recurrent dropout, unlike the tutorial's. That is faster on a GPU only, "
    "and the text branch may overfit sooner. The converted model has the same size and speed either way"
)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training."""

    scores: Mapping[str, Scores]
    """Scores on the validation clips, by modality: `audio + text`, `text only`, `audio only`."""
    companions: Companions
    """The companions saved with the model, including its card."""
    stopped_early: bool
    """Whether Ctrl-C ended the training before the last epoch."""


def train(
    source: Path | Corpus,
    output: Path,
    settings: TrainingSettings | None = None,
    console: Console | None = None,
    *,
    reported: bool = False,
) -> TrainingResult:
    """Train a network on a corpus and write it with its companions to `output`, completely or not at all.

    The labels are written to `labels.txt` beside it as well. A file of that name which no training wrote is refused.

    Ctrl-C during the epochs stops after the current batch; the current weights are evaluated and saved. After every
    epoch the state is saved in a checkpoint beside `output`, from which `settings.resume` continues; it is removed when
    the last epoch's model is written. If `TF_CONFIG` names several machines they train together, and the first of
    them writes the model.

    Args:
        source: a corpus, or the path of one, see `open_corpus`.
        output: path of an `.h5` file; its folder is made if missing.
        settings: settings of the training; the tutorial's if None.
        console: console for progress and metrics.
        reported: whether the caller has printed the report of the corpus already.

    Raises:
        TrainingError: corpus, recordings, weights, other machines or output cannot be used; `output` is unchanged.
    """
    settings = settings or TrainingSettings()
    console = console or SafeConsole()
    started = time.monotonic()
    checkpoint = Checkpoint(output)
    check_output(output, settings.base)
    if not settings.resume:
        checkpoint.require_absent()
    log = None if settings.tensorboard is None else EventLog(settings.tensorboard, console)
    cluster = read_cluster(os.environ.get("TF_CONFIG"))
    if log is not None and (cluster is None or cluster.index == 0):
        log.check(checkpoint.epochs() if settings.resume else 0)
    if isinstance(source, Path):
        source = open_corpus(source, settings.audio_root, settings.seed, images=settings.image_cache)
    corpus = with_text(source, settings.text)
    check_trainable(corpus.clips, corpus.name)
    if not settings.allow_identical:
        refuse_identical(corpus.clips, corpus.name)
    check_labels_file(output, labels_of(corpus.clips))
    check_contents(corpus, settings)
    check_augmentation(corpus, settings)
    workers = assemble(os.environ, settings.worker_wait_s, console)
    if not reported:
        corpus.report(console)

    data, copies, network, companions, trunk = _prepare(corpus, settings, console)
    rows = examples_of(data, companions, data.images)
    splits = np.array([clip.split for clip in data.clips])
    training, validation = (rows.take(np.flatnonzero(splits == split)) for split in (TRAIN, VALIDATION))
    if copies is not None:
        training = copies.add_to(training, np.flatnonzero(splits == TRAIN))
    labels = ", ".join(companions.labels)
    lines = [
        f"{len(training)} train and {len(validation)} validation rows, labels {labels}",
        *describe_steps(len(training), len(validation), settings.batch_size),
        *describe_transitions(companions.card),
        *([] if settings.base is None else describe_base(settings.base, companions.labels, data.clips)),
        *([_FAST_LSTM_NOTE] if settings.fast_lstm else []),
    ]
    for line in lines:
        console.print(line, soft_wrap=True)

    if (
        settings.network == "evidence"
    ):  # elsewhere the features of speakers that were trained on are not those of others
        variation = trained_variation(data, companions.labels, settings.base)
        companions = replace(companions, speaker_variation=variation)
    made_by = _made_by(data, rows, copies, companions, settings, trunk)
    _check_agreement(made_by, workers)
    fitted = fit(network.head, training, validation, settings, workers, checkpoint, made_by, console, log)
    scores = score_modalities(lambda rows: head_probabilities(network.head, rows), validation)
    commonest = int(np.bincount(training.labels).argmax())
    constant = constant_scores(commonest, validation, len(companions.labels))
    compared = {**scores, f"always {companions.labels[commonest]}": constant}
    console.print(scores_table(compared), f1_table(compared, companions.labels))
    for name, score in scores.items():
        console.print(confusion_table(name, score, companions.labels))

    card = {
        **companions.card,
        "augmented_copies": 0 if copies is None else copies.count,
        "validation": {name: score.to_card(companions.labels) for name, score in scores.items()},
        f"validation_always_{companions.labels[commonest]}": constant.to_card(companions.labels),
        "history": list(fitted.history),
        "weights_of_epoch": fitted.epoch,
        "stopped_early": fitted.interrupted,
        "out_of_patience": fitted.out_of_patience,
        "workers": workers.count,
        "seconds": round(time.monotonic() - started),
    }
    companions = replace(companions, card=card)
    _save(network, companions, output, fitted, checkpoint, workers, console)
    return TrainingResult(scores, companions, fitted.interrupted)


def _prepare(
    corpus: Corpus, settings: TrainingSettings, console: Console
) -> tuple[ClipImages, TrainCopies | None, Network, Companions, str]:
    """Return the clips with their features, augmented copies, network, companions, and the trunk's digest."""
    clips = [clip for clip in corpus.clips if clip.split in (TRAIN, VALIDATION)]
    data, copies, trunk = trunk_features(clips, corpus, settings, console)
    companions = companions_of(corpus, data, settings)
    network = initial_network(companions, settings)
    if settings.base is None:
        network.trunk.set_weights(trunk.get_weights())
    return data, copies, network, companions, digest(trunk)


def check_contents(corpus: Corpus, settings: TrainingSettings) -> None:
    """Check words, images and base of a training before its images are computed.

    Raises:
        TrainingError: no train clip has words, and there is no base; finished images have other settings than the front
            end; or the base does not fit.
    """
    base = settings.base
    if base is None:
        vocabulary_of(corpus.clips, corpus.name)
    else:
        check_base(
            base,
            settings.network,
            settings.front_end,
            other_images=corpus.images is not None and corpus.images.settings is None,
            recordings=any(clip.audio is not None for clip in corpus.clips),
        )
    if corpus.images is not None:
        corpus.images.check(settings.front_end)


def initial_network(companions: Companions, settings: TrainingSettings) -> Network:
    """Return the network of a training before its first step; without a base, the trunk has yet to get its weights."""
    tf_keras.utils.set_random_seed(settings.seed)
    if settings.base is not None:
        return settings.base.build(companions.labels, fast_lstm=settings.fast_lstm)
    return build_network(
        settings.network,
        labels=len(companions.labels),
        vocabulary=len(companions.vocabulary),
        front_end=settings.front_end,
        vgg19_weights=None,
        fast_lstm=settings.fast_lstm,
    )


class TrunkFeatures(NamedTuple):
    """Clips with their features, and what computed these."""

    data: ClipImages
    """The readable clips; `images` holds the features."""
    copies: TrainCopies | None
    """Augmented copies of their recordings; None if nothing is augmented."""
    trunk: Any
    """The frozen layers of the network."""


def trunk_features(
    clips: Sequence[Clip], corpus: Corpus, settings: TrainingSettings, console: Console, *, augment_all: bool = False
) -> TrunkFeatures:
    """Compute the features of clips, and of augmented copies, with the frozen layers of a network.

    Args:
        clips: train and validation clips of the corpus.
        corpus: the corpus.
        settings: settings of the training.
        console: console for progress and skipped recordings.
        augment_all: whether validation clips are augmented as well, because another training trains on them.

    Raises:
        TrainingError: recordings or weights cannot be used, or too few clips are readable.
    """
    # The numbers of words and labels are known once all recordings are read, and reading them without storing the
    # images needs the trunk: so the trunk is built first, and its weights are copied.
    tf_keras.utils.set_random_seed(settings.seed)
    if settings.base is not None:
        trunk = settings.base.build(settings.base.companions.labels, fast_lstm=settings.fast_lstm).trunk
    else:
        trunk = build_network(
            settings.network,
            labels=2,
            vocabulary=1,
            front_end=settings.front_end,
            vgg19_weights=settings.vgg19_weights,
            fast_lstm=settings.fast_lstm,
        ).trunk
    cache = settings.image_cache if corpus.images is None else None  # finished images are no cache
    features = FeatureCache(trunk, cache)
    data = clip_images(clips, settings.front_end, console, cache, features)
    if data.unreadable:
        check_trainable(data.clips, f"{corpus.name}, without the unreadable recordings")
    everything = replace(data, clips=tuple(replace(clip, split=TRAIN) for clip in data.clips)) if augment_all else data
    copies = train_copies(everything, settings, features, cache, console)
    return TrunkFeatures(data, copies, trunk)


def _made_by(
    data: ClipImages,
    rows: Examples,
    copies: TrainCopies | None,
    companions: Companions,
    settings: TrainingSettings,
    trunk: str,
) -> dict[str, Any]:
    """Return everything but the number of epochs that the weights depend on, by names that a user knows."""
    clips = hashlib.sha256(rows.ids.tobytes() + rows.labels.tobytes())
    sizes: dict[Path, int] = {}
    for clip in data.clips:
        if clip.audio is not None and clip.audio not in sizes:
            sizes[clip.audio] = clip.audio.stat().st_size
        audio = None if clip.audio is None else (clip.audio.name, sizes[clip.audio])
        clips.update(json.dumps([audio, clip.split]).encode())
    return {
        "network": settings.network,
        "batch size": settings.batch_size,
        "learning rate": settings.step_size,
        "seed": settings.seed,
        "class weights": "balanced" if settings.balanced else "none",
        **({"recurrent dropout": "none" if settings.fast_lstm else "0.25"} if settings.network == TUTORIAL else {}),
        "augmentation": "none" if copies is None else copies.description,
        "base": "none" if settings.base is None else settings.base.sha256,
        "labels": list(companions.labels),
        "clips": clips.hexdigest(),
        "words": hashlib.sha256(json.dumps(companions.vocabulary).encode()).hexdigest(),
        "front end": settings.front_end.to_table(),
        "frozen weights": trunk,
    }


def _check_agreement(made_by: Mapping[str, Any], workers: Workers) -> None:
    """Check that all workers train the same network on the same rows, else summing their gradients is meaningless."""
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).digest()
    own = np.frombuffer(digest[:8], np.int32)
    (chiefs,) = workers.from_chief([own])
    if workers.total([np.array((own != chiefs).any(), np.float64)])[0]:
        raise TrainingError(
            "TF_CONFIG: the workers do not train on the same clips with the same options",
            fix="give all of them the same corpus and command",
        )


def _save(
    network: Network,
    companions: Companions,
    output: Path,
    fitted: Fitted,
    checkpoint: Checkpoint,
    workers: Workers,
    console: Console,
) -> None:
    """Write the model on the chief, remove the checkpoint if it is not needed any more, and print the result."""
    reason = "stopped early; " if fitted.interrupted else ""
    if fitted.out_of_patience:
        reason = f"no better since epoch {fitted.epoch}; "
    elif fitted.epoch != len(fitted.history):
        reason += f"epoch {fitted.epoch} was the best; "
    if workers.chief:
        try:
            replaced = write_model(network.full, companions, output)
        except TrainingError as error:
            fix = "; ".join(filter(None, (error.fix, checkpoint.resume_hint())))
            raise TrainingError(error.message, fix=fix) from None
        if not fitted.interrupted:
            checkpoint.remove()
        instead = "" if replaced is None else f" (it held those of an earlier training: {', '.join(replaced)})"
        saved = f"{reason}saved {output}, and its labels in {output.with_name(LABELS_FILE)}{instead}"
        console.print(saved, soft_wrap=True)
        if fitted.interrupted and checkpoint.path.exists():
            console.print(checkpoint.resume_hint(), soft_wrap=True)
    else:
        console.print(f"{reason}the first worker saves the model")
    workers.total([np.array(0.0)])  # all workers wait until the model is written
