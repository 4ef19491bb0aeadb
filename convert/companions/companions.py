"""What a user gives beside a Keras model that carries nothing: its labels, its vocabulary, its front end.

Knows texts and files, nothing of Keras or tensorflow.
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.companions.text_files import LONGEST_SHOWN, broken_json, read_text, shown
from convert.companions.vocabulary import Vocabulary, read_vocabulary
from device.bundle import Companions
from device.errors import BundleError, ConversionError
from device.front_end.parameters import FrontEnd
from device.front_end.tokens import normalise


@dataclass(frozen=True)
class Given:
    """The options as the user typed them; None where an option is absent."""

    labels: str | None = None
    """Class names in the order of the softmax, with commas between."""
    vocabulary: Path | None = None
    """File that `convert.companions.vocabulary.read_vocabulary` reads."""
    front_end: Path | None = None
    """File that `read_front_end` reads."""


def complete(
    where: str,
    carried: Companions | None,
    given: Given,
    *,
    picture_size: tuple[int, int],
    sequence_length: int,
) -> Companions:
    """Put together what is given and what the model file carries; what is given wins.

    Args:
        where: the model file, for messages.
        carried: what it carries, None if nothing.
        given: what the user gives.
        picture_size: height and width that the network takes, pixels.
        sequence_length: ids that the network takes.

    Raises:
        ConversionError: something is neither given nor carried, or a file or text is not what its option takes.
    """
    if carried is None:
        _check_all_given(where, given)
    labels = carried.labels if carried else ()
    front_end = carried.front_end if carried else FrontEnd()
    vocabulary = Vocabulary(carried.vocabulary if carried else (), front_end.num_words, front_end.out_of_vocabulary)
    if given.labels is not None:
        labels = read_labels(given.labels)
    if given.vocabulary is not None:
        vocabulary = read_vocabulary(given.vocabulary)
    num_words = vocabulary.num_words or len(vocabulary.words) + 1
    try:
        if given.front_end is not None:
            front_end = read_front_end(
                given.front_end,
                picture_height=picture_size[0],
                picture_width=picture_size[1],
                sequence_length=sequence_length,
                num_words=num_words,
                out_of_vocabulary=vocabulary.out_of_vocabulary,
            )
        elif vocabulary.of_tokenizer:
            front_end = replace(front_end, num_words=num_words, out_of_vocabulary=vocabulary.out_of_vocabulary)
        return Companions(labels, vocabulary.words, front_end, carried.card if carried else {})
    except BundleError as error:
        # Its messages begin with "labels" or "vocabulary", or with the front end that the tokenizer spoils.
        raise ConversionError(f"--{str(error).replace('front end: ', 'vocabulary: ', 1)}") from None


def read_labels(text: str) -> tuple[str, ...]:
    """Class names in the order of the softmax, from a text such as "angry, happy, neutral".

    Raises:
        ConversionError: fewer than two, or one is empty, there twice or cannot be printed.
    """
    labels = tuple(label.strip() for label in text.split(","))
    for place, label in enumerate(labels, start=1):
        if not label:
            raise ConversionError(f"--labels: label {place} of {len(labels)} is empty; give a name between the commas")
        if not label.isprintable():
            raise ConversionError(f"--labels: {shown(label)} has characters that cannot be printed; use plain text")
        if label in labels[: place - 1]:
            raise ConversionError(f"--labels: {shown(label)} is there twice; give one name for each class")
    if len(labels) < 2:
        raise ConversionError(f"--labels: {shown(text)} is one label; give two or more, with commas between")
    return labels


def read_front_end(path: Path, **found: int | str) -> FrontEnd:
    """Settings from a JSON object in which any may be missing: such take the tutorial's value.

    Args:
        path: the file.
        found: what network and tokenizer tell, by the name of the setting; used where the file does not name it.

    Raises:
        ConversionError: not a JSON object, a setting that does not exist, or a value that the device cannot honour.
    """
    text = read_text(path, "--front-end takes a JSON object, such as {}")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise broken_json(path, error) from None
    if not isinstance(table, dict):
        raise ConversionError(f"{path}: not a JSON object; {{}} takes the tutorial's settings")
    names = FrontEnd.stored_names()
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(name[:LONGEST_SHOWN], names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise ConversionError(f"{path}: {shown(name)} is no setting of the front end; {hint}")
    try:
        return FrontEnd.from_table({**found, **table})
    except (BundleError, RecursionError) as error:
        taken = [name for name in found if name not in table and f" {name} is " in str(error)]
        hint = "; the file does not name it, so the network's or the tokenizer's was taken" if taken else ""
        raise ConversionError(f"{path}: {error}{hint}") from None


def never_heard(vocabulary: Sequence[str], out_of_vocabulary: str) -> tuple[str, ...]:
    """Words that no text can give, because `normalise` writes them otherwise, such as "Hello" or "well-known".

    Args:
        vocabulary: the word at index i has id i + 1.
        out_of_vocabulary: with "first" the first word is the out-of-vocabulary token, which nobody needs to say.
    """
    words = vocabulary[1:] if out_of_vocabulary == "first" else vocabulary
    return tuple(word for word in words if normalise(word) != word)


def _check_all_given(where: str, given: Given) -> None:
    options = (
        (given.labels, "no labels", "--labels a,b,c"),
        (given.vocabulary, "no vocabulary", "--vocabulary FILE"),
        (given.front_end, "no front end", "--front-end FILE (a JSON object; {} takes the tutorial's settings)"),
    )
    missing = [(what, option) for value, what, option in options if value is None]
    if missing:
        *others, last = [what for what, _ in missing]
        listed = f"{', '.join(others)} and {last}" if others else last
        raise ConversionError(
            f"{where}: carries {listed}, so its answers would have no meaning; "
            f"give {' '.join(option for _, option in missing)}"
        )
