"""The recipe of the model that ships, from corpora to a `Model.h5`: both branches, their balance, one network.

It orders the steps and keeps what they give; how each is done is theirs to know.
"""

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from device.bundle import Companions
from device.front_end.parameters import FrontEnd
from training.default_model.assembly import assemble
from training.default_model.distillation import Lessons, TeacherSettings, lessons
from training.default_model.fusion import Balance, Evidence, balance, joined
from training.default_model.sound_training import HeadSettings, TrainedSound, train_sound
from training.default_model.sounds import Copies, ravdess_sounds
from training.default_model.texts import LABELS, fit_default_vocabulary, read_texts
from training.default_model.words_training import (
    Reader,
    WordsSettings,
    evidence_of,
    texts_read,
    train_words,
    words_branch,
)
from training.fit.h5_writer import check_output, write_model
from training.images.array_cache import read_arrays, write_arrays

SEQUENCE_LENGTH = 32
"""Ids per utterance; as many as 99 % of MELD's utterances need."""
WORD_ERRORS = 0.2
_DRAWS = 5


@dataclass(frozen=True)
class Settings:
    """All that the recipe can be done differently in."""

    seed: int = 1
    without_actors: Collection[int] = ()
    """Speakers of RAVDESS that nothing is learnt from, to be asked afterwards."""
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    words: WordsSettings = field(default_factory=WordsSettings)
    copies: Copies = field(default_factory=Copies)
    sound: HeadSettings = field(default_factory=HeadSettings)


@dataclass(frozen=True)
class Made:
    """A model, and what its branches say of rows that they were not trained on; both not yet balanced."""

    output: Path
    words: Evidence
    """Of MELD's dev utterances, by dialogue."""
    words_with_errors: tuple[Evidence, ...]
    """Of the same with `WORD_ERRORS`, one for each draw."""
    sound: Evidence
    """Of each recording, by a head that never heard its actor, by actor."""
    sound_altered: Evidence
    """Of its altered copies."""
    balance: Balance
    """How the two were balanced."""
    texts: Mapping[str, int]
    """How many texts of which kind it learnt from."""
    seed: int


def make(data: Path, output: Path, cache: Path, settings: Settings, card: Mapping[str, Any], console: Console) -> Made:
    """Train both branches, balance them and write one model with its companions.

    Args:
        data: folder that holds `meld/`, `text/goemotions-group/` and `ravdess/`.
        output: an `.h5` file.
        cache: folder that keeps what takes long; what is there is taken.
        settings: of all steps.
        card: entries for the model card.
        console: shows progress.

    Raises:
        TrainingError: a corpus, the output or the cache cannot be used, or something is not installed.
    """
    started = time.monotonic()
    check_output(output)
    corpora = read_texts(data)
    vocabulary = fit_default_vocabulary(corpora)
    front_end = FrontEnd(sequence_length=SEQUENCE_LENGTH, num_words=len(vocabulary) + 1)
    taught = lessons(corpora, vocabulary, cache, settings.teacher, console)
    sounds = ravdess_sounds(
        data, cache, labels=LABELS, front_end=front_end, copies=settings.copies, console=console
    ).without(settings.without_actors)
    prepared = time.monotonic()

    words = words_branch(len(vocabulary), front_end, settings.words)
    kept = cache / f"words-{_digest(settings, vocabulary, taught)}.npz"
    learnt = read_arrays(kept)
    if learnt is None:
        with Progress(console=console) as progress:
            task = progress.add_task("words", total=texts_read(corpora, taught, settings.words))
            trained = train_words(
                corpora,
                vocabulary,
                taught,
                front_end,
                settings.words,
                settings.seed,
                lambda texts: progress.advance(task, texts),
            )
        learnt = {f"{number:02}": weights for number, weights in enumerate(trained.get_weights())}
        write_arrays(kept, **learnt)
    words.set_weights([learnt[name] for name in sorted(learnt)])
    sound = train_sound(
        sounds, labels=len(LABELS), seed=settings.seed, cache=cache, console=console, settings=settings.sound
    )
    reader = Reader(vocabulary, front_end, [word for text in corpora.train.words for word in text])
    of_words, of_sound = evidence_of(words, reader, corpora.held_out), sound_evidence_of(sound, slice(0, 1))
    balanced = balance(of_words, of_sound, settings.seed)
    made = Made(
        output,
        of_words,
        tuple(evidence_of(words, reader, corpora.held_out, WORD_ERRORS, draw) for draw in range(_DRAWS)),
        of_sound,
        sound_evidence_of(sound, sound.altered),
        balanced,
        {"train": len(corpora.train), "comments": len(corpora.comments)},
        settings.seed,
    )
    entries = {
        **card,
        "network": "evidence",
        "settings": asdict(settings),
        "balance": asdict(balanced),
        "seconds": {"preparing": round(prepared - started), "training": round(time.monotonic() - prepared)},
    }
    network = assemble(words, sound.head, balanced, front_end)
    write_model(network, Companions(LABELS, vocabulary, front_end, entries), output)
    return made


def _digest(settings: Settings, vocabulary: Sequence[str], taught: Lessons) -> str:
    """Of all that the words branch is made from; the lessons' own answers stand for the texts that they are about."""
    found = hashlib.sha256(json.dumps([asdict(settings.words), settings.seed, list(vocabulary)]).encode())
    for array in (taught.vectors, taught.train, taught.comments, taught.comment_answers):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


def sound_evidence_of(sound: TrainedSound, copies: slice) -> Evidence:
    """What was said, out of fold, of some copies of every recording."""
    logits = sound.logits[:, copies]
    times = logits.shape[1]
    return joined(*(Evidence(logits[:, copy], sound.labels, sound.actors) for copy in range(times)))
