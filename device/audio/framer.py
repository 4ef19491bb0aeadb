"""Audio of any rate and any number of channels in, frames of 16 kHz mono out; for microphones and recordings alike.

Audio is resampled as a stream, so a frame is the same whether its samples came in one block or in many.
"""

import time
from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from device.audio.channels import ChannelMixer, Mix
from device.events import FRAME_LENGTH, SAMPLE_RATE, Frame


class Framer:
    """Cuts a stream of blocks into frames.

    Args:
        rate: sample rate of the blocks, Hz.
        mix: how several channels become one, see `device.audio.channels`.
    """

    def __init__(self, rate: int, mix: Mix = "in phase") -> None:
        # float32 in and out: soxr dithers int16, and the same audio must always give the same frames.
        self._resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        self._mixer = ChannelMixer(rate, mix)
        self._pending: NDArray[np.int16] = np.zeros(0, np.int16)
        self._frames = 0

    @property
    def cancelling(self) -> bool:
        """Whether the channels of the stream cancel each other at the moment, so that one of them is inverted."""
        return self._mixer.cancelling

    def push(
        self, block: NDArray[np.int16] | NDArray[np.float32], *, last: bool = False, arrived_at: float | None = None
    ) -> Iterator[Frame]:
        """Add the next block and yield the frames that it completes.

        Several channels become one by the rule of `device.audio.channels`.

        Args:
            block: shape (n, channels), int16 or float32 in -1 to 1.
            last: whether the stream ends with this block; the last frame is then padded with zeros.
            arrived_at: `time.monotonic()` when the block arrived; default: when each frame is taken.
        """
        self._pending = np.concatenate([self._pending, self._mono(block, last=last)])
        if last:
            missing = -len(self._pending) % FRAME_LENGTH
            self._pending = np.concatenate([self._pending, np.zeros(missing, np.int16)])
        length = len(self._pending) // FRAME_LENGTH * FRAME_LENGTH
        complete, self._pending = self._pending[:length], self._pending[length:]
        for samples in complete.reshape(-1, FRAME_LENGTH):
            now = time.monotonic() if arrived_at is None else arrived_at
            yield Frame(samples, self._frames * FRAME_LENGTH / SAMPLE_RATE, now)
            self._frames += 1

    def _mono(self, block: NDArray[np.int16] | NDArray[np.float32], *, last: bool) -> NDArray[np.int16]:
        """Convert a block to 16 kHz mono, shape (n,)."""
        mono = self._mixer.mix(block)
        if block.dtype != np.int16:
            mono = mono * np.float32(32768)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        return np.minimum(np.maximum(np.rint(mono), -32768), 32767).astype(np.int16)  # half of the time of `clip`
