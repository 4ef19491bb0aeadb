"""Loads a speech model into Vosk: refused at once where memory is too short, and ended when it hangs.

Vosk computes with OpenBLAS, which waits for memory that it does not get without a limit of time and without a message.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from device.errors import SpeechModelError
from device.recognition.speech_model.manifest import ENGLISH
from device.system.machine import peak_mb
from device.system.memory import Kind, Room, room

Result = TypeVar("Result")

NEEDED_MB: dict[Kind, float] = {"address space": 1_700, "data": 600, "memory": 135}
"""What loading the small English model adds, 10^6 bytes, by the kind of the limit.

Measured with vosk 0.3.45 on x86_64 with 2 cores, as the growth of VmPeak, VmData and VmHWM in /proc/self/status while
`Transcriber(find_speech_model(announce=print), 0.7)` runs: 1,681, 567 and 131 MB. With `prlimit --as` Vosk loads at
1,900 MB and hangs at 1,700 MB; with `prlimit --data` it loads at 600 MB most of the time. Most of the addresses are
reserved by malloc for threads, and 134 MB for each thread that multiplies matrices: with more cores it may be more,
which `within_limit` covers.
"""
STUCK_S = 60.0
"""Seconds without more memory in use after which loading hangs; on a Raspberry Pi 3 all of it takes a few seconds."""
_POLL_S = 0.5


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


def within_limit(load: Callable[[], Result], stuck_s: float = STUCK_S) -> Result:
    """Call `load` in a thread, which is abandoned if it makes no progress; progress is more memory in use.

    Args:
        load: loads a model.
        stuck_s: seconds without progress after which the thread is abandoned.

    Returns:
        What `load` returns.

    Raises:
        SpeechModelError: `load` hangs.
        Exception: what `load` raises.
    """
    results: list[Result] = []
    errors: list[Exception] = []

    def call() -> None:
        try:
            results.append(load())
        except Exception as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    thread = threading.Thread(target=call, name="loading", daemon=True)
    thread.start()
    peak, progressed_at = peak_mb(), time.monotonic()
    while thread.is_alive():
        thread.join(min(_POLL_S, stuck_s))
        if peak_mb() > peak:
            peak, progressed_at = peak_mb(), time.monotonic()
        elif thread.is_alive() and time.monotonic() - progressed_at >= stuck_s:
            raise SpeechModelError(
                f"Vosk hangs while it loads the speech model: no progress for {stuck_s:g} s",
                fix="stop other programs or raise limits on memory (ulimit -v, ulimit -d, MemoryMax), and start again",
            )
    if errors:
        raise errors[0]
    return results[0]


def _more_than_english_mb(speech_model: Path) -> float:
    """By how many MB (10^6 bytes) the files of a model exceed those of the small English model."""
    size = 0
    with contextlib.suppress(OSError):  # Vosk reports what it cannot read
        size = sum(path.stat().st_size for path in speech_model.rglob("*") if path.is_file())
    return max(0.0, (size - ENGLISH.size) / 1e6)
