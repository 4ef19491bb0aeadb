"""A microphone through PortAudio: found by name, opened at a rate that it supports, read block by block.

This module is independent of what the audio means, and of what happens when it stops.
"""

import logging
import queue
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import AudioError
from device.events import BLOCK_SECONDS, SAMPLE_RATE

_LOG = logging.getLogger(__name__)
_MOST_CHANNELS = 2
"""Channels that are recorded at most: a sound server's device offers 32; a microphone has one or two, of which one may
be silent."""
_QUEUE_SECONDS = 10


@dataclass(frozen=True)
class MicrophoneInfo:
    """An input device as PortAudio lists it."""

    index: int
    """PortAudio's number of the device; it changes between boots, so microphones are chosen by name."""
    name: str
    """PortAudio's name of the device."""
    rate: int
    """The device's own sample rate, Hz."""
    channels: int
    """Number of channels that the device offers."""
    is_default: bool
    """Whether it is the default input device."""


def portaudio_version() -> str:
    """Return the version of the PortAudio that is installed.

    Raises:
        AudioError: PortAudio is not installed.
    """
    return str(_portaudio().get_portaudio_version()[1]).partition(",")[0]


def list_microphones() -> list[MicrophoneInfo]:
    """List all input devices of this machine.

    Raises:
        AudioError: PortAudio is not installed.
    """
    sounddevice = _portaudio()
    default = sounddevice.default.device[0]
    return [
        MicrophoneInfo(
            device["index"], device["name"], int(device["default_samplerate"]), device["max_input_channels"],
            device["index"] == default,
        )
        for device in sounddevice.query_devices()
        if device["max_input_channels"] > 0
    ]  # fmt: skip


def find_microphone(name: str) -> MicrophoneInfo:
    """Find the microphone whose name is or contains `name`, ignoring case; the default one for an empty name.

    Raises:
        AudioError: no microphone matches, or more than one.
    """
    found = list_microphones()
    if not found:
        raise AudioError("no microphone found", fix="plug one in and see `edge-mcnn microphones`")
    if not name:
        return next((each for each in found if each.is_default), found[0])
    wanted = name.casefold()
    matches = [each for each in found if each.name.casefold() == wanted]
    matches = matches or [each for each in found if wanted in each.name.casefold()]
    names = ", ".join(repr(each.name) for each in matches or found)
    if not matches:
        raise AudioError(f"no microphone is named {name!r}", fix=f"use one of {names}")
    if len(matches) > 1:
        raise AudioError(f"{name!r} matches more than one microphone: {names}", fix="use more of the name")
    return matches[0]


def refresh_devices() -> None:
    """Let PortAudio scan the devices again, which it does by itself only once. No microphone may be open."""
    sounddevice = _portaudio()
    sounddevice._terminate()
    sounddevice._initialize()


@dataclass(frozen=True, eq=False)
class Block:
    """The audio that one callback of PortAudio delivered."""

    samples: NDArray[np.int16]
    """Samples, shape (n, channels), at the microphone's rate."""
    arrived_at: float
    """`time.monotonic()` when the block arrived."""
    zero: bool
    """Whether every sample is zero."""


class Microphone:
    """A microphone that is open from its construction until `close`.

    Args:
        name: full or partial name, see `find_microphone`.

    Raises:
        AudioError: it cannot be found or opened.
    """

    def __init__(self, name: str = "") -> None:
        self.info = find_microphone(name)
        self._channels = min(self.info.channels, _MOST_CHANNELS)
        self.rate = self._choose_rate()
        """Sample rate of the blocks, Hz."""
        self._blocks: queue.SimpleQueue[tuple[bytes, float] | None] = queue.SimpleQueue()
        self._most_blocks = round(_QUEUE_SECONDS / BLOCK_SECONDS)
        self._batch: list[tuple[bytes, float]] = []
        self.batch_size = 1
        """Number of blocks that are delivered together; with more than one, the reading thread sleeps longer."""
        self.ended = False
        """Whether the stream ended by itself, because the microphone is gone."""
        self.dropped_blocks = 0
        """Number of blocks that were dropped because they were not read in time."""
        self._stream = self._open()

    def _choose_rate(self) -> int:
        """Choose 16 kHz if the device supports it, else the device's own rate."""
        sounddevice = _portaudio()
        problem = None
        for rate in dict.fromkeys((SAMPLE_RATE, self.info.rate, 48_000, 44_100)):
            try:
                sounddevice.check_input_settings(self.info.index, self._channels, "int16", samplerate=rate)
            except sounddevice.PortAudioError as error:
                problem = error
            else:
                return rate
        raise self._unavailable(problem)

    def _open(self) -> Any:
        sounddevice = _portaudio()
        try:
            stream = sounddevice.RawInputStream(
                samplerate=self.rate,
                blocksize=round(self.rate * BLOCK_SECONDS),
                device=self.info.index,
                channels=self._channels,
                dtype="int16",
                callback=self._receive,
                finished_callback=self._finish,
            )
            try:
                stream.start()
            except sounddevice.PortAudioError:
                stream.close()
                raise
        except sounddevice.PortAudioError as error:
            raise self._unavailable(error) from None
        _LOG.info("microphone: %s, %d Hz, %d channel(s)", self.info.name, self.rate, self._channels)
        return stream

    def _unavailable(self, error: Exception | None) -> AudioError:
        reason = str(error.args[0]) if error is not None and error.args else "unknown reason"
        return AudioError(
            f"microphone {self.info.name!r} cannot be opened ({reason})",
            fix="if another program uses it, close that program",
        )

    def block(self, limit_s: float) -> Block | None:
        """Return the next block; None after `limit_s` seconds without one, after `wake`, or if the stream ended."""
        try:
            received = self._blocks.get(timeout=limit_s)
        except queue.Empty:
            return None
        if received is None:
            return None
        data, arrived_at = received
        samples = np.frombuffer(data, np.int16).reshape(-1, self._channels)
        return Block(samples, arrived_at, zero=not data.strip(b"\0"))

    def wake(self) -> None:
        """Make `block` return immediately; may be called from another thread."""
        self._blocks.put(None)

    def close(self) -> None:
        """Close the stream. If the sound system hangs, this call hangs, too."""
        # Not `stop`, which would wait for a frozen microphone to deliver what it has.
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _receive(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """PortAudio's callback: copies the block and never waits."""
        if self._blocks.qsize() >= self._most_blocks:
            self.dropped_blocks += 1
            return
        self._batch.append((bytes(data), time.monotonic()))
        if len(self._batch) >= self.batch_size:
            for block in self._batch:
                self._blocks.put(block)
            self._batch.clear()

    def _finish(self) -> None:
        self.ended = True
        self.wake()


def _portaudio() -> Any:
    try:
        import sounddevice  # scans the sound cards, which takes a moment: only where a microphone is used
    except OSError:
        raise AudioError("PortAudio is not installed", fix="run: sudo apt-get install libportaudio2") from None
    return sounddevice
