"""A microphone through PortAudio: found by name, opened at a rate that it has, heard as frames.

What happens to the sound is no business of this module; that sound stops coming is.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from device.errors import AudioError
from device.hearing.framing import Framer
from device.sentence import FRAME_SECONDS, SAMPLE_RATE, Frame

_LOG = logging.getLogger(__name__)
_MOST_CHANNELS = 2
"""A sound server's device offers 32; a microphone has one, or two of which one may be silent."""
_QUEUE_SECONDS = 10
_CLOSE_LIMIT_S = 1.0


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
        raise AudioError("no microphone found; plug one in and see `edge-mcnn microphones`")
    if not name:
        return next((each for each in found if each.is_default), found[0])
    wanted = name.casefold()
    matches = [each for each in found if each.name.casefold() == wanted]
    matches = matches or [each for each in found if wanted in each.name.casefold()]
    names = ", ".join(repr(each.name) for each in matches or found)
    if not matches:
        raise AudioError(f"no microphone is named {name!r}; there are {names}")
    if len(matches) > 1:
        raise AudioError(f"{name!r} fits more than one microphone: {names}; give more of the name")
    return matches[0]


class Microphone:
    """An open microphone; use it as a context manager.

    Args:
        name: as `find_microphone` takes it.
        no_sound_limit_s: seconds without a block after which it counts as lost.

    Raises:
        AudioError: on entering, if it cannot be found or opened.
    """

    def __init__(self, name: str = "", no_sound_limit_s: float = 5.0) -> None:
        self.info = find_microphone(name)
        self._no_sound_limit_s = no_sound_limit_s
        self._channels = min(self.info.channels, _MOST_CHANNELS)
        self.rate = self._choose_rate()
        self._blocks: queue.Queue[tuple[bytes, float]] = queue.Queue(round(_QUEUE_SECONDS / FRAME_SECONDS))
        self._stream: Any = None
        self._ended = threading.Event()
        self._stopping = threading.Event()
        self.dropped_blocks = 0
        """Blocks thrown away because nobody took them in time."""

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
            f"microphone {self.info.name!r} cannot be opened ({_reason(problem)}); does another program hold it?"
        )

    def __enter__(self) -> "Microphone":
        sounddevice = _portaudio()
        try:
            self._stream = sounddevice.RawInputStream(
                samplerate=self.rate,
                blocksize=round(self.rate * FRAME_SECONDS),
                device=self.info.index,
                channels=self._channels,
                dtype="int16",
                callback=self._take,
                finished_callback=self._ended.set,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise AudioError(f"microphone {self.info.name!r} cannot be opened ({_reason(error)})") from None
        _LOG.info("microphone: %s, %d Hz, %d channel(s)", self.info.name, self.rate, self._channels)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A frozen device never returns from close: the thread is left behind, the process goes on.
        closer = threading.Thread(target=self._stream.close, daemon=True)
        closer.start()
        closer.join(_CLOSE_LIMIT_S)

    def stop(self) -> None:
        """Let `frames` end; may be called from a signal handler."""
        self._stopping.set()

    def frames(self) -> Iterator[Frame]:
        """Frames as they are heard, until `stop`.

        Raises:
            AudioError: the microphone was pulled out, or no sound came for too long.
        """
        framer = Framer(self.rate)
        last_block = time.monotonic()
        while not self._stopping.is_set():
            try:
                data, heard_at = self._blocks.get(timeout=0.1)
            except queue.Empty:
                if self._ended.is_set():
                    raise AudioError(f"microphone {self.info.name!r} is gone; plug it in and start again") from None
                if time.monotonic() - last_block > self._no_sound_limit_s:
                    raise AudioError(
                        f"microphone {self.info.name!r} gave no sound for {self._no_sound_limit_s:g} s; "
                        "is it suspended, or held by another program?"
                    ) from None
                continue
            last_block = time.monotonic()
            block = np.frombuffer(data, np.int16).reshape(-1, self._channels).astype(np.float32) / np.float32(32768)
            yield from framer.push(block, heard_at=heard_at)

    def _take(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """PortAudio's callback: copy, never wait."""
        try:
            self._blocks.put_nowait((bytes(data), time.monotonic()))
        except queue.Full:
            self.dropped_blocks += 1


def _portaudio() -> Any:
    try:
        import sounddevice  # scans the sound cards, which takes a moment: only for those who listen
    except OSError:
        raise AudioError("PortAudio is not installed; run: sudo apt-get install libportaudio2") from None
    return sounddevice


def _reason(error: Exception | None) -> str:
    return str(error.args[0]) if error is not None and error.args else "unknown reason"
