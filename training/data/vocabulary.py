"""The vocabulary: which words the network knows, and in which order they are numbered."""

from collections import Counter
from collections.abc import Iterable

from device.front_end.tokens import normalise


def fit_vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """All words of the texts after `normalise`, most frequent first, ties by first appearance.

    This is the word index of Keras's `Tokenizer` fitted on the normalised texts: the word at index i has id i + 1. The
    whole index is kept, as Keras keeps it; `FrontEnd.num_words` says how many of the words leave an id.
    """
    counts = Counter(word for text in texts for word in normalise(text).split())
    # `Counter` keeps words in order of first appearance, and sorting is stable.
    return tuple(sorted(counts, key=counts.__getitem__, reverse=True))
