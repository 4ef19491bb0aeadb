"""The folder from which Vosk loads a speech model: links to its files, but for those that are changed on the way.

Vosk reads its settings and its graphs from the model's folder alone. How hard it searches for the words is set in a
file of ours beside the links. The grammar is one that needs less memory, see `device.recognition.grammar`.
"""

import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from device.recognition.grammar import smaller_grammar

_LOG = logging.getLogger(__name__)
_LEAST_STATES = 20
"""States that the search keeps in each step, however unlikely they are.

The small English model is published with 200, which is most of its work for the same words, because the beam already
keeps all states that are nearly as likely as the best.
"""
_SHARE_OF_MOST_STATES = 1 / 3
"""Share of the largest number of states that the maker allows."""
_PREFIX = "edge-mcnn-"
"""How the names of temporary folders begin; the number of their process follows."""
_OPTIONS, _GRAMMAR = Path("conf/model.conf"), Path("graph/Gr.fst")


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
            grammar = smaller_grammar(speech_model / _GRAMMAR)
            if grammar is not None:
                stack.callback(os.close, grammar)
                changed.append(_GRAMMAR)
            if changed:
                links = _temporary_folder()
                stack.callback(shutil.rmtree, links, ignore_errors=True)
                _link(speech_model, links, changed)
                if _OPTIONS in changed:
                    (links / _OPTIONS).write_text(_quick_options(published.read_text()))
                if _GRAMMAR in changed:
                    (links / _GRAMMAR).symlink_to(f"/proc/self/fd/{grammar}")
                folder = links
        except OSError as error:
            _LOG.info("Vosk loads the model as published, because no changed one can be made: %s", error)
        yield folder


def _temporary_folder() -> Path:
    """Make a folder, and remove those of processes that were ended while they loaded from one.

    No `TemporaryDirectory`: at Ctrl-C it is removed before the thread that loads from it has ended.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdecimal() and not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)  # it may be another user's
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


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
