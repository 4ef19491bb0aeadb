"""The recipe of the default model, from corpora to a `Model.h5`: train both branches, fuse them, write one network.

This module orders the steps and caches what takes long.
"""

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from device.adaptation.speaker_variation import SpeakerVariation
from device.bundle import Companions, Transitions
from device.front_end.parameters import FrontEnd
from training.default_model.audio_branch.acted_speech import NEMO, RAVDESS
from training.default_model.audio_branch.audio_training import (
    AudioTrainingSettings,
    LabelledStatistics,
    TrainedAudioBranch,
    labelled_statistics,
    train_audio_branch,
)
from training.default_model.audio_branch.augmented_images import CopySettings, corpus_images
from training.default_model.class_sets import ClassSet
from training.default_model.fusion import BranchLogits, FusionFactors, concatenate, fit_factors, fuse
from training.default_model.text_branch.corpora import (
    TextCorpora,
    Texts,
    default_vocabulary,
    read_text_corpora,
)
from training.default_model.text_branch.distillation import TeacherOutput, TeacherSettings, distil
from training.default_model.text_branch.text_training import (
    TextEncoder,
    TextTrainingSettings,
    build_text_branch,
    number_of_texts,
    predict_texts,
    train_text_branch,
)
from training.fit.h5_writer import check_output, write_model
from training.fit.speaker_variation import fit_speaker_variation
from training.fit.transitions import learn_transitions
from training.images.array_cache import read_arrays, write_arrays

SEQUENCE_LENGTH = 32
"""Ids per utterance, enough for 99 % of MELD's utterances."""
WORD_ERRORS = 0.2
"""Share of the words that are corrupted for the metrics with simulated word errors."""
_DRAWS = 5


@dataclass(frozen=True)
class RecipeSettings:
    """Settings of all steps of the recipe."""

    seed: int = 1
    """Random seed of both trainings and of the fusion."""
    without_actors: Collection[int] = ()
    """Numbers of the RAVDESS actors that are left out of the training, to evaluate the model with them."""
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    """How the sentence model is fine-tuned."""
    text: TextTrainingSettings = field(default_factory=TextTrainingSettings)
    """How the text branch is trained."""
    copies: CopySettings = field(default_factory=CopySettings)
    """Number of copies of each recording."""
    audio: AudioTrainingSettings = field(default_factory=AudioTrainingSettings)
    """How the audio branch is trained."""


@dataclass(frozen=True)
class RecipeResult:
    """A model, and the logits of its branches, not yet calibrated, for rows that they were not trained on."""

    output: Path
    """Path of the `Model.h5`."""
    text: BranchLogits
    """Logits for MELD's dev utterances, grouped by dialogue."""
    text_with_word_errors: tuple[BranchLogits, ...]
    """Logits for the same utterances with `WORD_ERRORS`, one for each draw."""
    audio: BranchLogits
    """Logits for each recording of RAVDESS by a head that was not trained on its actor, grouped by actor."""
    audio_augmented: BranchLogits
    """Logits for the augmented copies of the recordings."""
    factors: FusionFactors
    """How the two branches were fused."""
    transitions: Transitions | None
    """How classes follow each other in the dialogues of the train texts; None if there are none."""
    text_counts: Mapping[str, int]
    """Number of texts of each kind that the text branch was trained on."""
    seed: int
    """Random seed of the recipe."""


def build_default_model(
    data: Path,
    classes: ClassSet,
    output: Path,
    cache: Path,
    settings: RecipeSettings,
    card: Mapping[str, Any],
    console: Console,
) -> RecipeResult:
    """Train both branches, fuse them and write one model with its companions.

    Args:
        data: folder that holds `meld/`, `text/goemotions-group/`, `ravdess/` and `nemo/`.
        classes: classes of the model.
        output: an `.h5` file.
        cache: folder that caches what takes long; what an earlier run left there is used.
        settings: settings of all steps.
        card: entries of the model card.
        console: where progress is shown.

    Raises:
        TrainingError: a corpus, the output or the cache cannot be used, or a package is not installed.
    """
    started = time.monotonic()
    check_output(output)
    corpora = read_text_corpora(data, classes)
    vocabulary = default_vocabulary(corpora)
    front_end = FrontEnd(sequence_length=SEQUENCE_LENGTH, num_words=len(vocabulary) + 1)
    teacher = distil(corpora, vocabulary, cache, settings.teacher, console)
    ravdess, nemo = (
        corpus_images(
            data, corpus, cache, classes=classes, front_end=front_end, copies=settings.copies, console=console
        )
        for corpus in (RAVDESS, NEMO)
    )
    prepared = time.monotonic()

    text_branch = _text_branch(corpora, vocabulary, teacher, front_end, cache, settings, console)
    actors = ravdess.without(settings.without_actors)
    audio_branch = train_audio_branch(
        actors,
        [nemo],
        labels=len(classes.labels),
        seed=settings.seed,
        cache=cache,
        console=console,
        settings=settings.audio,
    )
    encoder = TextEncoder(vocabulary, front_end, [word for text in corpora.train.words for word in text])
    text = predict_texts(text_branch, encoder, corpora.held_out)
    audio = _logits_of_copies(audio_branch, slice(0, 1))
    factors = fit_factors(text, audio, settings.seed)
    transitions = transitions_of(corpora.train, classes.labels)
    result = RecipeResult(
        output=output,
        text=text,
        text_with_word_errors=tuple(
            predict_texts(text_branch, encoder, corpora.held_out, WORD_ERRORS, draw) for draw in range(_DRAWS)
        ),
        audio=audio,
        audio_augmented=_logits_of_copies(audio_branch, audio_branch.augmented),
        factors=factors,
        transitions=transitions,
        text_counts={"train": len(corpora.train), "comments": len(corpora.comments)},
        seed=settings.seed,
    )
    entries = {
        **card,
        "network": "evidence",
        "settings": asdict(settings),
        "fusion": asdict(factors),
        "seconds": {"preparing": round(prepared - started), "training": round(time.monotonic() - prepared)},
    }
    variation = speaker_variation_of(
        [labelled_statistics(each, cache, console) for each in (actors, nemo)],
        [each.speakers for each in (actors, nemo)],
        [1.0, settings.audio.further_weight],
    )
    network = fuse(text_branch, audio_branch.head, factors, front_end)
    write_model(
        network,
        Companions(classes.labels, vocabulary, front_end, entries, transitions, variation.to_json()),
        output,
    )
    return result


def speaker_variation_of(
    corpora: Sequence[LabelledStatistics], speakers: Sequence[NDArray[np.int64]], weights: Sequence[float]
) -> SpeakerVariation:
    """Return how the speakers of the audio corpora differ.

    Each clip counts twice: as it is, and as its last copy, which another room and microphone could have recorded, so
    that directions in which microphones differ have little weight in a voice.
    """
    copies = (0, -1)
    return fit_speaker_variation(
        [each.statistics[:, copies].reshape(-1, each.statistics.shape[2]) for each in corpora],
        [np.repeat(each.labels, len(copies)) for each in corpora],
        [np.repeat(each.kinds, len(copies)) for each in corpora],
        [np.repeat(each, len(copies)) for each in speakers],
        weights,
    )


def transitions_of(texts: Texts, labels: Sequence[str]) -> Transitions | None:
    """Return how classes follow each other in the dialogues of MELD's train part; None if it has none."""
    spoken = (labels[number] for number in texts.targets.argmax(axis=1))
    learnt = learn_transitions(zip(texts.dialogues.tolist(), spoken, strict=True), labels)
    return None if learnt is None else learnt.transitions


def _text_branch(
    corpora: TextCorpora,
    vocabulary: Sequence[str],
    teacher: TeacherOutput,
    front_end: FrontEnd,
    cache: Path,
    settings: RecipeSettings,
    console: Console,
) -> Any:
    """Train the text branch, or load the weights that an earlier run cached."""
    branch = build_text_branch(corpora.train.targets.shape[1], len(vocabulary), front_end, settings.text)
    path = cache / f"text-{_digest(settings, vocabulary, teacher)}.npz"
    weights = read_arrays(path)
    if weights is None:
        with Progress(console=console) as progress:
            task = progress.add_task("text branch", total=number_of_texts(corpora, teacher, settings.text))
            trained = train_text_branch(
                corpora,
                vocabulary,
                teacher,
                front_end,
                settings.text,
                settings.seed,
                lambda texts: progress.advance(task, texts),
            )
        weights = {f"{number:02}": array for number, array in enumerate(trained.get_weights())}
        write_arrays(path, **weights)
    branch.set_weights([weights[name] for name in sorted(weights)])
    return branch


def _digest(settings: RecipeSettings, vocabulary: Sequence[str], teacher: TeacherOutput) -> str:
    """Return a digest of all inputs of the text branch; the teacher's predictions stand for the texts themselves."""
    found = hashlib.sha256(json.dumps([asdict(settings.text), settings.seed, list(vocabulary)]).encode())
    for array in (teacher.vectors, teacher.train, teacher.comment_rows, teacher.comments):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


def _logits_of_copies(branch: TrainedAudioBranch, copies: slice) -> BranchLogits:
    """Return the out-of-fold logits for some copies of every recording."""
    logits = branch.logits[:, copies]
    return concatenate(
        *(BranchLogits(logits[:, copy], branch.labels, branch.speakers) for copy in range(logits.shape[1]))
    )
