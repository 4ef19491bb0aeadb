"""From words to ids: the only text normaliser of the project, and the ids that the network reads.

The ids equal those of Keras's `Tokenizer(num_words=..., oov_token=...)` and `pad_sequences(padding=...)`. This module
is independent of where the words come from.
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
    """Convert a text to the form of Vosk's transcripts: lower case, no punctuation, apostrophes only inside words.

    Words are separated by single spaces. A network that is trained on written text would learn from marks that no
    transcript contains ("!" alone gives the class away in MELD), so every text, written or transcribed, is normalised
    here. Normalising twice changes nothing.
    """
    text = unicodedata.normalize("NFKC", _APOSTROPHES.sub("'", text)).lower()
    text = _EDGE_APOSTROPHES.sub(" ", _NOT_A_WORD.sub(" ", text))
    return " ".join(text.split())


class Tokens:
    """Converts texts to rows of ids.

    Args:
        vocabulary: words, most frequent first; the word at index i has id i + 1, and 0 is padding. Where the front end
            gives unknown words the first id, the out-of-vocabulary token comes first.
        front_end: sequence length, padding and out-of-vocabulary rule.
    """

    def __init__(self, vocabulary: Sequence[str], front_end: FrontEnd) -> None:
        self._length = front_end.sequence_length
        self._zeros_after = front_end.padding == "post"
        self._unknown = 1 if front_end.out_of_vocabulary == "first" else 0
        known = vocabulary[: front_end.num_words - 1]
        self._ids = {word: index for index, word in enumerate(known, start=1)}

    def ids(self, text: str) -> NDArray[np.int32]:
        """Convert a text to ids, shape (sequence_length,), int32; of a longer text the last words are used.

        Zeros fill the row before or after the words, as the front end defines.
        """
        ids = (self._ids.get(word, self._unknown) for word in normalise(text).split())
        found = [each for each in ids if each][-self._length :]
        row = np.zeros(self._length, np.int32)
        start = 0 if self._zeros_after else self._length - len(found)
        row[start : start + len(found)] = found
        return row
