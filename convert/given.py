"""What a user gives beside a Keras model that carries nothing: its labels, its vocabulary, its front end.

Knows texts and files, nothing of Keras or tensorflow: a `Tokenizer` is read from its JSON, and nothing is executed.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from device.bundle import Companions
from device.errors import BundleError, ConversionError
from device.front_end.parameters import FrontEnd
from device.front_end.tokens import normalise

_LARGEST_FILE = 16 << 20
_LONGEST_SHOWN = 40
_PICKLE_STARTS = (b"\x80", b"ccopy_reg\n", b"(dp")
_JSON_STARTS = re.compile(r'\{|"\{|\[\s*["{\[]')
_UNWRITABLE = re.compile("[\\s\0\ud800-\udfff]")
_FORMATS = "one word per line, the JSON of tokenizer.to_json(), or that of tokenizer.word_index"


@dataclass(frozen=True)
class Given:
    """The options as the user typed them; None where an option is absent."""

    labels: str | None = None
    """Class names in the order of the softmax, with commas between."""
    vocabulary: Path | None = None
    """File that `read_vocabulary` reads."""
    front_end: Path | None = None
    """File that `read_front_end` reads."""


@dataclass(frozen=True)
class Vocabulary:
    """Words, and what a tokenizer says of those that it does not know."""

    words: tuple[str, ...]
    """The word at index i has id i + 1."""
    num_words: int | None
    """Words with this id or a higher one are out of vocabulary; None: every word has its id."""
    out_of_vocabulary: str
    """As `FrontEnd.out_of_vocabulary`: "drop" or "first"."""
    of_tokenizer: bool = False
    """Whether a tokenizer told the two above; a mere list of words cannot."""


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
            raise ConversionError(f"--labels: {_shown(label)} has characters that cannot be printed; use plain text")
        if label in labels[: place - 1]:
            raise ConversionError(f"--labels: {_shown(label)} is there twice; give one name for each class")
    if len(labels) < 2:
        raise ConversionError(f"--labels: {_shown(text)} is one label; give two or more, with commas between")
    return labels


def read_vocabulary(path: Path) -> Vocabulary:
    """Words and their ids from a file of one of three kinds, told apart by its content.

    - UTF-8 text, one word per line; the line number is the id.
    - What Keras's `Tokenizer.to_json()` gives, as it is or as a JSON string.
    - A JSON object {word: id}, which is `tokenizer.word_index`.

    A word in the JSON that holds a space can never be looked up; "_" takes the place of the space.

    Raises:
        ConversionError: none of these, or the ids are not 1 to n.
    """
    text = _read(path, f"--vocabulary takes {_FORMATS}", pickles=True)
    content = _parsed(path, text)
    if content is None:
        return Vocabulary(_lines(path, text), None, "drop")
    if not isinstance(content, dict):
        raise ConversionError(f"{path}: holds {_shown(content)}, expected {_FORMATS}")
    kind = content.get("class_name")
    if kind == "Tokenizer":
        return _of_tokenizer(path, content.get("config"))
    if isinstance(kind, str):
        raise ConversionError(f"{path}: the JSON of {_shown(kind)}, expected {_FORMATS}")
    return Vocabulary(_by_id(path, content), None, "drop")


def read_front_end(path: Path, **found: int | str) -> FrontEnd:
    """Settings from a JSON object in which any may be missing: such take the tutorial's value.

    Args:
        path: the file.
        found: what network and tokenizer tell, by the name of the setting; used where the file does not name it.

    Raises:
        ConversionError: not a JSON object, a setting that does not exist, or a value that the device cannot honour.
    """
    text = _read(path, "--front-end takes a JSON object, such as {}")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(path, error) from None
    if not isinstance(table, dict):
        raise ConversionError(f"{path}: not a JSON object; {{}} takes the tutorial's settings")
    names = [field.name for field in fields(FrontEnd)]
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(name[:_LONGEST_SHOWN], names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise ConversionError(f"{path}: {_shown(name)} is no setting of the front end; {hint}")
    try:
        return FrontEnd(**{**found, **table})
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


def _of_tokenizer(path: Path, config: object) -> Vocabulary:
    """What the configuration of a Keras `Tokenizer` says."""
    if not isinstance(config, dict):
        raise ConversionError(f"{path}: a Tokenizer without its config; save it with tokenizer.to_json()")
    if config.get("char_level"):
        raise ConversionError(f"{path}: a Tokenizer of letters (char_level), but words are heard; train with words")
    index = config.get("word_index")
    if isinstance(index, str):
        try:
            index = json.loads(index)
        except (ValueError, RecursionError):
            index = None
    if not isinstance(index, dict):
        raise ConversionError(f"{path}: the Tokenizer has no word_index; save it with tokenizer.to_json()")
    words = _by_id(path, index)
    num_words = config.get("num_words") or None  # Keras takes 0 as no limit
    if isinstance(num_words, float) and num_words.is_integer():  # such as 1e4
        num_words = int(num_words)
    if num_words is not None and (not isinstance(num_words, int) or isinstance(num_words, bool) or num_words < 2):
        raise ConversionError(f"{path}: num_words of the Tokenizer is {_shown(num_words)}, expected 2 or more, or null")
    token = config.get("oov_token")
    if token is not None and index.get(token if isinstance(token, str) else "") != 1:
        raise ConversionError(
            f"{path}: oov_token of the Tokenizer is {_shown(token)}, which does not have id 1; "
            "use a token that no text contains"
        )
    return Vocabulary(words, num_words, "drop" if token is None else "first", of_tokenizer=True)


def _by_id(path: Path, index: Mapping[str, object]) -> tuple[str, ...]:
    """The words in the order of their ids, which must be 1 to n."""
    words: dict[int, str] = {}
    for word, number in index.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise ConversionError(f"{path}: {_shown(word)} has id {_shown(number)}, expected a whole number")
        if number < 1:
            raise ConversionError(f"{path}: {_shown(word)} has id {_shown(number)}; ids begin with 1, for 0 is padding")
        if number in words:
            raise ConversionError(f"{path}: {_shown(words[number])} and {_shown(word)} both have id {_shown(number)}")
        if not word:
            raise ConversionError(f"{path}: the word with id {_shown(number)} is empty")
        words[number] = word
    if not words:
        raise ConversionError(f"{path}: has no words; expected {_FORMATS}")
    for number in range(1, len(words) + 1):
        if number not in words:
            raise ConversionError(f"{path}: no word has id {number}; {len(words)} words have the ids 1 to {len(words)}")
    return tuple(_UNWRITABLE.sub("_", words[number]) for number in range(1, len(words) + 1))


def _lines(path: Path, text: str) -> tuple[str, ...]:
    """The words of a text with one per line."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.rstrip().split("\n"), start=1):
        word = line.strip()
        if not word:
            raise ConversionError(f"{path}: line {number} is empty; the line number is the word's id, so none may be")
        if len(word.split()) > 1:
            raise ConversionError(f"{path}: line {number}: {_shown(word)} is not one word; expected {_FORMATS}")
        if word in lines:
            raise ConversionError(f"{path}: line {number}: {_shown(word)} is there twice, first in line {lines[word]}")
        lines[word] = number
    return tuple(lines)


def _parsed(path: Path, text: str) -> Any:
    """The JSON that a vocabulary holds, unpacked if it was packed twice; None if it is a list of words."""
    start = text.lstrip()
    if start[0] not in '{["':
        return None
    try:
        content = json.loads(text)
        return json.loads(content) if isinstance(content, str) and content.lstrip().startswith("{") else content
    except (ValueError, RecursionError) as error:
        if _JSON_STARTS.match(start):
            raise _broken(path, error) from None
        return None  # the first word of a list may be "[unk]"


def _read(path: Path, takes: str, *, pickles: bool = False) -> str:
    """The text of a file that a user names; refuses what is no UTF-8 text with more than spaces in it."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror}); {takes}") from None
    if pickles and (content.startswith(_PICKLE_STARTS) or path.suffix.lower() in (".pkl", ".pickle")):
        raise ConversionError(f"{path}: a pickle can carry code; save it with tokenizer.to_json()")
    if len(content) > _LARGEST_FILE:
        raise ConversionError(f"{path}: larger than {_LARGEST_FILE >> 20} MB; {takes}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConversionError(f"{path}: line {line} is not UTF-8; save it as UTF-8 text") from None
    if "\0" in text:
        raise ConversionError(f"{path}: is binary or UTF-16, not UTF-8 text; {takes}")
    if not text.strip():
        raise ConversionError(f"{path}: is empty; {takes}")
    return text


def _broken(path: Path, error: Exception) -> ConversionError:
    if isinstance(error, json.JSONDecodeError):
        return ConversionError(f"{path}: line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})")
    return ConversionError(f"{path}: not valid JSON ({error})")


def _shown(value: object) -> str:
    """A value in a message: quoted, on one line, not too long."""
    if isinstance(value, list | dict):
        return "a JSON list" if isinstance(value, list) else "a JSON object"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
