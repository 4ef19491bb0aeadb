"""How hard Vosk searches for the words: its decoder's settings, beside those that the model's maker published.

Vosk reads them from the model's folder alone, so it is given a folder of links to the model with a file of ours among
them. What a model is and where it comes from, this module does not know.
"""

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOG = logging.getLogger(__name__)
_LEAST_STATES = 20
"""Of the search, kept in each step however unlikely they are. The small English model has 200: most of its work, for
the same words, since the beam already keeps all that are nearly as likely as the best."""
_SHARE_OF_MOST_STATES = 1 / 3
"""Of the number that the maker allows."""


@contextlib.contextmanager
def laid_out(speech_model: Path, search: str) -> Iterator[Path]:
    """The folder for Vosk to load `speech_model` from; needed only while it loads.

    Args:
        speech_model: folder of a Vosk model.
        search: "quick", or "thorough", which is what the maker published.
    """
    published = speech_model / "conf" / "model.conf"
    with contextlib.ExitStack() as stack:
        folder = speech_model
        if search == "quick" and published.is_file():
            try:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-mcnn-")))
                _link(speech_model, folder, "conf")
                (folder / "conf").mkdir()
                _link(speech_model / "conf", folder / "conf", "model.conf")
                (folder / "conf" / "model.conf").write_text(_quicker(published.read_text()))
            except OSError as error:
                _LOG.info("Vosk searches thoroughly, no folder for other settings can be made: %s", error)
                folder = speech_model
        yield folder


def _link(source: Path, target: Path, all_but: str) -> None:
    for path in source.iterdir():
        if path.name != all_but:
            (target / path.name).symlink_to(path.absolute())


def _quicker(options: str) -> str:
    """The maker's options with ours in place of theirs."""
    options = re.sub(r"^--min-active=.*$", f"--min-active={_LEAST_STATES}", options, flags=re.MULTILINE)
    most = re.compile(r"^--max-active=(\d+)", re.MULTILINE)
    return most.sub(lambda found: f"--max-active={round(int(found[1]) * _SHARE_OF_MOST_STATES)}", options)
