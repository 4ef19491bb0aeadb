"""A recording, processed as if it were spoken into the microphone: the same frames, as fast as they are consumed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from device.audio.framer import Framer
from device.errors import AudioError
from device.events import Frame

_READ_SECONDS = 0.1


class Recording:
    """A WAV or FLAC file (any format that libsndfile reads) of any rate, sample width and number of channels.

    Args:
        path: the file.
        silence_after_s: seconds of silence that follow it, so that its last utterance ends as it would in a quiet room.

    Raises:
        AudioError: no such file, not a recording, or it has no samples.
    """

    def __init__(self, path: Path, silence_after_s: float = 0.0) -> None:
        self.path = path
        self._silence_after_s = silence_after_s
        self._peak = 0.0
        try:
            with soundfile.SoundFile(path) as file:
                self._rate, length = file.samplerate, file.frames
        except (OSError, soundfile.SoundFileError) as error:
            reason = "no such file" if not path.exists() else str(error).rpartition(": ")[2].rstrip(".") or "unreadable"
            raise AudioError(f"{path}: not a readable recording ({reason})", fix="use a WAV or FLAC file") from None
        if length == 0:
            raise AudioError(f"{path}: holds no audio (0 samples)")

    @property
    def peak_dbfs(self) -> float:
        """Peak of the frames yielded so far, dB relative to full scale; -inf before the first, or if all are zero."""
        return float(20 * np.log10(self._peak)) if self._peak else -np.inf

    def frames(self) -> Iterator[Frame]:
        """Yield the recording as frames, then the silence.

        Raises:
            AudioError: the file is damaged further on.
        """
        framer = Framer(self._rate)
        try:
            with soundfile.SoundFile(self.path) as file:
                for block in file.blocks(max(1, int(self._rate * _READ_SECONDS)), dtype="float32", always_2d=True):
                    if not np.isfinite(block).all():
                        raise AudioError(f"{self.path}: holds samples that are not numbers")
                    # Floating point may hold values that no microphone delivers, and that overflow later arithmetic.
                    block = np.clip(block, -1, 1)
                    self._peak = max(self._peak, float(np.abs(block).max()))
                    yield from framer.push(block)
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self.path}: damaged ({str(error).rstrip('.')})") from None
        silence = np.zeros((int(self._silence_after_s * self._rate), 1), np.float32)
        yield from framer.push(silence, last=True)
