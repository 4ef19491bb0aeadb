"""From sound to words with Vosk, fed while the person speaks."""

import contextlib
import json
import logging
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import SpeechModelError
from device.events import SAMPLE_RATE
from device.system.shared_libraries import how_to_install


class Transcriber:
    """Writes down what one utterance after the other says.

    Vosk joins its words with its grammar while it decodes, and a recogniser keeps what it has joined: for the next
    utterance it needs a half of the time, and takes more and more memory. So it serves some utterances, and goes.
    Each thread that asks has one of its own; they share the model.

    Args:
        speech_model: folder of a Vosk model.
        lone_word_confidence: a single word with a lower confidence (0 to 1) is dropped.
        utterances_per_recogniser: how many it serves.
        search: how hard it looks for the words, see `device.recognition.transcriber`.

    Raises:
        SpeechModelError: Vosk cannot load the model, or cannot be loaded itself.
    """

    def __init__(
        self,
        speech_model: Path,
        lone_word_confidence: float,
        utterances_per_recogniser: int = 16,
        *,
        search: str = "quick",
    ) -> None:
        vosk = _vosk()
        vosk.SetLogLevel(-1)
        try:
            with laid_out(speech_model, search) as folder:
                self._model = vosk.Model(model_path=str(folder))
        except Exception:  # noqa: BLE001  # Vosk raises the bare class for everything
            raise SpeechModelError(
                f"{speech_model}: Vosk cannot load it; run `edge-mcnn fetch-speech-model` to get a whole one"
            ) from None
        self._new_recogniser = vosk.KaldiRecognizer
        self._lone_word_confidence = lone_word_confidence
        self._utterances_per_recogniser = utterances_per_recogniser
        self._serving = _Serving()

    def begin(self) -> "Transcription":
        """Begin an utterance; with it the one before is over, whether or not its words were asked for."""
        serving = self._serving
        if serving.recogniser is None or serving.served >= self._utterances_per_recogniser:
            serving.recogniser = None  # let go of the old one before there are two
            serving.recogniser = self._new_recogniser(self._model, SAMPLE_RATE)
            serving.recogniser.SetWords(True)
            serving.served = 0
        else:
            serving.recogniser.FinalResult()  # nothing is left over of the one before
        serving.served += 1
        return Transcription(serving.recogniser, self._lone_word_confidence)


def _vosk() -> Any:
    try:
        import vosk  # 0.15 s and 34 MB: only for those who listen
    except (ImportError, OSError) as error:
        mend = how_to_install(error) or "run: pip install --force-reinstall vosk"
        raise SpeechModelError(f"Vosk cannot be used: {error}; {mend}") from None
    return vosk


class _Serving(threading.local):
    """The recogniser of a thread. Two threads in one would mix up their words, and crash."""

    recogniser: Any = None
    served = 0


class Transcription:
    """The words of one utterance, on their way; `Transcriber.begin` makes it."""

    def __init__(self, recogniser: Any, lone_word_confidence: float) -> None:
        self._recogniser = recogniser
        self._lone_word_confidence = lone_word_confidence
        self._words: list[tuple[str, float]] = []

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Take the next samples, shape (n,), 16 kHz."""
        if self._recogniser.AcceptWaveform(samples.tobytes()):  # Vosk heard a pause of its own
            self._take(self._recogniser.Result())

    def so_far(self) -> str:
        """The words as they are guessed at this moment, as `text`; the last ones may still change."""
        guessed = json.loads(self._recogniser.PartialResult()).get("partial", "")
        return " ".join([*(word for word, _ in self._words), *guessed.split()])

    def text(self) -> str:
        """The words so far, lower case, separated by spaces; empty if there were none to tell.

        It may be fed on: as after any pause, what follows is told from what came before by its sound alone.
        """
        self._take(self._recogniser.FinalResult())
        if len(self._words) == 1 and self._words[0][1] < self._lone_word_confidence:
            return ""
        return " ".join(word for word, _ in self._words)

    def _take(self, result: str) -> None:
        self._words += [(word["word"], word["conf"]) for word in json.loads(result).get("result", [])]


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
