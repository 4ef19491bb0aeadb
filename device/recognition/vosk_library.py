"""Vosk's C library, loaded from its Python package without importing the package.

The package imports what it downloads models with, an HTTP client and a progress bar, which are never used here. Its own
declarations of the C functions are used, so that the calls match the library that is installed.
"""

import importlib.util
from pathlib import Path
from typing import Any, Self

from device.errors import SpeechModelError
from device.system.shared_libraries import how_to_install

_PACKAGE = "vosk"


class VoskLibrary:
    """The functions of the library. While one of them runs, other threads of Python go on.

    Raises:
        SpeechModelError: the package is not installed, or its library cannot be loaded.
    """

    def __init__(self) -> None:
        try:
            folder = _folder()
            self.ffi = _ffi(folder / "vosk_cffi.py")
            self.functions = self.ffi.dlopen(str(folder / "libvosk.so"))
        except (ImportError, OSError) as error:
            fix = how_to_install(error) or "run: pip install --force-reinstall vosk"
            raise SpeechModelError(f"Vosk cannot be used: {error}", fix=fix) from None
        self.functions.vosk_set_log_level(-1)  # Kaldi logs each step of loading otherwise


class VoskModel:
    """A speech model; recognisers in any number of threads share it.

    Args:
        library: the library.
        handle: the model, as the library returned it; freed with this object.
    """

    def __init__(self, library: VoskLibrary, handle: Any) -> None:
        self.library = library
        self.handle = library.ffi.gc(handle, library.functions.vosk_model_free)

    @classmethod
    def load(cls, library: VoskLibrary, folder: Path) -> Self | None:
        """Load the model in a folder, which is needed only meanwhile; None if Vosk cannot, for whatever reason."""
        handle = library.functions.vosk_model_new(str(folder).encode())
        return None if handle == library.ffi.NULL else cls(library, handle)


class VoskRecogniser:
    """Recognises the words in one utterance after the other, for one thread at a time.

    Args:
        model: the speech model.
        rate: sample rate of the audio, Hz.

    Raises:
        SpeechModelError: Vosk cannot make it.
    """

    def __init__(self, model: VoskModel, rate: int) -> None:
        library = model.library
        self._functions, self._string = library.functions, library.ffi.string
        handle = self._functions.vosk_recognizer_new(model.handle, rate)
        if handle == library.ffi.NULL:
            raise SpeechModelError("Vosk cannot make a recogniser")
        self._handle = library.ffi.gc(handle, self._functions.vosk_recognizer_free)
        self._functions.vosk_recognizer_set_words(self._handle, 1)

    def accept(self, audio: bytes) -> bool:
        """Process 16-bit samples; return whether Vosk has detected a pause by its own rules, see `result`.

        Raises:
            SpeechModelError: Vosk cannot process them.
        """
        state: int = self._functions.vosk_recognizer_accept_waveform(self._handle, audio, len(audio))
        if state < 0:
            raise SpeechModelError("Vosk cannot process the audio")
        return state > 0

    def result(self) -> str:
        """Return the words up to the pause that `accept` reported, with the confidence of each, as JSON."""
        return self._text(self._functions.vosk_recognizer_result)

    def partial_result(self) -> str:
        """Return the words of the audio so far, which may still change, as JSON."""
        return self._text(self._functions.vosk_recognizer_partial_result)

    def final_result(self) -> str:
        """End the utterance and return its words since the last `result`, with the confidence of each, as JSON."""
        return self._text(self._functions.vosk_recognizer_final_result)

    def _text(self, function: Any) -> str:
        text: str = self._string(function(self._handle)).decode()
        return text


def _folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ImportError(f"No module named {_PACKAGE!r}")
    return Path(found.origin).parent


def _ffi(declarations: Path) -> Any:
    """Run the module with the declarations, which the package generates for cffi, and return its `ffi`."""
    spec = importlib.util.spec_from_file_location(f"_{_PACKAGE}_declarations", declarations)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot read {declarations}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ffi
