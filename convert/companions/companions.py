"""Completes the companions of a Keras model (labels, vocabulary, front end) with those that the user supplies.

It reads texts and files, and is independent of Keras and tensorflow.
"""

import difflib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from convert.companions.text_files import LONGEST_SHOWN, invalid_json, read_text, shown
from convert.companions.vocabulary import Vocabulary, read_vocabulary
from device.bundle import OTHER_IMAGES, Companions
from device.errors import BundleError, ConversionError
from device.front_end.parameters import FrontEnd
from device.system.display import displayable

_LABELS_USAGE = "give --labels two or more names, with commas between them, or a file with one name per line"
_FRONT_END_USAGE = "give --front-end a JSON object; {} means the tutorial's settings"


@dataclass(frozen=True)
class UserCompanions:
    """The companions that the user supplies; None where an option is absent."""

    labels: str | None = None
    """Class names in the order of the softmax, separated by commas, or the path of a file with one per line."""
    vocabulary: Path | None = None
    """File that `convert.companions.vocabulary.read_vocabulary` reads."""
    front_end: Path | None = None
    """File that `read_front_end` reads."""


def complete_companions(
    model: str,
    stored: Companions | None,
    user: UserCompanions,
    *,
    image_size: tuple[int, int],
    sequence_length: int,
) -> Companions:
    """Combine the companions that the user supplies with those in the model file; the user's take precedence.

    Args:
        model: path of the model file, for messages.
        stored: companions in the model file, None if it has none.
        user: companions that the user supplies.
        image_size: height and width of the network's image input in pixels.
        sequence_length: number of ids per utterance in the network's text input.

    Raises:
        ConversionError: a companion is missing, or a file or text does not have the format of its option.
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
            front_end = read_front_end(
                user.front_end,
                picture_height=image_size[0],
                picture_width=image_size[1],
                sequence_length=sequence_length,
                num_words=num_words,
                out_of_vocabulary=vocabulary.out_of_vocabulary,
            )
        elif vocabulary.of_tokenizer:
            front_end = replace(front_end, num_words=num_words, out_of_vocabulary=vocabulary.out_of_vocabulary)
        return Companions(labels, vocabulary.words, front_end, stored.card if stored else {})
    except BundleError as error:
        # Its messages begin with "labels" or "vocabulary", or with the front end that the tokenizer invalidates.
        message = f"--{error.message.replace('front end: ', 'vocabulary: ', 1)}"
        raise ConversionError(message, fix=error.fix) from None


def read_labels(text: str) -> tuple[str, ...]:
    """Class names in the order of the softmax, from a text such as "angry, happy, neutral", or from a file of labels.

    Args:
        text: names with commas between them; or the path of a UTF-8 file with one name per line, such as the
            `labels.txt` that `edge-mcnn train` writes.

    Raises:
        ConversionError: there are fewer than two, one is empty, a duplicate or not printable, or the file cannot be
            read.
    """
    is_file = os.path.isfile(text)  # noqa: PTH113  # Path.is_file raises for names that are too long
    if is_file or ("," not in text and text.endswith(".txt")):
        lines = read_text(Path(text), "give --labels a UTF-8 text file with one name per line").rstrip().split("\n")
        labels = tuple(line.strip() for line in lines)
        unit, fill = "line", "fill or remove the line: the first line names output 1, the second output 2"
    else:
        labels = tuple(label.strip() for label in text.split(","))
        unit, fill = "label", "give a name between the commas"
    for place, label in enumerate(labels, start=1):
        if not label:
            raise ConversionError(f"--labels: {unit} {place} of {len(labels)} is empty", fix=fill)
        if not label.isprintable():
            raise ConversionError(
                f"--labels: {shown(label)} has characters that cannot be printed", fix="use plain text"
            )
        if label in labels[: place - 1]:
            raise ConversionError(f"--labels: {shown(label)} is a duplicate", fix="give every class its own name")
    if len(labels) < 2:
        raise ConversionError(f"--labels: {shown(text)} is one label", fix=_LABELS_USAGE)
    return labels


def read_front_end(path: Path, **derived: int | str) -> FrontEnd:
    """Read front-end parameters from a JSON object; parameters that are missing there get the tutorial's values.

    Args:
        path: the file.
        derived: parameters that follow from the network and the tokenizer, by their names in the file; used where the
            file does not state them.

    Raises:
        ConversionError: the file is not a JSON object, names an unknown parameter, or has a value that the device does
            not support.
    """
    text = read_text(path, _FRONT_END_USAGE)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid_json(path, error, _FRONT_END_USAGE) from None
    if not isinstance(table, dict):
        raise ConversionError(f"{path}: not a JSON object", fix=_FRONT_END_USAGE)
    names = FrontEnd.stored_names()
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(name[:LONGEST_SHOWN], names, n=1)
            fix = f"did you mean {near[0]}?" if near else f"choose among {', '.join(names)}"
            raise ConversionError(f"{path}: {shown(name)} is not a parameter of the front end", fix=fix)
    try:
        return FrontEnd.from_table({**derived, **table})
    except BundleError as error:
        used = [name for name in derived if name not in table and f" {name} is " in error.message]
        source = f" (from the network or the tokenizer, because the file does not state {used[0]})" if used else ""
        raise ConversionError(f"{path}: {error.message}{source}", fix=error.fix) from None
    except RecursionError as error:
        raise ConversionError(f"{path}: {error}", fix=_FRONT_END_USAGE) from None


def _check_all_supplied(model: str, user: UserCompanions) -> None:
    options = (
        (user.labels, "no labels", "--labels a,b,c"),
        (user.vocabulary, "no vocabulary", "--vocabulary FILE"),
        (user.front_end, "no front end", "--front-end FILE (a JSON object; {} means the tutorial's settings)"),
    )
    missing = [(companion, option) for value, companion, option in options if value is None]
    if missing:
        *others, last = [companion for companion, _ in missing]
        listed = f"{', '.join(others)} and {last}" if others else last
        raise ConversionError(
            f"{model}: carries {listed}, so its predictions would have no meaning",
            fix=f"give {' '.join(option for _, option in missing)}",
        )
