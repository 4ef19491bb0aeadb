"""Loads a speech model into Vosk: refused at once where memory is too short, and ended when it hangs.

Vosk computes with OpenBLAS, which waits for memory that it does not get without a limit of time and without a message.
"""

import atexit
import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from device.errors import SpeechModelError
from device.recognition.speech_model.fetch import find_speech_model
from device.recognition.speech_model.manifest import ENGLISH
from device.recognition.vosk_folder import model_folder
from device.recognition.vosk_library import VoskLibrary, VoskModel
from device.system.machine import peak_mb
from device.system.memory import Kind, Room, room
from device.system.paths import expanded

Result = TypeVar("Result")

NEEDED_MB: dict[Kind, float] = {"address space": 1_700, "data": 600, "memory": 135}
"""What loading the small English model adds, 10^6 bytes, by the kind of the limit.

Measured with vosk 0.3.45 on x86_64 with 2 cores, as the growth of VmPeak, VmData and VmHWM in /proc/self/status while
`Transcriber(find_speech_model(announce=print), 0.7)` runs: 1,681, 567 and 104 MB; the copy of the grammar, of 22 MB,
comes in addition while it loads. With `prlimit --as` Vosk loads at
1,900 MB and hangs at 1,700 MB; with `prlimit --data` it loads at 600 MB most of the time. Most of the addresses are
reserved by malloc for threads, and 134 MB for each thread that multiplies matrices: with more cores it may be more,
which `Loading` covers.
"""
STUCK_S = 60.0
"""Seconds without more memory in use after which loading hangs; on a Raspberry Pi 3 all of it takes a few seconds."""
_POLL_S = 0.5
_END_LIMIT_S = 5.0
"""Seconds that a process which ends waits for a model that is being loaded."""


def require_memory(speech_model: Path | None = None, rooms: Iterable[Room] | None = None) -> None:
    """Check that the memory that this process may still use is enough to load a speech model.

    Args:
        speech_model: folder of the model; None for one of the size of the small English model.
        rooms: what each limit leaves; None for what `device.system.memory.room` finds.

    Raises:
        SpeechModelError: it is not enough; for the first limit that is too low.
    """
    for each in room() if rooms is None else rooms:
        needed = NEEDED_MB[each.kind] + (_more_than_english_mb(speech_model) if speech_model is not None else 0.0)
        if each.free_mb < needed:
            raise SpeechModelError(
                f"Vosk needs {needed:.0f} MB more {each.kind} to load the speech model, and {each.limit} leaves "
                f"{int(each.free_mb)} MB",
                fix=each.fix,
            )


class SpeechModelLoading:
    """A speech model that a thread loads, so that other things are loaded meanwhile; most of it is C++.

    Args:
        speech_model: folder of a Vosk model.
        search: `search` under `[transcriber]`.
    """

    def __init__(self, speech_model: Path, search: str) -> None:
        self._speech_model = speech_model
        self._search = search
        self._loading = Loading(self._load)

    def model(self) -> VoskModel:
        """Return the model; waits for it.

        Raises:
            SpeechModelError: Vosk cannot load the model, has too little memory for it or hangs, or Vosk itself cannot
                be loaded.
        """
        return self._loading.result()

    def _load(self) -> VoskModel:
        library = VoskLibrary()
        require_memory(self._speech_model)
        with model_folder(self._speech_model, self._search) as folder:
            model = VoskModel.load(library, folder)
        if model is None:
            raise SpeechModelError(
                f"{self._speech_model}: Vosk cannot load it",
                fix="run `edge-mcnn fetch-speech-model` to get a complete one",
            )
        return model


def start_loading(configured: str, search: str) -> SpeechModelLoading | None:
    """Start to load the speech model if it is there; None if it must be fetched first, or if nothing can be loaded.

    Args:
        configured: `speech_model` under `[transcriber]`.
        search: `search` under `[transcriber]`.
    """
    try:
        own = expanded(configured) if configured else None
        folder = find_speech_model(own, fetch_missing=False, announce=lambda _line: None)
    except SpeechModelError:
        return None  # found again where the model is needed, which fetches it or raises
    return SpeechModelLoading(folder, search)


class Loading(Generic[Result]):
    """Calls a function in a thread, which is abandoned if it makes no progress; progress is more memory in use.

    Args:
        load: loads a model.
    """

    def __init__(self, load: Callable[[], Result]) -> None:
        self._results: list[Result] = []
        self._errors: list[Exception] = []
        self._thread = threading.Thread(target=self._call, args=(load,), name="loading", daemon=True)
        # The process must not end while C++ loads: it would free what that thread uses, and crash.
        atexit.register(self._thread.join, _END_LIMIT_S)
        self._thread.start()

    def result(self, stuck_s: float = STUCK_S) -> Result:
        """Return what the function returns; waits for it.

        Args:
            stuck_s: seconds without progress after which the thread is abandoned.

        Raises:
            SpeechModelError: the function hangs.
            Exception: what the function raises.
        """
        peak, progressed_at = peak_mb(), time.monotonic()
        while self._thread.is_alive():
            self._thread.join(min(_POLL_S, stuck_s))
            if peak_mb() > peak:
                peak, progressed_at = peak_mb(), time.monotonic()
            elif self._thread.is_alive() and time.monotonic() - progressed_at >= stuck_s:
                raise SpeechModelError(
                    f"Vosk hangs while it loads the speech model: no progress for {stuck_s:g} s",
                    fix="stop other programs or raise limits on memory (ulimit -v, ulimit -d, MemoryMax), and start "
                    "again",
                )
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _call(self, load: Callable[[], Result]) -> None:
        try:
            self._results.append(load())
        except Exception as error:  # noqa: BLE001  # raised in `result`
            self._errors.append(error)
        finally:
            atexit.unregister(self._thread.join)


def _more_than_english_mb(speech_model: Path) -> float:
    """By how many MB (10^6 bytes) the files of a model exceed those of the small English model."""
    size = 0
    with contextlib.suppress(OSError):  # Vosk reports what it cannot read
        size = sum(path.stat().st_size for path in speech_model.rglob("*") if path.is_file())
    return max(0.0, (size - ENGLISH.size) / 1e6)
