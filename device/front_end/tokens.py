"""From words to ids: the one text normaliser of the project, and the ids that the network reads.

The ids equal those of Keras's `Tokenizer(num_words=..., oov_token=...)` and `pad_sequences(padding=...)`. This module
does not know where words come from.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd

_APOSTROPHES = re.compile("[\u2018\u2019\u02bc\u0060\u00b4\u0091\u0092]")
_NOT_A_WORD = re.compile(r"[^\w']|_")
_EDGE_APOSTROPHES = re.compile(r"(?<!\w)'+|'+(?!\w)")


def normalise(text: str) -> str:
    """Write a text as Vosk would have: lower case, no punctuation, single spaces, apostrophes only inside words.

    A network trained on written text and shown a recogniser's would learn from marks that it never sees again ("!"
    alone gives the class away in MELD), so every text, read or heard, goes through here. Applying it twice changes
    nothing.
    """
    text = unicodedata.normalize("NFKC", _APOSTROPHES.sub("'", text)).lower()
    text = _EDGE_APOSTROPHES.sub(" ", _NOT_A_WORD.sub(" ", text))
    return " ".join(text.split())


class Tokens:
    """Turns texts into rows of ids.

    Args:
        vocabulary: words, most frequent first; the word at index i has id i + 1, and 0 is padding. Where the front end
            gives unknown words the first id, the out-of-vocabulary token stands before all of them.
        front_end: length, padding and out-of-vocabulary rule.
    """

    def __init__(self, vocabulary: Sequence[str], front_end: FrontEnd) -> None:
        self._length = front_end.sequence_length
        self._zeros_behind = front_end.padding == "post"
        self._unknown = 1 if front_end.out_of_vocabulary == "first" else 0
        known = vocabulary[: front_end.num_words - 1]
        self._ids = {word: index for index, word in enumerate(known, start=1)}

    def ids(self, text: str) -> NDArray[np.int32]:
        """Ids of the words of `text`, shape (sequence_length,), int32; a longer text keeps its last words.

        Zeros fill the row, before or behind the words as the front end has it.
        """
        ids = (self._ids.get(word, self._unknown) for word in normalise(text).split())
        found = [each for each in ids if each][-self._length :]
        row = np.zeros(self._length, np.int32)
        start = 0 if self._zeros_behind else self._length - len(found)
        row[start : start + len(found)] = found
        return row
