"""From audio to words with Vosk, which is fed while the person speaks.

How hard Vosk searches for the words is set here as well, by its decoder's settings beside those that the model's maker
published. Vosk reads them from the model's folder alone, so it is given a folder of links to the model with one file of
ours among them.
"""

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
from device.recognition.vosk_loading import require_memory, within_limit
from device.system.shared_libraries import how_to_install

_LOG = logging.getLogger(__name__)
_LEAST_STATES = 20
"""States that the search keeps in each step, however unlikely they are.

The small English model is published with 200, which is most of its work for the same words, because the beam already
keeps all states that are nearly as likely as the best.
"""
_SHARE_OF_MOST_STATES = 1 / 3
"""Share of the largest number of states that the maker allows."""


class Transcriber:
    """Transcribes one utterance after the other.

    Vosk joins its words with its grammar while it decodes, and a recogniser keeps what it has joined: for the next
    utterance it needs half of the time, and more and more memory. So a recogniser is replaced after some utterances.
    Each calling thread has a separate recogniser; all share the model.

    Args:
        speech_model: folder of a Vosk model.
        lone_word_confidence: a transcript of a single word with a lower confidence (0 to 1) is dropped.
        utterances_per_recogniser: number of utterances after which a recogniser is replaced.
        search: "quick", or "thorough", which is what the model's maker published.

    Raises:
        SpeechModelError: Vosk cannot load the model, has too little memory for it or hangs, or Vosk itself cannot be
            loaded.
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
        require_memory(speech_model)
        try:
            with model_folder(speech_model, search) as folder:
                self._model = within_limit(lambda: vosk.Model(model_path=str(folder)))
        except SpeechModelError:
            raise
        except Exception:  # noqa: BLE001  # Vosk raises the bare class for everything
            raise SpeechModelError(
                f"{speech_model}: Vosk cannot load it", fix="run `edge-mcnn fetch-speech-model` to get a complete one"
            ) from None
        self._new_recogniser = vosk.KaldiRecognizer
        self._lone_word_confidence = lone_word_confidence
        self._utterances_per_recogniser = utterances_per_recogniser
        self._current = _CurrentRecogniser()

    def begin(self) -> "Transcription":
        """Begin an utterance; the previous one is over with this call, whether or not its text was read."""
        current = self._current
        if current.recogniser is None or current.utterances >= self._utterances_per_recogniser:
            current.recogniser = None  # frees the old one before there are two
            current.recogniser = self._new_recogniser(self._model, SAMPLE_RATE)
            current.recogniser.SetWords(True)
            current.utterances = 0
        else:
            current.recogniser.FinalResult()  # discards the rest of the previous utterance
        current.utterances += 1
        return Transcription(current.recogniser, self._lone_word_confidence)


class Transcription:
    """The words of one utterance while it is spoken; made by `Transcriber.begin`."""

    def __init__(self, recogniser: Any, lone_word_confidence: float) -> None:
        self._recogniser = recogniser
        self._lone_word_confidence = lone_word_confidence
        self._words: list[tuple[str, float]] = []

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Process the next samples, shape (n,), 16 kHz."""
        if self._recogniser.AcceptWaveform(samples.tobytes()):  # Vosk detected a pause by its own rules
            self._add(self._recogniser.Result())

    def so_far(self) -> str:
        """Return the words as Vosk guesses them now, formatted as `text`; the last ones may still change."""
        guessed = json.loads(self._recogniser.PartialResult()).get("partial", "")
        return " ".join([*(word for word, _ in self._words), *guessed.split()])

    def text(self) -> str:
        """Return the words so far, lower case, separated by spaces; empty if none was recognised.

        More samples may be fed afterwards; as after any pause, they are then recognised from their sound alone, without
        the words before them.
        """
        self._add(self._recogniser.FinalResult())
        if len(self._words) == 1 and self._words[0][1] < self._lone_word_confidence:
            return ""
        return " ".join(word for word, _ in self._words)

    def _add(self, result: str) -> None:
        self._words += [(word["word"], word["conf"]) for word in json.loads(result).get("result", [])]


class _CurrentRecogniser(threading.local):
    """The recogniser of a thread. Two threads that shared one would mix up their words, and crash."""

    recogniser: Any = None
    utterances = 0


@contextlib.contextmanager
def model_folder(speech_model: Path, search: str) -> Iterator[Path]:
    """Provide the folder from which Vosk loads a model; it is needed only while Vosk loads.

    Args:
        speech_model: folder of a Vosk model.
        search: "quick", or "thorough", which is what the model's maker published.
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
                (folder / "conf" / "model.conf").write_text(_quick_options(published.read_text()))
            except OSError as error:
                _LOG.info("Vosk searches thoroughly, because no folder for other settings can be made: %s", error)
                folder = speech_model
        yield folder


def _link(source: Path, target: Path, all_but: str) -> None:
    for path in source.iterdir():
        if path.name != all_but:
            (target / path.name).symlink_to(path.absolute())


def _quick_options(options: str) -> str:
    """Replace the maker's limits on the search with ours in the text of `model.conf`."""
    options = re.sub(r"^--min-active=.*$", f"--min-active={_LEAST_STATES}", options, flags=re.MULTILINE)
    most = re.compile(r"^--max-active=(\d+)", re.MULTILINE)
    return most.sub(lambda found: f"--max-active={round(int(found[1]) * _SHARE_OF_MOST_STATES)}", options)


def _vosk() -> Any:
    try:
        import vosk  # 0.15 s and 34 MB: only where audio is transcribed
    except (ImportError, OSError) as error:
        fix = how_to_install(error) or "run: pip install --force-reinstall vosk"
        raise SpeechModelError(f"Vosk cannot be used: {error}", fix=fix) from None
    return vosk
