"""Checks of the audio input: sound cards, PortAudio, the selected microphone, and how loud it is at the moment."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio import microphone
from device.audio.channels import mix_of
from device.audio.framer import Framer
from device.audio.level import level_dbfs
from device.audio.liveness import State
from device.audio.microphone import MicrophoneInfo
from device.daemon.status import Status
from device.doctor.findings import CheckEvent, Finding, MicrophoneLevel, Verdict
from device.errors import AudioError
from device.events import SAMPLE_RATE
from device.settings.schema import Settings
from device.system.display import displayable
from device.system.permissions import how_to_join, may_open

MEASURED_S = 1.5
"""Seconds of audio that the level is measured on."""
_CLICK_S = 0.2
"""Seconds after opening in which even a muted microphone may deliver a click, and in which an offset is found."""
_DITHER = 4
"""Steps of 16 bits by which the samples of an input without a microphone may differ."""
_SESSION_DEVICES = ("pulse", "pipewire")
"""Devices that belong to the sound server of a user's session."""
_THROUGH_SERVER = ("pipewire", "pulse", "default")
"""Microphones that record through a sound server, where it is installed."""
_SOUND_SERVERS = ("pipewire", "wireplumber", "pulseaudio", "jackd", "jackdbus")
"""Programs that keep a microphone open for others."""
_STOP_SERVERS = "systemctl --user mask --now pipewire.socket pipewire pulseaudio.socket pulseaudio"


def check_sound_cards(root: Path = Path("/")) -> Iterator[Finding]:
    """Check that this user may open the sound cards that can record, and report which process has each one open.

    Yields nothing if there are no such cards.

    Args:
        root: the root of the file system, / except in tests.
    """
    devices = sorted((root / "dev/snd").glob("pcmC*D*c"))
    if not devices:
        return
    inaccessible = [path for path in devices if not may_open(path)]
    if inaccessible:
        message = f"this user may not open {inaccessible[0]}"
        yield Finding("sound cards", Verdict.FAIL, message, how_to_join("audio"))
    else:
        holders = {path.name: _holder(path.name, root / "proc") for path in devices}
        names = ", ".join(
            f"{name} (in use by {holder.program}, process {holder.process})" if holder else name
            for name, holder in holders.items()
        )
        yield Finding("sound cards", Verdict.OK, f"{names}; accessible to this user")


@dataclass(frozen=True)
class _Holder:
    """A process that has a capture device open, usually a sound server."""

    card: str
    """Short name of the sound card."""
    hardware: str
    """Number of the card and of the device, such as `1,0`."""
    program: str
    """Name of the program."""
    process: str
    """Number of the process."""

    @property
    def is_sound_server(self) -> bool:
        """Whether other programs can record through this one."""
        return self.program in _SOUND_SERVERS


def _holder(name: str, proc: Path) -> _Holder | None:
    """The process that has a capture device open; None if none has.

    Args:
        name: name of the device file, such as `pcmC1D0c`.
        proc: the folder /proc.
    """
    card, number = re.findall(r"\d+", name)
    folder = proc / f"asound/card{card}"
    try:
        owner = re.search(r"owner_pid\s*:\s*(\d+)", (folder / f"pcm{number}c/sub0/status").read_text())
        if owner is None:
            return None
        program = (proc / owner[1] / "comm").read_text().strip()
    except OSError:
        return None  # the kernel does not report it, or the process has just ended
    try:
        card_name = (folder / "id").read_text().strip()
    except OSError:
        card_name = f"card {card}"
    return _Holder(displayable(card_name), f"{card},{number}", displayable(program), owner[1])


def _with_holder(error: AudioError, name: str, root: Path) -> tuple[str, str]:
    """The message and the fix for a microphone that is not listed or cannot be opened.

    Args:
        error: why it cannot be used.
        name: its full name if it is known; else empty.
        root: the root of the file system.
    """
    holders = [_holder(path.name, root / "proc") for path in sorted((root / "dev/snd").glob("pcmC*D*c"))]
    used = [each for each in holders if each is not None and (f"(hw:{each.hardware})" in name or "(hw:" not in name)]
    if not used:
        return error.message, error.fix
    holder = used[0]
    message = (
        f"{error.message}; {holder.card} is in use by {holder.program}, process {holder.process}, and a sound card "
        "serves one program at a time"
    )
    return message, _how_to_share(holder)


def _how_to_share(holder: _Holder) -> str:
    if holder.program == "edge-mcnn":
        return "stop the service while you use the microphone yourself: sudo systemctl stop edge-mcnn"
    if not holder.is_sound_server:
        return f"close {holder.program}"
    names = [each.name for each in microphone.list_microphones()]
    through = next((each for each in _THROUGH_SERVER if each in names), None)
    if through is not None:
        own = f'record through the sound server: name = "{through}" under [microphone]'
    else:
        package = "libasound2-plugins" if holder.program == "pulseaudio" else "pipewire-alsa"
        own = f"record through the sound server: sudo apt-get install {package}, then select the microphone it adds"
    return f"{own}; or, as the service must, which has no session, stop the sound server: {_STOP_SERVERS}"


def check_portaudio() -> Iterator[Finding]:
    """Check that the PortAudio library is installed, and report its version."""
    try:
        yield Finding("PortAudio", Verdict.OK, microphone.portaudio_version())
    except AudioError as error:
        yield Finding("PortAudio", Verdict.FAIL, error.message, error.fix)


def check_selected(
    name: str, daemon: Status | None = None, *, if_missing: Verdict = Verdict.FAIL, root: Path = Path("/")
) -> Iterator[Finding]:
    """Check that the settings select exactly one microphone, and list the others.

    PortAudio does not list a card that another program has opened exclusively. Yields nothing without PortAudio.

    Args:
        name: the name, or a part of it, from the settings.
        daemon: the running daemon, which may be that other program.
        if_missing: the verdict if there is no such microphone now.
        root: the root of the file system, / except in tests.
    """
    try:
        available = microphone.list_microphones()
    except AudioError:
        return  # PortAudio has a finding of its own
    try:
        selected = microphone.find_microphone(name)
    except AudioError as error:
        if daemon is not None and daemon.microphone:
            message = f"{daemon.microphone}, {daemon.rate} Hz, in use by the daemon, process {daemon.pid}"
            yield Finding("microphone", Verdict.OK, message)
        else:
            message, fix = _with_holder(error, "", root)
            if fix == error.fix:
                fix = f"{error.fix}; a microphone that another program uses is not listed"
            yield Finding("microphone", if_missing, message, fix)
        return
    message = f"{_describe(selected)}{', the default' if selected.is_default else ''}"
    if others := [_describe(each) for each in microphone.without_plugins(available) if each != selected]:
        message += f"; not selected: {'; '.join(others)}"
    if re.search(r"hw:\d", name):
        message += f"; the number in {name!r} may change at each boot"
        stable = microphone.stable_name(selected, available)
        fix = "use words of its name under [microphone] instead"
        if stable != selected.name:
            fix = f'write name = "{displayable(stable)}" under [microphone] instead'
        yield Finding("microphone", Verdict.WARN, message, fix)
    elif name.casefold() in _SESSION_DEVICES:
        message += "; it belongs to the sound server of your session"
        cards = [microphone.stable_name(each, available) for each in available if each.card_id]
        own = " or ".join(f'name = "{displayable(each)}"' for each in cards) or "its own name"
        fix = f"for the service, which has no session, select the card by {own}"
        yield Finding("microphone", Verdict.WARN, message, fix)
    else:
        yield Finding("microphone", Verdict.OK, message)


def measure_level(settings: Settings, daemon: Status | None, root: Path = Path("/")) -> Iterator[CheckEvent]:
    """Record from the selected microphone for a moment, compare its level with the gate, and check its wiring.

    Yields a level for each block of audio, then the findings; nothing if no microphone is found.

    Args:
        settings: the daemon's settings.
        daemon: the running daemon, which may have opened the microphone exclusively.
        root: the root of the file system, / except in tests.
    """
    if daemon is not None and daemon.state == State.MUTED:
        yield Finding("level", Verdict.WARN, f"not measured: the daemon, process {daemon.pid}, is muted", daemon.fix)
        return
    name, channels = settings.microphone.name, settings.microphone.channels
    limit_s = settings.liveness.no_sound_limit_s
    try:
        selected = microphone.find_microphone(name)
    except AudioError:
        return
    try:
        opened = microphone.Microphone(name, channels)
    except AudioError as error:
        if daemon is not None and daemon.microphone:
            message = f"not measured: the daemon, process {daemon.pid}, uses the microphone"
            yield Finding(
                "level", Verdict.WARN, message, "the daemon reports the state of its microphone: edge-mcnn status"
            )
        else:
            yield Finding("level", Verdict.FAIL, *_with_holder(error, selected.name, root))
        return
    framer = Framer(opened.rate, mix_of(channels))
    levels: list[float] = []
    measured_s, cancelling = 0.0, False
    ranges = []
    try:
        while measured_s < MEASURED_S:
            block = opened.block(limit_s)
            if block is None:
                message = "it disconnected" if opened.ended else f"opened, but no audio arrived for {limit_s:g} s"
                fix = "unplug the microphone and plug it in again; it may be suspended or frozen"
                yield Finding("level", Verdict.FAIL, message, fix)
                return
            new = [level_dbfs(frame.samples) for frame in framer.push(block.samples, arrived_at=block.arrived_at)]
            if measured_s >= _CLICK_S:
                ranges.append(np.stack([block.samples.min(axis=0), block.samples.max(axis=0)]))
                levels += new
            measured_s += len(block.samples) / opened.rate
            cancelling = cancelling or framer.cancelling
            if new:
                yield MicrophoneLevel(max(new))
    finally:
        opened.close()
    yield _level_finding(levels, settings.endpoint.gate_dbfs, opened.rate, _range(ranges))
    if cancelling:
        yield Finding(
            "channels",
            Verdict.WARN,
            "the two channels of the microphone cancel each other: wired in opposite phase; edge-mcnn inverts one",
            "connect a balanced microphone to a balanced input, or through an adapter to mono; for other programs that "
            "mix the channels it is silent",
        )


def report_level(daemon: Status) -> Iterator[Finding]:
    """Report in place of a measurement whether the daemon receives audio, for a check that it started itself.

    It has the microphone open, and a device that is muted meanwhile must not be recorded by a process of its own.
    """
    message = f"not measured: the daemon, process {daemon.pid},"
    if daemon.state == State.HEALTHY:
        yield Finding("level", Verdict.OK, f"{message} uses the microphone, and receives audio")
    elif daemon.state == State.MUTED:
        yield Finding("level", Verdict.WARN, f"{message} is muted", daemon.fix)
    else:
        reason = f": {daemon.reason}" if daemon.reason else ""
        yield Finding("level", Verdict.WARN, f"{message} receives no audio ({daemon.state}{reason})", daemon.fix)


def _range(ranges: Sequence[NDArray[np.int16]]) -> tuple[int, int]:
    """The lowest and the highest sample of the channel that changes most."""
    lowest, highest = np.min([each[0] for each in ranges], axis=0), np.max([each[1] for each in ranges], axis=0)
    channel = int((highest.astype(int) - lowest).argmax())
    return int(lowest[channel]), int(highest[channel])


def _level_finding(levels: list[float], gate_dbfs: float, rate: int, extremes: tuple[int, int]) -> Finding:
    rates = f"{rate} Hz" if rate == SAMPLE_RATE else f"{rate} Hz resampled to {SAMPLE_RATE}"
    lowest, highest = extremes
    unmute = "unmute it: check for a switch on the microphone, and alsamixer (F4, then M)"
    if lowest == highest:
        value = "is zero" if lowest == 0 else f"has the same value, {lowest}"
        return Finding("level", Verdict.FAIL, f"every sample {value}, at {rates}", unmute)
    if highest - lowest <= _DITHER and min(abs(lowest), abs(highest)) > _DITHER and lowest * highest > 0:
        message = f"every sample is between {lowest} and {highest}, at {rates}: an offset without sound"
        return Finding("level", Verdict.FAIL, message, f"{unmute}; if it is not muted, try another input or microphone")
    message = f"loudest {max(levels):.0f} dBFS, quietest {min(levels):.0f}, at {rates}"
    if max(levels) < gate_dbfs:
        fix = (
            "speak during the measurement; if the level stays this low, run edge-mcnn calibrate, which proposes a "
            "gain and a value for endpoint.gate_dbfs"
        )
        message = f"{message}: always below the gate of {gate_dbfs:g}, so no speech can be detected"
        return Finding("level", Verdict.WARN, message, fix)
    return Finding("level", Verdict.OK, f"{message}; the gate is at {gate_dbfs:g}")


def _describe(info: MicrophoneInfo) -> str:
    return f"{info.name}, {info.rate} Hz"
