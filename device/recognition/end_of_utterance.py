"""Whether speech before a pause is complete, by how its last sounds fade and by its last word.

Both are computed during the pause, from what is there already: while someone speaks they cost nothing.
"""

import numpy as np
from numpy.typing import NDArray

from device.events import FRAME_LENGTH

_END_FRAMES = 4
"""Frames at the end of the speech whose level is compared (128 ms)."""
COMPARED_FRAMES = 32
"""Frames at the end of the speech among which the loud ones are found (1 s)."""
_LOUD = 0.9
"""Quantile of the levels of these frames that counts as loud."""
_FALL_DB = 12.0
"""How much quieter than loud speech the end of a sentence is.

Of the sentences of RAVDESS, actors 1 to 10, 71 % end at least as quietly, and 33 % do so where they are cut in the
middle. What the pitch does there distinguishes nothing: it falls in both, by as much.
"""
_CONJUNCTIONS = "and but or nor so because cause since if unless until when while where although though whereas "
_RELATIVES = "that than which who whose whether "
_PREPOSITIONS = "of to for with from at by into onto about between among during without toward towards against "
_DETERMINERS = "a an the my your our their every each "
_SUBJECTS = "i i'm i've i'll i'd he's she's it's we're we've they're they've you're there's that's what's "
_AUXILIARIES = "am is are was were gonna wanna gotta "
_HESITATIONS = "uh um uhm er erm ah hm hmm mm huh eh like well very really quite"
_GOES_ON = frozenset(
    (_CONJUNCTIONS + _RELATIVES + _PREPOSITIONS + _DETERMINERS + _SUBJECTS + _AUXILIARIES + _HESITATIONS).split()
)
"""Words, English, after which people speak on; hesitations as Vosk writes them."""


def voice_falls(samples: NDArray[np.int16]) -> bool:
    """Return whether speech becomes quieter at its end, as it does at the end of a sentence; not in a held vowel.

    Args:
        samples: the speech up to its last voiced frame, shape (n,), 16 kHz, a multiple of 512; the last second counts.
    """
    frames = samples[-COMPARED_FRAMES * FRAME_LENGTH :].reshape(-1, FRAME_LENGTH).astype(np.float32)
    if len(frames) <= _END_FRAMES:
        return False
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1)  # 1: digital silence is as loud as the last bit
    return bool(level[-_END_FRAMES:].mean() <= np.quantile(level, _LOUD) - _FALL_DB)


def speaks_on(text: str) -> bool:
    """Return whether a text ends with a word after which people speak on, such as "and" or "um".

    Args:
        text: a transcript, lower case, words separated by spaces. The words are English; a transcript in another
            language rarely ends with one of them.
    """
    return text.rpartition(" ")[2] in _GOES_ON
