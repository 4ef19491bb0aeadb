"""A microphone through PortAudio: found by name, opened at a rate that it supports, read block by block.

This module is independent of what the audio means, and of what happens when it stops.
"""

import contextlib
import itertools
import logging
import queue
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import AudioError
from device.events import BLOCK_SECONDS, SAMPLE_RATE
from device.system.display import displayable
from device.system.sound_cards import SoundCard, sound_cards
from device.system.streams.stderr import silenced_c_libraries

_LOG = logging.getLogger(__name__)
_MOST_CHANNELS = 16
"""Channels of a sound card that are recorded at most."""
_OF_MANY = 2
"""Channels that are recorded of a device with more than `_MOST_CHANNELS` that is no sound card.

A sound server offers 32 or more, whatever the microphone has, and mixes what that has into as many as are opened.
"""
_NO_CARD = SoundCard("", "")
_QUEUE_SECONDS = 10
_LATEST_S = 2 * BLOCK_SECONDS
"""Age of a block, seconds, from which on it is not the latest: later ones were dropped because the queue was full."""
_INVALID_RATE = -9997
"""PortAudio's number of the error that a device does not support a rate."""
_HARDWARE = re.compile(r"\(hw:(\d+),\d+\)")
"""End of the name that PortAudio gives to a sound card of ALSA, with the number of the card."""
_PLUGIN_NAMES = re.compile(
    r"(sysdefault|front|rear|center_lfe|side|surround\d+|iec958|spdif|hdmi|modem|phoneline|usbstream|hw|plughw|plug|dmix"
    r"|dsnoop|dshare|share|asym|tee|file|null|shm|cards|rate_convert|lavrate|samplerate|speexrate|speex|upmix|vdownmix"
    r"|a52|dca|oss|jack|equal|ladspa)([_:].*)?",
    re.IGNORECASE,
)
"""Names that alsa-lib and alsa-plugins define on every machine."""


class MicrophoneKind(StrEnum):
    """What a name in the list of PortAudio stands for; the most useful kind first."""

    DEVICE = "device"
    """An input of a sound card, or of a sound system other than ALSA."""
    CONFIGURED = "configured"
    """A name from ALSA's configuration that leads to a microphone: `default`, a sound server, or one that the user
    has defined."""
    PLUGIN = "plugin"
    """A plug-in of ALSA, such as a converter of rates, which is listed on every machine and records from elsewhere."""


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
    kind: MicrophoneKind = MicrophoneKind.DEVICE
    """What the name stands for."""
    card_id: str = ""
    """ALSA's ID of its sound card, such as `Device`; empty if it is no sound card of ALSA."""
    usb_id: str = ""
    """Vendor and product of its sound card, such as `0d8c:0014`; empty if that is no USB device."""


def portaudio_version() -> str:
    """Return the version of the PortAudio that is installed.

    Raises:
        AudioError: PortAudio is not installed.
    """
    return str(_portaudio().get_portaudio_version()[1]).partition(",")[0]


def list_microphones() -> list[MicrophoneInfo]:
    """List all input devices of this machine, by kind.

    Raises:
        AudioError: PortAudio is not installed.
    """
    with silenced_c_libraries():
        sounddevice = _portaudio()
        default = sounddevice.default.device[0]
        systems = [system["name"] for system in sounddevice.query_hostapis()]
        cards = sound_cards()
        found = []
        for device in sounddevice.query_devices():
            if device["max_input_channels"] > 0:
                name, system = device["name"], systems[device["hostapi"]]
                card = _card(name, system, cards)
                found.append(
                    MicrophoneInfo(
                        device["index"], name, int(device["default_samplerate"]), device["max_input_channels"],
                        device["index"] == default, _kind(name, system), card.id, card.usb_id,
                    )
                )  # fmt: skip
    return sorted(found, key=lambda each: list(MicrophoneKind).index(each.kind))


def without_plugins(found: Sequence[MicrophoneInfo]) -> list[MicrophoneInfo]:
    """Return the microphones that a person would choose from: no plug-ins, unless there is nothing else.

    A plug-in that is the default input device is one of them.
    """
    useful = [each for each in found if each.kind != MicrophoneKind.PLUGIN or each.is_default]
    return useful or list(found)


def _kind(name: str, sound_system: str) -> MicrophoneKind:
    if sound_system != "ALSA" or "(hw:" in name:
        return MicrophoneKind.DEVICE
    return MicrophoneKind.PLUGIN if _PLUGIN_NAMES.fullmatch(name) else MicrophoneKind.CONFIGURED


def _card(name: str, sound_system: str, cards: Mapping[int, SoundCard]) -> SoundCard:
    hardware = _HARDWARE.search(name) if sound_system == "ALSA" else None
    return cards.get(int(hardware[1]), _NO_CARD) if hardware else _NO_CARD


def stable_name(info: MicrophoneInfo, found: Sequence[MicrophoneInfo]) -> str:
    """Return what selects a microphone at every boot, for `name` under `[microphone]`.

    Vendor and product, unless another microphone has the same; else the ID of the sound card, likewise; else its name.

    Args:
        info: the microphone.
        found: all microphones.
    """
    others = [each for each in found if each != info]
    if info.usb_id and info.usb_id not in {each.usb_id for each in others}:
        return info.usb_id
    if info.card_id and info.card_id not in {each.card_id for each in others}:
        return f"card:{info.card_id}"
    return info.name


def find_microphone(name: str) -> MicrophoneInfo:
    """Find a microphone by its name or its sound card, ignoring case; the default one for an empty name.

    `name` is, in this order, the complete name of the microphone, the ID of its sound card with or without `card:`
    before it, vendor and product of the card such as `0d8c:0014`, or a part of the name.

    A plug-in of ALSA is found by its name, too, but no part of its name makes another microphone ambiguous.

    Raises:
        AudioError: no microphone matches, or more than one.
    """
    found = list_microphones()
    if not found:
        raise AudioError("no microphone found", fix="plug one in and see `edge-mcnn microphones`")
    if not name:
        return next((each for each in found if each.is_default), found[0])
    wanted = name.casefold()
    matches = (
        [each for each in found if each.name.casefold() == wanted]
        or [each for each in found if each.card_id and wanted.removeprefix("card:") == each.card_id.casefold()]
        or [each for each in found if each.usb_id and wanted == each.usb_id]
        or without_plugins([each for each in found if wanted in each.name.casefold()])
    )
    if not matches:
        names = ", ".join(_with_stable_name(each, found) for each in without_plugins(found))
        raise AudioError(f"no microphone is named {name!r}", fix=f"use one of {names}")
    if len(matches) > 1:
        names = ", ".join(repr(each.name) for each in matches)
        fix = "use more of the name"
        if any(stable_name(each, found) != each.name for each in matches):
            fix = f"use one of {', '.join(_with_stable_name(each, found) for each in matches)}"
        raise AudioError(f"{name!r} matches more than one microphone: {names}", fix=fix)
    return matches[0]


def _with_stable_name(info: MicrophoneInfo, found: Sequence[MicrophoneInfo]) -> str:
    stable = stable_name(info, found)
    return repr(stable) if stable == info.name else f"{stable!r} ({info.name})"


def refresh_devices() -> None:
    """Let PortAudio scan the devices again, which it does by itself only once. No microphone may be open.

    Raises:
        AudioError: PortAudio cannot scan them.
    """
    with silenced_c_libraries():
        sounddevice = _portaudio()
        sounddevice._terminate()
        try:
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise _no_sound_system(error) from None


@dataclass(frozen=True, eq=False)
class Block:
    """The audio that one callback of PortAudio delivered, or a few in a row."""

    samples: NDArray[np.int16]
    """Samples, shape (n, channels), at the microphone's rate."""
    arrived_at: float
    """`time.monotonic()` when the last of it arrived."""
    constant: bool
    """Whether all samples of each channel have the same value, zero or another, so that there is no sound."""
    callbacks: int = 1
    """How many callbacks delivered it, `BLOCK_SECONDS` each."""


def is_constant(samples: NDArray[np.int16]) -> bool:
    """Whether all samples of each channel have the same value; `samples` has the shape (n, channels).

    A muted or broken microphone delivers such samples, the noise of the quietest room does not: a sample that differs
    by one step is enough.
    """
    return bool((samples == samples[:1]).all())


class Microphone:
    """A microphone that is open from its construction until `close`.

    Args:
        name: its name or its sound card, see `find_microphone`.
        channels: numbers of the channels that it delivers, from 0 on; or a word of `channels` under `[microphone]`, for
            all that it has.

    Raises:
        AudioError: it cannot be found or opened, or does not have these channels.
    """

    def __init__(self, name: str = "", channels: str | tuple[int, ...] = "auto") -> None:
        self.info = find_microphone(name)
        self._selected = None if isinstance(channels, str) else list(channels)
        self._channels, self.rate = self._choose_format()
        """Sample rate of the blocks, Hz."""
        self._batches: queue.SimpleQueue[list[tuple[bytes, float]] | None] = queue.SimpleQueue()
        self._most_blocks = round(_QUEUE_SECONDS / BLOCK_SECONDS)
        self._batch: list[tuple[bytes, float]] = []
        self._latest: list[tuple[bytes, float]] | None = None
        """What `skip_waiting` has left for the next block."""
        self._received = self._read = 0
        """Number of callbacks, each counted by one thread alone."""
        self.batch_size = 1
        """Number of callbacks that make a block; with more than one, the reading thread sleeps longer."""
        self.ended = False
        """Whether the stream ended by itself, because the microphone is gone."""
        self.dropped_blocks = 0
        """Number of callbacks whose audio was dropped because it was not read in time."""
        self._stream = self._open()

    def _most_channels(self) -> int:
        offered = self.info.channels
        if self._selected is None:
            if offered <= _MOST_CHANNELS:
                return offered
            return _MOST_CHANNELS if _HARDWARE.search(self.info.name) else _OF_MANY
        if max(self._selected) >= offered:
            numbers = "one channel, 0" if offered == 1 else f"{offered} channels, 0 to {offered - 1}"
            raise AudioError(
                f"microphone {self.info.name!r} has {numbers}, and microphone.channels is {self._selected}",
                fix='write other numbers, or channels = "auto", under [microphone]',
            )
        return max(self._selected) + 1

    def _choose_format(self) -> tuple[int, int]:
        """Choose the number of channels and the rate: 16 kHz if the device supports it, else the device's own rate."""
        sounddevice = _portaudio()
        most = self._most_channels()
        # A device may have its largest number of channels at no rate that it has for recording.
        numbers = (most, min(most, _OF_MANY)) if self._selected is None else (most,)
        rates = (SAMPLE_RATE, self.info.rate, 48_000, 44_100)
        problems = []
        for channels, rate in dict.fromkeys(itertools.product(numbers, rates)):
            try:
                with silenced_c_libraries():
                    sounddevice.check_input_settings(self.info.index, channels, "int16", samplerate=rate)
            except sounddevice.PortAudioError as error:
                problems.append(error)
            else:
                return channels, rate
        # That some rates are invalid is normal; why its own rate does not work is the reason.
        raise self._unavailable(next((each for each in problems if _INVALID_RATE not in each.args), problems[0]))

    def _open(self) -> Any:
        sounddevice = _portaudio()
        with silenced_c_libraries():
            stream = self._start(sounddevice)
        _LOG.info("microphone: %s, %d Hz, %d channel(s)", self.info.name, self.rate, self._channels)
        return stream

    def _start(self, sounddevice: Any) -> Any:
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
        return stream

    def _unavailable(self, error: Exception | None) -> AudioError:
        reason = str(error.args[0]) if error is not None and error.args else "unknown reason"
        return AudioError(
            f"microphone {self.info.name!r} cannot be opened ({reason})",
            fix="if another program uses it, close that program; if it is the service: sudo systemctl stop edge-mcnn",
        )

    def block(self, limit_s: float) -> Block | None:
        """Return the next block; None after `limit_s` seconds without one, after `wake`, or if the stream ended."""
        if self._latest is not None:
            latest, self._latest = self._latest, None
            return self._joined(latest)
        try:
            batch = self._batches.get(timeout=limit_s)
        except queue.Empty:
            return None
        if batch is None:
            return None
        self._read += len(batch)
        return self._joined(batch)

    def skip_waiting(self) -> None:
        """Drop what was recorded before and not read, but for the latest callback; none of it counts as dropped."""
        since = time.monotonic() - _LATEST_S
        with contextlib.suppress(queue.Empty):  # nothing is left
            while True:
                for each in self._batches.get_nowait() or ():
                    self._latest = [each]
                    self._read += 1
        if self._latest is not None and self._latest[0][1] < since:
            self._latest = None
        self.dropped_blocks = 0

    def _joined(self, batch: list[tuple[bytes, float]]) -> Block:
        data = batch[0][0] if len(batch) == 1 else b"".join(part for part, _ in batch)
        samples = np.frombuffer(data, np.int16).reshape(-1, self._channels)
        if self._selected is not None:
            samples = samples[:, self._selected]
        return Block(samples, batch[-1][1], is_constant(samples), len(batch))

    def wake(self) -> None:
        """Make `block` return immediately; may be called from another thread."""
        self._batches.put(None)

    def close(self) -> None:
        """Close the stream. If the sound system hangs, this call hangs, too."""
        # Not `stop`, which would wait for a frozen microphone to deliver what it has.
        with silenced_c_libraries():
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def _receive(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """PortAudio's callback: copies the block and never waits."""
        if self._received - self._read >= self._most_blocks:
            self.dropped_blocks += 1
            return
        self._received += 1
        self._batch.append((bytes(data), time.monotonic()))
        if len(self._batch) >= self.batch_size:
            batch, self._batch = self._batch, []
            self._batches.put(batch)

    def _finish(self) -> None:
        self.ended = True
        self.wake()


def _portaudio() -> Any:
    try:
        import sounddevice  # scans the sound cards, which takes a moment: only where a microphone is used
    except OSError:
        raise AudioError("PortAudio is not installed", fix="run: sudo apt-get install libportaudio2") from None
    except Exception as error:
        if type(error).__name__ != "PortAudioError":  # the module that defines it could not be imported
            raise
        raise _no_sound_system(error) from None
    return sounddevice


def _no_sound_system(error: Exception) -> AudioError:
    return AudioError(
        f"PortAudio cannot list the microphones ({displayable(error)})",
        fix="check the configuration of ALSA: arecord -L, ~/.asoundrc, /etc/asound.conf",
    )
