"""Completes the companions of a Keras model (labels, vocabulary, front end) with those that the user supplies.

It reads texts and files, and is independent of Keras and tensorflow.
"""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.companions.text_files import LONGEST_SHOWN, invalid_json, read_text, shown
from convert.companions.vocabulary import Vocabulary, read_vocabulary
from device.bundle import OTHER_IMAGES, Companions, label_problem
from device.errors import BundleError, ConversionError
from device.front_end.parameters import FrontEnd
from device.system.display import displayable, shell_quoted
from device.system.paths import file_problem

TUTORIAL = "tutorial"
"""Value of `--front-end` for the tutorial's settings; a file of this name can be named as ./tutorial."""
_TUTORIAL_NUM_WORDS = FrontEnd().num_words
_LABELS_USAGE = "give --labels two or more names with commas between them, or a file with one name per line"
_FRONT_END_USAGE = "give --front-end tutorial, or a file with a JSON object of the settings that differ from it"
_LABELS_NAMES = ("labels.txt", "labels.json", "classes.txt", "class_names.txt", "class_indices.json")
_VOCABULARY_NAMES = ("tokenizer.json", "vocabulary.txt", "vocab.txt", "words.txt", "word_index.json")


@dataclass(frozen=True)
class UserCompanions:
    """The companions that the user supplies; None where an option is absent."""

    labels: str | Path | None = None
    """Class names in the order of the softmax: a text with commas between them, or a file that `read_labels` reads."""
    vocabulary: Path | None = None
    """File that `convert.companions.vocabulary.read_vocabulary` reads."""
    front_end: str | Path | None = None
    """File that `read_front_end` reads, or the text `tutorial` for the tutorial's settings."""


class MissingCompanionsError(ConversionError):
    """A model carries no labels, vocabulary or front end, and the user did not supply all of them.

    Args:
        message: what is missing.
        options: the missing options of the command line with values to edit, such as `("--labels", "labels.txt")`.
        notes: what these values have to be, for people.
        command: the command with the user's arguments, ready for a shell.
    """

    def __init__(self, message: str, options: Sequence[str], notes: str, command: str) -> None:
        self.options = tuple(options)
        self.notes = notes
        super().__init__(message, fix=f"run: {command} {' '.join(map(shell_quoted, options))} ({notes})")

    def for_command(self, command: str) -> "MissingCompanionsError":
        """The same error whose fix repeats another command, such as `edge-mcnn convert Model.h5 --mode int8`."""
        return MissingCompanionsError(self.message, self.options, self.notes, command)


def complete_companions(
    model: Path,
    stored: Companions | None,
    user: UserCompanions,
    *,
    image_size: tuple[int, int],
    sequence_length: int,
) -> Companions:
    """Combine the companions that the user supplies with those in the model file; the user's take precedence.

    Args:
        model: path of the model, for messages; files beside it are suggested.
        stored: companions in the model file, None if it has none.
        user: companions that the user supplies.
        image_size: height and width of the network's image input in pixels.
        sequence_length: number of ids per utterance in the network's text input.

    Raises:
        MissingCompanionsError: a companion is missing.
        ConversionError: a file or text does not have the format of its option.
    """
    if stored is None:
        _check_all_supplied(model, user)
    elif stored.card.get(OTHER_IMAGES) and user.front_end is None:
        raise ConversionError(
            f"{displayable(model)}: was trained on images that edge-mcnn did not compute, so its front end is unknown",
            fix="give --front-end tutorial if they were computed as in the tutorial, else a file with their settings: "
            "the device computes its images with these",
        )
    labels = stored.labels if stored else ()
    front_end = stored.front_end if stored else FrontEnd()
    vocabulary = Vocabulary(stored.vocabulary if stored else (), front_end.num_words, front_end.out_of_vocabulary)
    if user.labels is not None:
        labels = read_labels(user.labels)
    if user.vocabulary is not None:
        vocabulary = read_vocabulary(user.vocabulary)
    num_words = vocabulary.num_words or len(vocabulary.words) + 1
    try:
        if user.front_end is not None:
            is_tutorial = user.front_end == TUTORIAL
            if is_tutorial and vocabulary.num_words is None:
                num_words = min(num_words, _TUTORIAL_NUM_WORDS)  # the words after them were never trained
            front_end = read_front_end(
                None if is_tutorial else Path(user.front_end),
                picture_height=image_size[0],
                picture_width=image_size[1],
                sequence_length=sequence_length,
                num_words=num_words,
                out_of_vocabulary=vocabulary.out_of_vocabulary,
            )
        elif vocabulary.of_tokenizer:
            front_end = replace(front_end, num_words=num_words, out_of_vocabulary=vocabulary.out_of_vocabulary)
        # Other names for the classes do not change how they follow each other, nor how speakers differ.
        same_classes = stored is not None and len(stored.labels) == len(labels)
        transitions = stored.transitions if stored and same_classes else None
        variation = stored.speaker_variation if stored and same_classes else None
        return Companions(labels, vocabulary.words, front_end, stored.card if stored else {}, transitions, variation)
    except BundleError as error:
        # Its messages begin with "labels" or "vocabulary", or with the front end that the tokenizer invalidates.
        message = f"--{error.message.replace('front end: ', 'vocabulary: ', 1)}"
        raise ConversionError(message, fix=error.fix) from None


def read_labels(value: str | Path) -> tuple[str, ...]:
    """Class names in the order of the softmax.

    Args:
        value: a text with commas, such as "angry, happy, neutral"; or the path of a file with one name per line, a JSON
            list of names, or a JSON object {name: index} or {index: name}, such as `class_indices` of Keras's
            generators.

    Raises:
        ConversionError: the file cannot be read, there are fewer than two names, or one is empty, a duplicate, too long
            or contains characters that cannot be displayed.
    """
    if isinstance(value, str) and ("," in value or not value.strip()) and file_problem(Path(value)) is not None:
        labels, place, source = value.split(","), "label", "--labels"
    else:
        path = Path(value)
        if isinstance(value, str) and not os.path.lexists(path) and path.name == value and not path.suffix:
            raise ConversionError(
                f"--labels: {shown(value)} is one label, and no file has this name", fix=_LABELS_USAGE
            )
        labels, place, source = _labels_of_file(path), "line", displayable(path)
    labels = [label.strip() for label in labels]
    for number, label in enumerate(labels, start=1):
        if not label:
            raise ConversionError(
                f"{source}: {place} {number} of {len(labels)} is empty",
                fix="give a name between the commas" if place == "label" else "fill or remove it",
            )
        if problem := label_problem(label):
            raise ConversionError(f"{source}: {shown(label)} {problem}", fix="use a short name in plain text")
        if label in labels[: number - 1]:
            raise ConversionError(f"{source}: {shown(label)} is a duplicate", fix="give every class its own name")
    if len(labels) < 2:
        raise ConversionError(f"{source}: {shown(labels[0])} is one label", fix=_LABELS_USAGE)
    return tuple(labels)


def _labels_of_file(path: Path) -> list[str]:
    text = read_text(path, _LABELS_USAGE, pickle_fix="write the names into a text file, one per line")
    if text.lstrip()[0] not in "[{":
        return text.rstrip().split("\n")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid_json(path, error, _LABELS_USAGE) from None
    if isinstance(content, dict):
        content = _in_order(content)
    if not isinstance(content, list) or not content or not all(isinstance(label, str) for label in content):
        raise ConversionError(
            f"{displayable(path)}: expected a JSON list of names, or an object that gives each name an index from 0",
            fix=_LABELS_USAGE,
        )
    return content


def _in_order(table: Mapping[str, object]) -> list[object] | None:
    """The names of {name: index} or {index: name} in the order of the indices 0, 1, ...; None if it is neither."""
    for pairs in (
        [(index, name) for name, index in table.items()],
        [(int(index), name) for index, name in table.items() if index.isascii() and index.isdigit()],
    ):
        by_index = {index: name for index, name in pairs if type(index) is int}
        if len(by_index) == len(table) and sorted(by_index) == list(range(len(table))):
            return [by_index[index] for index in range(len(table))]
    return None


def read_front_end(path: Path | None, **derived: int | str) -> FrontEnd:
    """Read front-end parameters from a JSON object; parameters that are missing there get the tutorial's values.

    Args:
        path: the file; None for the tutorial's values only.
        derived: parameters that follow from the network and the tokenizer, by their names in the file; used where the
            file does not state them.

    Raises:
        ConversionError: the file is not a JSON object, names an unknown parameter, or has a value that the device does
            not support.
    """
    if path is None:
        try:
            return FrontEnd.from_table(derived)
        except BundleError as error:
            raise ConversionError(
                f"--front-end tutorial: {error.message} (from the network or the tokenizer)", fix=error.fix
            ) from None
    text = read_text(path, _FRONT_END_USAGE)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid_json(path, error, _FRONT_END_USAGE) from None
    if not isinstance(table, dict):
        raise ConversionError(f"{displayable(path)}: not a JSON object", fix=_FRONT_END_USAGE)
    names = FrontEnd.stored_names()
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(name[:LONGEST_SHOWN], names, n=1)
            fix = f"did you mean {near[0]}?" if near else f"choose among {', '.join(names)}"
            raise ConversionError(f"{displayable(path)}: {shown(name)} is not a parameter of the front end", fix=fix)
    try:
        return FrontEnd.from_table({**derived, **table})
    except BundleError as error:
        used = [name for name in derived if name not in table and f" {name} is " in error.message]
        source = f" (from the network or the tokenizer, because the file does not state {used[0]})" if used else ""
        raise ConversionError(f"{displayable(path)}: {error.message}{source}", fix=error.fix) from None
    except RecursionError as error:
        raise ConversionError(f"{displayable(path)}: {error}", fix=_FRONT_END_USAGE) from None


def _check_all_supplied(model: Path, user: UserCompanions) -> None:
    labels, vocabulary = _beside(model, _LABELS_NAMES), _beside(model, _VOCABULARY_NAMES)
    companions = (
        (user.labels, "labels", ("--labels", labels), f"{labels}: one label per line, in the order of the softmax"),
        (
            user.vocabulary,
            "vocabulary",
            ("--vocabulary", vocabulary),
            f"{vocabulary}: what tokenizer.to_json() returns, or one word per line",
        ),
        (
            user.front_end,
            "front end",
            ("--front-end", TUTORIAL),
            f"{TUTORIAL}: spectrogram images and word ids as in the tutorial, else a file, see docs/convert.md",
        ),
    )
    missing = [companion for companion in companions if companion[0] is None]
    if missing:
        *others, last = [f"no {name}" for _, name, _, _ in missing]
        listed = f"{', '.join(others)} and {last}" if others else last
        raise MissingCompanionsError(
            f"{displayable(model)}: carries {listed}, so its predictions would have no meaning",
            [text for _, _, option, _ in missing for text in option],
            displayable("; ".join(note for _, _, _, note in missing)),
            _command(model, user),
        )


def _beside(model: Path, names: Sequence[str]) -> str:
    """Path of the first of these files that exists beside the model; the first name if none does."""
    for path in (model.parent / name for name in names):
        if file_problem(path) is None:
            return str(path)
    return names[0]


def _command(model: Path, user: UserCompanions) -> str:
    options = (("--labels", user.labels), ("--vocabulary", user.vocabulary), ("--front-end", user.front_end))
    words = ["edge-mcnn", "convert", str(model)]
    words += [str(word) for option, value in options if value is not None for word in (option, value)]
    return " ".join(map(shell_quoted, words))
