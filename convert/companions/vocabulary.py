"""The vocabulary that a user gives for a stranger's network: a list of words, or what Keras's `Tokenizer` knows.

Knows texts, nothing of Keras or tensorflow: a `Tokenizer` is read from its JSON, and nothing is executed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.companions.text_files import broken_json, read_text, shown
from device.errors import ConversionError

_JSON_STARTS = re.compile(r'\{|"\{|\[\s*["{\[]')
_UNWRITABLE = re.compile("[\\s\0\ud800-\udfff]")
_FORMATS = "one word per line, the JSON of tokenizer.to_json(), or that of tokenizer.word_index"


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


def read_vocabulary(path: Path) -> Vocabulary:
    """Words and their ids from a file of one of three kinds, told apart by its content.

    - UTF-8 text, one word per line; the line number is the id.
    - What Keras's `Tokenizer.to_json()` gives, as it is or as a JSON string.
    - A JSON object {word: id}, which is `tokenizer.word_index`.

    A word in the JSON that holds a space can never be looked up; "_" takes the place of the space.

    Raises:
        ConversionError: none of these, or the ids are not 1 to n.
    """
    text = read_text(path, f"--vocabulary takes {_FORMATS}", pickles=True)
    content = _parsed(path, text)
    if content is None:
        return Vocabulary(_lines(path, text), None, "drop")
    if not isinstance(content, dict):
        raise ConversionError(f"{path}: holds {shown(content)}, expected {_FORMATS}")
    kind = content.get("class_name")
    if kind == "Tokenizer":
        return _of_tokenizer(path, content.get("config"))
    if isinstance(kind, str):
        raise ConversionError(f"{path}: the JSON of {shown(kind)}, expected {_FORMATS}")
    return Vocabulary(_by_id(path, content), None, "drop")


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
        raise ConversionError(f"{path}: num_words of the Tokenizer is {shown(num_words)}, expected 2 or more, or null")
    token = config.get("oov_token")
    if token is not None and index.get(token if isinstance(token, str) else "") != 1:
        raise ConversionError(
            f"{path}: oov_token of the Tokenizer is {shown(token)}, which does not have id 1; "
            "use a token that no text contains"
        )
    return Vocabulary(words, num_words, "drop" if token is None else "first", of_tokenizer=True)


def _by_id(path: Path, index: Mapping[str, object]) -> tuple[str, ...]:
    """The words in the order of their ids, which must be 1 to n."""
    words: dict[int, str] = {}
    for word, number in index.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise ConversionError(f"{path}: {shown(word)} has id {shown(number)}, expected a whole number")
        if number < 1:
            raise ConversionError(f"{path}: {shown(word)} has id {shown(number)}; ids begin with 1, for 0 is padding")
        if number in words:
            raise ConversionError(f"{path}: {shown(words[number])} and {shown(word)} both have id {shown(number)}")
        if not word:
            raise ConversionError(f"{path}: the word with id {shown(number)} is empty")
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
            raise ConversionError(f"{path}: line {number}: {shown(word)} is not one word; expected {_FORMATS}")
        if word in lines:
            raise ConversionError(f"{path}: line {number}: {shown(word)} is there twice, first in line {lines[word]}")
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
            raise broken_json(path, error) from None
        return None  # the first word of a list may be "[unk]"
