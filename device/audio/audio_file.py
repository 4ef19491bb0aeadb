"""A recording, processed as if it were spoken into the microphone: the same frames, as fast as they are consumed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from device.audio.decoding import Decoder, read_if_pipe
from device.audio.framer import Framer
from device.errors import AudioError
from device.events import Frame
from device.system.display import displayable


class Recording:
    """A WAV or FLAC file (any format that libsndfile reads) of any rate, sample width and number of channels.

    Args:
        path: the file; or a pipe, or `device.audio.decoding.STANDARD_INPUT`, which are read to their end at once.
        silence_after_s: seconds of silence that follow it, so that its last utterance ends as it would in a quiet room.

    Raises:
        AudioError: it cannot be read, is not a recording, or has no samples.
    """

    def __init__(self, path: Path, silence_after_s: float = 0.0) -> None:
        self.path = path
        self._silence_after_s = silence_after_s
        self._peak = 0.0
        self._content = read_if_pipe(path)
        with self._decoder() as decoder:
            length = decoder.length
        if length == 0:
            raise self._empty()

    @property
    def peak_dbfs(self) -> float:
        """Peak of the frames yielded so far, dB relative to full scale; -inf before the first, or if all are zero."""
        return float(20 * np.log10(self._peak)) if self._peak else -np.inf

    def frames(self) -> Iterator[Frame]:
        """Yield the recording as frames, then the silence.

        Raises:
            AudioError: the file is damaged further on.
        """
        self._peak, empty = 0.0, True
        with self._decoder() as decoder:
            framer = Framer(decoder.rate)
            for block in decoder.blocks():
                empty = False
                if not np.isfinite(block).all():
                    raise AudioError(f"{displayable(self.path)}: holds samples that are not numbers")
                # Floating point may hold values that no microphone delivers, and that overflow later arithmetic.
                limited = np.clip(block, -1, 1)
                self._peak = max(self._peak, float(np.abs(limited).max()))
                yield from framer.push(limited)
        if empty:
            raise self._empty()
        silence = np.zeros((int(self._silence_after_s * decoder.rate), 1), np.float32)
        yield from framer.push(silence, last=True)

    def _decoder(self) -> Decoder:
        return Decoder(self.path, self._content)

    def _empty(self) -> AudioError:
        return AudioError(f"{displayable(self.path)}: holds no audio (0 samples)")
