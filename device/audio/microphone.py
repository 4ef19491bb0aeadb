"""A microphone through PortAudio: found by name, opened at a rate that it has, heard block by block.

What the sound means, and what to do when it stops coming, is no business of this module.
"""

import logging
import queue
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import AudioError
from device.events import FRAME_SECONDS, SAMPLE_RATE

_LOG = logging.getLogger(__name__)
_MOST_CHANNELS = 2
"""A sound server's device offers 32; a microphone has one, or two of which one may be silent."""
_QUEUE_SECONDS = 10
BLOCK_SECONDS = 4 * FRAME_SECONDS
"""Between two callbacks. Each wakes threads of the sound system and ours, which is what listening to a quiet room
costs; an answer comes half of this later, on average, than with the shortest blocks."""


@dataclass(frozen=True)
class MicrophoneInfo:
    """An input device as PortAudio lists it."""

    index: int
    """PortAudio's number; it moves between boots, so microphones are chosen by name."""
    name: str
    rate: int
    """The rate that the device itself names, Hz."""
    channels: int
    """How many it offers."""
    is_default: bool


def portaudio_version() -> str:
    """Of the library that is installed.

    Raises:
        AudioError: none is.
    """
    return str(_portaudio().get_portaudio_version()[1]).partition(",")[0]


def list_microphones() -> list[MicrophoneInfo]:
    """All input devices of this machine.

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
    """The microphone whose name is or contains `name`, whatever the case; the default one for an empty name.

    Raises:
        AudioError: none, or more than one.
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
    """Let PortAudio look again at what is plugged in; it does so by itself only once. No microphone may be open."""
    sounddevice = _portaudio()
    sounddevice._terminate()
    sounddevice._initialize()


@dataclass(frozen=True, eq=False)
class Block:
    """What one callback brought."""

    samples: NDArray[np.int16]
    """Shape (n, channels), at the microphone's rate."""
    arrived_at: float
    """`time.monotonic()` when it arrived."""
    zero: bool
    """Whether each sample is zero."""


class Microphone:
    """A microphone that is open from the start until `close`.

    Args:
        name: as `find_microphone` takes it.

    Raises:
        AudioError: it cannot be found or opened.
    """

    def __init__(self, name: str = "") -> None:
        self.info = find_microphone(name)
        self._channels = min(self.info.channels, _MOST_CHANNELS)
        self.rate = self._choose_rate()
        self._blocks: queue.SimpleQueue[tuple[bytes, float] | None] = queue.SimpleQueue()
        self._most_blocks = round(_QUEUE_SECONDS / BLOCK_SECONDS)
        self._held: list[tuple[bytes, float]] = []
        self.blocks_at_once = 1
        """How many are held back until they are handed over together: with more, who waits for them sleeps longer."""
        self.ended = False
        """Whether the stream ended by itself: the microphone is gone."""
        self.dropped_blocks = 0
        """Blocks thrown away because nobody took them in time."""
        self._stream = self._open()

    def _choose_rate(self) -> int:
        """16 kHz if the device has it, else the device's own rate."""
        sounddevice = _portaudio()
        problem = None
        for rate in dict.fromkeys((SAMPLE_RATE, self.info.rate, 48_000, 44_100)):
            try:
                sounddevice.check_input_settings(self.info.index, self._channels, "int16", samplerate=rate)
            except sounddevice.PortAudioError as error:
                problem = error
            else:
                return rate
        raise AudioError(
            f"microphone {self.info.name!r} cannot be opened ({_reason(problem)})", fix="close the program that uses it"
        )

    def _open(self) -> Any:
        sounddevice = _portaudio()
        try:
            stream = sounddevice.RawInputStream(
                samplerate=self.rate,
                blocksize=round(self.rate * BLOCK_SECONDS),
                device=self.info.index,
                channels=self._channels,
                dtype="int16",
                callback=self._take,
                finished_callback=self._finish,
            )
            try:
                stream.start()
            except sounddevice.PortAudioError:
                stream.close()
                raise
        except sounddevice.PortAudioError as error:
            raise AudioError(f"microphone {self.info.name!r} cannot be opened ({_reason(error)})") from None
        _LOG.info("microphone: %s, %d Hz, %d channel(s)", self.info.name, self.rate, self._channels)
        return stream

    def block(self, limit_s: float) -> Block | None:
        """The next block; None if none comes within `limit_s` seconds, if the stream ended, or after `wake`."""
        try:
            waiting = self._blocks.get(timeout=limit_s)
        except queue.Empty:
            return None
        if waiting is None:
            return None
        data, arrived_at = waiting
        samples = np.frombuffer(data, np.int16).reshape(-1, self._channels)
        return Block(samples, arrived_at, zero=not data.strip(b"\0"))

    def wake(self) -> None:
        """Let `block` return at once; may be called from another thread."""
        self._blocks.put(None)

    def close(self) -> None:
        """Let go of it. If the sound system hangs, so does this."""
        # Not `stop`, which would wait for a frozen microphone to play out what it has.
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _take(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """PortAudio's callback: copy, never wait."""
        if self._blocks.qsize() >= self._most_blocks:
            self.dropped_blocks += 1
            return
        self._held.append((bytes(data), time.monotonic()))
        if len(self._held) >= self.blocks_at_once:
            for block in self._held:
                self._blocks.put(block)
            self._held.clear()

    def _finish(self) -> None:
        self.ended = True
        self.wake()


def _portaudio() -> Any:
    try:
        import sounddevice  # scans the sound cards, which takes a moment: only for those who listen
    except OSError:
        raise AudioError("PortAudio is not installed", fix="run: sudo apt-get install libportaudio2") from None
    return sounddevice


def _reason(error: Exception | None) -> str:
    return str(error.args[0]) if error is not None and error.args else "unknown reason"
