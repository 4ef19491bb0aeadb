"""The grammar of a speech model, in a form in which Vosk needs less memory for the same words.

The grammar of a published model has the same table of words twice, as input and as output symbols. Vosk reads both and
uses the second. And the words stand in alphabetical order, so that OpenFst makes an index from their numbers to their
places, which it does without if the numbers count up from 0. Together that is 34 MB for the small English model.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_FST_MAGIC, _SYMBOLS_MAGIC = struct.pack("<i", 2125659606), struct.pack("<i", 2125658996)
"""First bytes of a transducer and of a symbol table in a file of OpenFst."""
_HAS_INPUT_SYMBOLS, _HAS_BOTH_SYMBOLS = 1, 3
"""Bits of a transducer's flags."""
_AFTER_FLAGS = 8 * 4
"""Bytes of a transducer's header between its flags and its first symbol table: properties, start, states, arcs."""
_LENGTH_SIZE, _NUMBER_SIZE = 4, 8
"""Bytes of the length before each text, and of the number after each symbol."""


def smaller_grammar(path: Path) -> int | None:
    """Copy a grammar without its input symbols, and with ordered output symbols, into an unnamed file in memory.

    Args:
        path: a transducer of OpenFst whose input and output symbols are the same.

    Returns:
        The descriptor of the copy; None if the file is missing or anything else.

    Raises:
        OSError: it cannot be copied.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            symbols = _find_symbols(content)
            if symbols is None:
                return None
            table = content[symbols.start : symbols.end]
            rest, size = 2 * symbols.end - symbols.start, len(content)
            copy = os.memfd_create(path.name)
            try:
                with os.fdopen(copy, "wb", closefd=False) as target:
                    target.write(content[: symbols.flags_at])
                    target.write(struct.pack("<i", symbols.flags & ~_HAS_INPUT_SYMBOLS))
                    target.write(content[symbols.flags_at + 4 : symbols.start])
                    target.write(ordered(table) or table)
                while rest < size:
                    rest += os.sendfile(copy, file.fileno(), rest, size - rest)
            except BaseException:
                os.close(copy)
                raise
    except (FileNotFoundError, ValueError, struct.error):  # a model with another graph, or an empty or odd file
        return None
    return copy


def ordered(table: bytes) -> bytes | None:
    """Order the symbols in a symbol table of OpenFst by their numbers.

    Each symbol is the length of its text as 4 bytes, the text, and its number as 8 bytes; all little endian.

    Args:
        table: the table. Symbols of the same number stay in their order, because the last one counts.

    Returns:
        The ordered table, which has the same size; None if a text has 256 bytes or more, a number has more than 3
        bytes, or the table is not complete.
    """
    import numpy as np  # here, because memory is checked before numpy is imported, by what imports this module

    first = _LENGTH_SIZE * 2 + int(struct.unpack_from("<i", table, _LENGTH_SIZE)[0]) + 2 * 8
    body = np.frombuffer(table, np.uint8)[first:]
    if not len(body):
        return None
    zero = body == 0
    # A symbol follows five zeros of the number before it; its length is a byte that is not 0, and three that are.
    five = zero[:-9] & zero[1:-8] & zero[2:-7] & zero[3:-6] & zero[4:-5]
    begins = five & ~zero[5:-4] & zero[6:-3] & zero[7:-2] & zero[8:-1] & ~zero[9:]
    starts = np.concatenate([[0], np.flatnonzero(begins) + 5])
    ends = np.concatenate([starts[1:], [len(body)]])
    sizes = ends - starts
    count = struct.unpack_from("<q", table, first - 8)[0]
    if len(starts) != count or not np.array_equal(sizes, body[starts].astype(np.int64) + _LENGTH_SIZE + _NUMBER_SIZE):
        return None
    numbers = body[(ends - _NUMBER_SIZE)[:, None] + np.arange(4)].copy().view("<u4").ravel()
    order = np.argsort(numbers, kind="stable")
    sizes = sizes[order]
    shifts = starts[order] - (np.cumsum(sizes) - sizes)  # from where each symbol is to be to where it is
    places = np.repeat(shifts.astype(np.int32), sizes) + np.arange(len(body), dtype=np.int32)
    return table[:first] + body[places].tobytes()


@dataclass(frozen=True)
class _Symbols:
    """Where the input symbols of a transducer are in its file, bytes from its beginning."""

    flags_at: int
    """The integer whose bits are what the file contains."""
    flags: int
    """That integer."""
    start: int
    """First byte of the input symbols."""
    end: int
    """First byte after them, where the output symbols begin."""


def _find_symbols(content: mmap.mmap) -> _Symbols | None:
    """Find the input symbols of a transducer; None unless its output symbols are the same.

    The layout is that of `FstHeader::Write` and `SymbolTable::Write` of OpenFst.
    """
    if content[:4] != _FST_MAGIC:
        return None
    position = 4
    for _ in ("type of the transducer", "type of its arcs"):
        position += 4 + int(struct.unpack_from("<i", content, position)[0])
    version_size, flags_size = 4, 4
    flags_at = position + version_size
    flags = int(struct.unpack_from("<i", content, flags_at)[0])
    start = flags_at + flags_size + _AFTER_FLAGS
    if flags & _HAS_BOTH_SYMBOLS != _HAS_BOTH_SYMBOLS or content[start : start + 4] != _SYMBOLS_MAGIC:
        return None
    end = content.find(_SYMBOLS_MAGIC, start + 4)
    # Equal up to here, so this is where the second table begins, and no word that looks like that.
    if end < 0 or content[start:end] != content[end : 2 * end - start]:
        return None
    return _Symbols(flags_at, flags, start, end)
