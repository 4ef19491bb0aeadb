"""Reads a vocabulary that a user supplies: a list of words, or the JSON of Keras's `Tokenizer`.

It is independent of Keras and tensorflow: only the JSON of a `Tokenizer` is read, and nothing is executed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.companions.text_files import invalid_json, read_text, shown
from device.errors import ConversionError
from device.front_end.tokens import normalise
from device.system.display import displayable

_JSON_STARTS = re.compile(r'\{|"\{|\[\s*["{\[]')
_NOT_IN_WORDS = re.compile("[\\s\0\ud800-\udfff]")
_FORMATS = "one word per line, the JSON of tokenizer.to_json(), or that of tokenizer.word_index"
_USAGE = f"give --vocabulary {_FORMATS}"
_SAVE_TOKENIZER = "save it with tokenizer.to_json()"
_UNPICKLE = (
    'save it with tokenizer.to_json(), where it was made: python -c "import pickle; '
    "print(pickle.load(open('tokenizer.pickle', 'rb')).to_json())\" > tokenizer.json"
)
_NUMBER_WORDS = "number the words 1, 2, 3, ..., as tokenizer.word_index does"


@dataclass(frozen=True)
class Vocabulary:
    """The words of a vocabulary, and how a tokenizer treats words that are not among them."""

    words: tuple[str, ...]
    """The word at index i has id i + 1."""
    num_words: int | None
    """Words with this id or a higher one are out of vocabulary; None if every word has its id."""
    out_of_vocabulary: str
    """As `FrontEnd.out_of_vocabulary`: "drop" or "first"."""
    of_tokenizer: bool = False
    """Whether a tokenizer stated the two fields above; a plain list of words cannot."""


def read_vocabulary(path: Path) -> Vocabulary:
    """Read words and their ids from a file in one of three formats, which its content distinguishes.

    - UTF-8 text, one word per line; the line number is the id.
    - The result of Keras's `Tokenizer.to_json()`, as JSON object or as JSON string.
    - A JSON object {word: id}, which is `tokenizer.word_index`.

    A word in JSON that contains a space can never be looked up; "_" replaces the space.

    Raises:
        ConversionError: the file has none of these formats, or the ids are not 1 to n.
    """
    text = read_text(path, _USAGE, pickle_fix=_UNPICKLE)
    content = _parsed(path, text)
    if content is None:
        return Vocabulary(_words_of_lines(path, text), None, "drop")
    if not isinstance(content, dict):
        raise ConversionError(f"{displayable(path)}: holds {shown(content)}, expected {_FORMATS}", fix=_USAGE)
    kind = content.get("class_name")
    if kind == "Tokenizer":
        return _of_tokenizer(path, content.get("config"))
    if isinstance(kind, str):
        raise ConversionError(f"{displayable(path)}: the JSON of {shown(kind)}, expected {_FORMATS}", fix=_USAGE)
    return Vocabulary(_words_by_id(path, content), None, "drop")


def unreachable_words(vocabulary: Sequence[str], out_of_vocabulary: str) -> tuple[str, ...]:
    """Words that no transcript can contain, because `normalise` changes them, such as "Hello" or "well-known".

    Args:
        vocabulary: the word at index i has id i + 1.
        out_of_vocabulary: with "first" the first word is the out-of-vocabulary token, which need not be reachable.
    """
    words = vocabulary[1:] if out_of_vocabulary == "first" else vocabulary
    return tuple(word for word in words if normalise(word) != word)


def _of_tokenizer(path: Path, config: object) -> Vocabulary:
    """The vocabulary in the configuration of a Keras `Tokenizer`."""
    if not isinstance(config, dict):
        raise ConversionError(f"{displayable(path)}: a Tokenizer without its config", fix=_SAVE_TOKENIZER)
    if config.get("char_level"):
        raise ConversionError(
            f"{displayable(path)}: a Tokenizer of letters (char_level), but transcripts consist of words",
            fix="train with words",
        )
    index = config.get("word_index")
    if isinstance(index, str):
        try:
            index = json.loads(index)
        except (ValueError, RecursionError):
            index = None
    if not isinstance(index, dict):
        raise ConversionError(f"{displayable(path)}: the Tokenizer has no word_index", fix=_SAVE_TOKENIZER)
    words = _words_by_id(path, index)
    num_words = config.get("num_words") or None  # Keras treats 0 as no limit
    if isinstance(num_words, float) and num_words.is_integer():  # such as 1e4
        num_words = int(num_words)
    if num_words is not None and (not isinstance(num_words, int) or isinstance(num_words, bool) or num_words < 2):
        raise ConversionError(
            f"{displayable(path)}: num_words of the Tokenizer is {shown(num_words)}, expected 2 or more, or null",
            fix=_SAVE_TOKENIZER,
        )
    token = config.get("oov_token")
    if token is not None and index.get(token if isinstance(token, str) else "") != 1:
        raise ConversionError(
            f"{displayable(path)}: oov_token of the Tokenizer is {shown(token)}, which does not have id 1",
            fix="use a token that no text contains",
        )
    return Vocabulary(words, num_words, "drop" if token is None else "first", of_tokenizer=True)


def _words_by_id(path: Path, index: Mapping[str, object]) -> tuple[str, ...]:
    """The words in the order of their ids, which must be 1 to n."""
    words: dict[int, str] = {}
    for word, number in index.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise ConversionError(
                f"{displayable(path)}: {shown(word)} has id {shown(number)}, expected an integer", fix=_NUMBER_WORDS
            )
        if number < 1:
            raise ConversionError(
                f"{displayable(path)}: {shown(word)} has id {shown(number)}, but ids begin with 1, because 0 is "
                "padding",
                fix=_NUMBER_WORDS,
            )
        if number in words:
            raise ConversionError(
                f"{displayable(path)}: {shown(words[number])} and {shown(word)} both have id {shown(number)}",
                fix=_NUMBER_WORDS,
            )
        if not word:
            raise ConversionError(
                f"{displayable(path)}: the word with id {shown(number)} is empty", fix="remove or name it"
            )
        words[number] = word
    if not words:
        raise ConversionError(f"{displayable(path)}: has no words, expected {_FORMATS}", fix=_USAGE)
    for number in range(1, len(words) + 1):
        if number not in words:
            raise ConversionError(
                f"{displayable(path)}: no word has id {number}, but {len(words)} words need the ids 1 to {len(words)}",
                fix=_NUMBER_WORDS,
            )
    return tuple(_NOT_IN_WORDS.sub("_", words[number]) for number in range(1, len(words) + 1))


def _words_of_lines(path: Path, text: str) -> tuple[str, ...]:
    """The words of a text with one word per line."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.rstrip().split("\n"), start=1):
        word = line.strip()
        if not word:
            raise ConversionError(
                f"{displayable(path)}: line {number} is empty",
                fix="fill or remove it: the line number is the word's id",
            )
        if len(word.split()) > 1:
            raise ConversionError(f"{displayable(path)}: line {number}: {shown(word)} is not one word", fix=_USAGE)
        if word in lines:
            raise ConversionError(
                f"{displayable(path)}: line {number}: {shown(word)} is a duplicate of line {lines[word]}",
                fix="give every word one line",
            )
        lines[word] = number
    return tuple(lines)


def _parsed(path: Path, text: str) -> Any:
    """The JSON content of a vocabulary file, decoded twice if it was encoded twice; None if it is a list of words."""
    start = text.lstrip()
    if start[0] not in '{["':
        return None
    try:
        content = json.loads(text)
        return json.loads(content) if isinstance(content, str) and content.lstrip().startswith("{") else content
    except (ValueError, RecursionError) as error:
        if _JSON_STARTS.match(start):
            raise invalid_json(path, error, _USAGE) from None
        return None  # the first word of a list may be "[unk]"
