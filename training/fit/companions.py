"""The companions saved with a network: labels, vocabulary, and the entries of the model card known before training."""

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from device.bundle import OTHER_IMAGES, Companions
from device.errors import TrainingError
from device.front_end.tokens import normalise
from training.data.clips import TRAIN, VALIDATION, Clip
from training.data.corpus import Corpus
from training.fit.settings import TrainingSettings
from training.fit.transitions import learn_transitions
from training.images.spectrogram_images import ClipImages
from training.networks.network import TUTORIAL

_LEARNT_FROM = "transitions_learnt_from"
"""Key in the model card: the number of dialogues, and of pairs of consecutive utterances in them."""


def companions_of(corpus: Corpus, data: ClipImages, settings: TrainingSettings) -> Companions:
    """Return labels, vocabulary and class transitions of the train rows, and the card without the results.

    With a base, the vocabulary is that of the base, and so are the class transitions if the train rows have no
    dialogues and the same labels.

    Args:
        corpus: the corpus that the user named.
        data: the usable clips of the corpus.
        settings: settings of the training.

    Raises:
        TrainingError: no train row has words, or all of them together have one word only.
    """
    base = settings.base
    vocabulary = vocabulary_of(data.clips, corpus.name) if base is None else base.companions.vocabulary
    used = {split: [clip for clip in data.clips if clip.split == split] for split in (TRAIN, VALIDATION)}
    card = {
        **settings.card,
        "network": settings.network,
        **({} if base is None else {"base": base.card()}),
        "table": Path(corpus.name).name,
        "text": settings.text,
        **({OTHER_IMAGES: True} if corpus.images is not None and corpus.images.settings is None else {}),
        "rows": {split: len(clips) for split, clips in used.items()},
        "recordings": {split: len({clip.audio for clip in clips} - {None}) for split, clips in used.items()},
        "rows_without_audio": {split: sum(clip.audio is None for clip in clips) for split, clips in used.items()},
        "rows_without_text": {split: sum(not clip.text for clip in clips) for split, clips in used.items()},
        "recordings_unreadable": [path.name for path in data.unreadable],
        "recordings_missing": [each.recording.name for each in corpus.skipped],
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.step_size,
        "class_weights": "balanced" if settings.balanced else "none",
        "patience": settings.patience,
        "seed": settings.seed,
        **({"recurrent_dropout": not settings.fast_lstm} if settings.network == TUTORIAL else {}),
        "versions": {name: _version(name) for name in ("edge-mcnn", "tensorflow", "tf-keras", "numpy", "librosa")},
    }
    labels = labels_of(data.clips)
    spoken = ((clip.dialogue, clip.label) for clip in data.clips if clip.split == TRAIN)
    learnt = learn_transitions(spoken, labels)
    if learnt is not None:
        card[_LEARNT_FROM] = {"dialogues": learnt.dialogues, "pairs": learnt.pairs}
    transitions = None if learnt is None else learnt.transitions
    if transitions is None and base is not None and labels == base.companions.labels:
        transitions = base.companions.transitions
    return Companions(labels, vocabulary, settings.front_end, card, transitions)


def describe_transitions(card: Mapping[str, Any]) -> list[str]:
    """Return a line about the class transitions that a model with this card carries, if it carries any."""
    source = card.get(_LEARNT_FROM)
    if source is None:
        return []
    pairs = f"{source['pairs']} pairs of consecutive utterances in {source['dialogues']} dialogues"
    return [f"class transitions for context_s on the device: learnt from {pairs}"]


def vocabulary_of(clips: Iterable[Clip], name: str) -> tuple[str, ...]:
    """Return the words of the train clips, see `fit_vocabulary`.

    Args:
        clips: clips of a corpus.
        name: name of the corpus, for messages.

    Raises:
        TrainingError: no train clip has words, or all of them together have one word only.
    """
    vocabulary = fit_vocabulary(clip.text for clip in clips if clip.split == TRAIN)
    if not vocabulary:
        raise TrainingError(
            f"{name}: no train row has words, which the network needs as well",
            fix="fill the text column, or run `edge-mcnn transcribe` on it and train on the table that it writes with "
            "--text vosk",
        )
    if len(vocabulary) == 1:
        raise TrainingError(
            f"{name}: the train rows have one word only ({vocabulary[0]!r}), which distinguishes nothing",
            fix="check the text column",
        )
    return vocabulary


def labels_of(clips: Iterable[Clip]) -> tuple[str, ...]:
    """Return the labels of the train clips, sorted: the order of the network's outputs."""
    return tuple(sorted({clip.label for clip in clips if clip.split == TRAIN}))


def fit_vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """Return all words of the texts after `normalise`, most frequent first, ties by first appearance.

    This is the word index of Keras's `Tokenizer` fitted on the normalised texts: the word at index i has id i + 1. The
    complete index is stored, as Keras does; `FrontEnd.num_words` defines how many of the words have an id.
    """
    counts = Counter(word for text in texts for word in normalise(text).split())
    # `Counter` keeps words in order of first appearance, and sorting is stable.
    return tuple(sorted(counts, key=counts.__getitem__, reverse=True))


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
