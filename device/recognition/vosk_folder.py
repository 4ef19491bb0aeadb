"""The folder from which Vosk loads a speech model: links to its files, but for those that are changed on the way.

Vosk reads its settings and its graphs from the model's folder alone. How hard it searches for the words is set in a
file of ours beside the links. The grammar of the published models has the same list of words twice, once for what it
accepts and once for what it emits, and Vosk uses the second alone: it is given a grammar without the first.
"""

import contextlib
import logging
import mmap
import os
import re
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)
_LEAST_STATES = 20
"""States that the search keeps in each step, however unlikely they are.

The small English model is published with 200, which is most of its work for the same words, because the beam already
keeps all states that are nearly as likely as the best.
"""
_SHARE_OF_MOST_STATES = 1 / 3
"""Share of the largest number of states that the maker allows."""
_OPTIONS, _GRAMMAR = Path("conf/model.conf"), Path("graph/Gr.fst")
_FST_MAGIC, _SYMBOLS_MAGIC = struct.pack("<i", 2125659606), struct.pack("<i", 2125658996)
"""First bytes of a transducer and of a symbol table in a file of OpenFst."""
_HAS_INPUT_SYMBOLS, _HAS_BOTH_SYMBOLS = 1, 3
"""Bits of a transducer's flags."""
_AFTER_FLAGS = 8 * 4
"""Bytes of a transducer's header between its flags and its first symbol table: properties, start, states, arcs."""


@contextlib.contextmanager
def model_folder(speech_model: Path, search: str) -> Iterator[Path]:
    """Provide the folder from which Vosk loads a model; it is needed only while Vosk loads.

    Args:
        speech_model: folder of a Vosk model.
        search: "quick", or "thorough", which is what the model's maker published.
    """
    published = speech_model / _OPTIONS
    with contextlib.ExitStack() as stack:
        folder = speech_model
        try:
            changed = [_OPTIONS] if search == "quick" and published.is_file() else []
            grammar = _without_input_symbols(speech_model / _GRAMMAR)
            if grammar is not None:
                stack.callback(os.close, grammar)
                changed.append(_GRAMMAR)
            if changed:
                links = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-mcnn-")))
                _link(speech_model, links, changed)
                if _OPTIONS in changed:
                    (links / _OPTIONS).write_text(_quick_options(published.read_text()))
                if _GRAMMAR in changed:
                    (links / _GRAMMAR).symlink_to(f"/proc/self/fd/{grammar}")
                folder = links
        except OSError as error:
            _LOG.info("Vosk loads the model as published, because no changed one can be made: %s", error)
        yield folder


def _link(source: Path, target: Path, all_but: list[Path]) -> None:
    """Link everything in a folder but some files; what contains one of them is made as a folder of links."""
    for path in source.iterdir():
        within = [each.relative_to(path.name) for each in all_but if each.parts[0] == path.name]
        if not within:
            (target / path.name).symlink_to(path.absolute())
        elif Path() not in within:
            (target / path.name).mkdir()
            _link(path, target / path.name, within)


def _quick_options(options: str) -> str:
    """Replace the maker's limits on the search with ours in the text of `model.conf`."""
    options = re.sub(r"^--min-active=.*$", f"--min-active={_LEAST_STATES}", options, flags=re.MULTILINE)
    most = re.compile(r"^--max-active=(\d+)", re.MULTILINE)
    return most.sub(lambda found: f"--max-active={round(int(found[1]) * _SHARE_OF_MOST_STATES)}", options)


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


def _spare_symbols(content: mmap.mmap) -> _Symbols | None:
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


def _without_input_symbols(path: Path) -> int | None:
    """Copy a transducer without its input symbols into a file that has no name and is in memory.

    Returns:
        The descriptor of that file; None if the input symbols of this one are no copy of its output symbols.

    Raises:
        OSError: it cannot be copied.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            symbols = _spare_symbols(content)
            size = len(content)
            if symbols is None:
                return None
            copy = os.memfd_create(path.name)
            try:
                os.write(copy, content[: symbols.flags_at])
                os.write(copy, struct.pack("<i", symbols.flags & ~_HAS_INPUT_SYMBOLS))
                os.write(copy, content[symbols.flags_at + 4 : symbols.start])
                position = symbols.end
                while position < size:
                    position += os.sendfile(copy, file.fileno(), position, size - position)
            except BaseException:
                os.close(copy)
                raise
    except (FileNotFoundError, ValueError, struct.error):  # a model with another graph, or an empty or odd file
        return None
    return copy
