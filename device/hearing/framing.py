"""Any rate and any channels in, 16 kHz mono frames out: the one road that microphone and recordings share.

Sound is resampled as a stream, so a frame is the same whether its samples came in one block or in many.
"""

import time
from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from device.sentence import FRAME_LENGTH, SAMPLE_RATE, Frame


class Framer:
    """Cuts a stream of blocks into frames.

    Args:
        rate: sample rate of the blocks, Hz.
    """

    def __init__(self, rate: int) -> None:
        # float32 in and out: soxr dithers int16, and the same sound must always give the same frames.
        self._resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        self._pending: NDArray[np.float32] = np.zeros(0, np.float32)
        self._frames = 0

    def push(self, block: NDArray[np.float32], *, last: bool = False, heard_at: float | None = None) -> Iterator[Frame]:
        """Take the next block, shape (n, channels), -1 to 1; give the frames that it completes.

        Channels are averaged: of a stereo microphone one side may hear nothing. With `last` the rest is filled up with
        zeros to a whole frame. `heard_at` is when the block arrived; without it a frame counts as heard when taken.
        """
        mono = block.mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        self._pending = np.concatenate([self._pending, mono])
        if last:
            missing = -len(self._pending) % FRAME_LENGTH
            self._pending = np.concatenate([self._pending, np.zeros(missing, np.float32)])
        while len(self._pending) >= FRAME_LENGTH:
            samples, self._pending = self._pending[:FRAME_LENGTH], self._pending[FRAME_LENGTH:]
            pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
            now = time.monotonic() if heard_at is None else heard_at
            yield Frame(pcm, self._frames * FRAME_LENGTH / SAMPLE_RATE, now)
            self._frames += 1
