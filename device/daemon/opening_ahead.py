"""Opens the microphone while the models are loaded, so that audio arrives at the moment in which it can be used."""

import threading
from collections.abc import Callable
from typing import Protocol

from device.audio.reconnecting import OpenMicrophone

_END_LIMIT_S = 1.0
"""Seconds that `end` waits by default for a thread that opens or closes it; the process must be gone within two."""


class WaitingMicrophone(OpenMicrophone, Protocol):
    """A microphone that may be open for a while before it is read."""

    def skip_waiting(self) -> None:
        """Drop what was recorded before and not read, but for the latest block."""


class OpeningAhead:
    """Opens a microphone as `open_microphone` does; the first time it may have been opened ahead, in a thread.

    Args:
        open_microphone: opens a microphone by its name.
    """

    def __init__(self, open_microphone: Callable[[str], WaitingMicrophone]) -> None:
        self._open_microphone = open_microphone
        self._lock = threading.Lock()
        self._over = False
        """Whether nothing is opened ahead any more."""
        self._thread: threading.Thread | None = None
        """Opens or closes it."""
        self._microphone: WaitingMicrophone | None = None
        self._error: Exception | None = None

    def begin(self, name: str) -> None:
        """Begin to open the microphone of this name, unless `close` was called before."""
        with self._lock:
            if not self._over:
                self._thread = threading.Thread(target=self._run, args=(name,), name="opening ahead", daemon=True)
                self._thread.start()

    def open(self, name: str) -> OpenMicrophone:
        """Return the microphone that was opened ahead, without the audio from before this call; else open it now.

        Raises:
            AudioError: it could not be opened.
        """
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            microphone, error = self._microphone, self._error
            self._microphone = self._error = None
            self._over = True
        if error is not None:
            raise error
        if microphone is None:
            return self._open_microphone(name)
        microphone.skip_waiting()
        return microphone

    def close(self) -> None:
        """Close the microphone if it was opened ahead and not taken yet, and open none ahead any more.

        Returns immediately: a thread closes it, which may take long in a sound system that hangs.
        """
        with self._lock:
            self._over = True
            microphone, self._microphone, self._error = self._microphone, None, None
            if microphone is not None:
                self._thread = threading.Thread(target=microphone.close, name="closing what was ahead", daemon=True)
                self._thread.start()

    def end(self, limit_s: float = _END_LIMIT_S) -> None:
        """Close it, and wait until that is done: when Python ends is too late to close a microphone.

        Args:
            limit_s: how long to wait at most, seconds.
        """
        self.close()
        if self._thread is not None:
            self._thread.join(limit_s)

    def _run(self, name: str) -> None:
        try:
            microphone = self._open_microphone(name)
        except Exception as error:  # noqa: BLE001  # raised in `open`
            with self._lock:
                self._error = None if self._over else error  # what prevented it may be over when it is needed
            return
        with self._lock:
            if not self._over:
                self._microphone = microphone
                return
        microphone.close()
