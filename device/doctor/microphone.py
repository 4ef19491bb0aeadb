"""Checks of the audio input: sound cards, PortAudio, the selected microphone, and how loud it is at the moment."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio import microphone
from device.audio.framer import Framer
from device.audio.microphone import MicrophoneInfo
from device.daemon.status import Status
from device.doctor.findings import CheckEvent, Finding, MicrophoneLevel, Verdict
from device.errors import AudioError
from device.events import SAMPLE_RATE
from device.settings.schema import Settings
from device.system.permissions import how_to_join, may_open

MEASURED_S = 1.5
"""Seconds of audio that the level is measured on."""
_MIN_DBFS = -96.0
"""Level of a 16-bit signal that alternates by one step, and what digital silence is reported as."""
_SESSION_DEVICES = ("pulse", "pipewire")
"""Devices that belong to the sound server of a user's session."""


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
        names = ", ".join(f"{path.name}{_holder(path.name, root / 'proc')}" for path in devices)
        yield Finding("sound cards", Verdict.OK, f"{names}; accessible to this user")


def _holder(name: str, proc: Path) -> str:
    """Describe the process that has a capture device open, which is usually a sound server; empty if none has."""
    card, number = re.findall(r"\d+", name)
    try:
        status = (proc / f"asound/card{card}/pcm{number}c/sub0/status").read_text()
        owner = re.search(r"owner_pid\s*:\s*(\d+)", status)
        return f" (in use by {(proc / owner[1] / 'comm').read_text().strip()}, process {owner[1]})" if owner else ""
    except OSError:
        return ""  # the kernel does not report it, or the process has just ended


def check_portaudio() -> Iterator[Finding]:
    """Check that the PortAudio library is installed, and report its version."""
    try:
        yield Finding("PortAudio", Verdict.OK, microphone.portaudio_version())
    except AudioError as error:
        yield Finding("PortAudio", Verdict.FAIL, error.message, error.fix)


def check_selected(name: str, daemon: Status | None = None, *, if_missing: Verdict = Verdict.FAIL) -> Iterator[Finding]:
    """Check that the settings select exactly one microphone, and list the others.

    PortAudio does not list a card that another program has opened exclusively. Yields nothing without PortAudio.

    Args:
        name: the name, or a part of it, from the settings.
        daemon: the running daemon, which may be that other program.
        if_missing: the verdict if there is no such microphone now.
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
            fix = f"{error.fix}; a microphone that another program uses is not listed"
            yield Finding("microphone", if_missing, error.message, fix)
        return
    message = f"{_describe(selected)}{', the default' if selected.is_default else ''}"
    if others := [_describe(each) for each in available if each != selected]:
        message += f"; not selected: {'; '.join(others)}"
    if re.search(r"hw:\d", name):
        message += f"; the number in {name!r} may change at each boot"
        yield Finding("microphone", Verdict.WARN, message, "use words of its name under [microphone] instead")
    elif name.casefold() in _SESSION_DEVICES:
        message += "; it belongs to the sound server of your session"
        fix = "for the service, which has no session, select the card by its own name"
        yield Finding("microphone", Verdict.WARN, message, fix)
    else:
        yield Finding("microphone", Verdict.OK, message)


def measure_level(settings: Settings, daemon: Status | None) -> Iterator[CheckEvent]:
    """Record from the selected microphone for a moment and compare its level with the gate.

    Yields a level for each block of audio, then the finding; nothing if no microphone is found.

    Args:
        settings: the daemon's settings.
        daemon: the running daemon, which may have opened the microphone exclusively.
    """
    name, limit_s = settings.microphone.name, settings.liveness.no_sound_limit_s
    try:
        microphone.find_microphone(name)
    except AudioError:
        return
    try:
        opened = microphone.Microphone(name)
    except AudioError as error:
        if daemon is not None and daemon.microphone:
            message = f"not measured: the daemon, process {daemon.pid}, uses the microphone"
            yield Finding(
                "level", Verdict.WARN, message, "the daemon reports the state of its microphone: edge-mcnn status"
            )
        else:
            yield Finding("level", Verdict.FAIL, error.message, error.fix)
        return
    framer = Framer(opened.rate)
    levels: list[float] = []
    measured_s, all_zero = 0.0, True
    try:
        while measured_s < MEASURED_S:
            block = opened.block(limit_s)
            if block is None:
                message = "it disconnected" if opened.ended else f"opened, but no audio arrived for {limit_s:g} s"
                fix = "unplug the microphone and plug it in again; it may be suspended or frozen"
                yield Finding("level", Verdict.FAIL, message, fix)
                return
            measured_s += len(block.samples) / opened.rate
            all_zero = all_zero and block.zero
            new = [_dbfs(frame.samples) for frame in framer.push(block.samples, arrived_at=block.arrived_at)]
            levels += new
            if new:
                yield MicrophoneLevel(max(new))
    finally:
        opened.close()
    yield _level_finding(levels, settings.endpoint.gate_dbfs, opened.rate, all_zero=all_zero)


def _level_finding(levels: list[float], gate_dbfs: float, rate: int, *, all_zero: bool) -> Finding:
    rates = f"{rate} Hz" if rate == SAMPLE_RATE else f"{rate} Hz resampled to {SAMPLE_RATE}"
    if all_zero:
        fix = "unmute it: check for a switch on the microphone, and alsamixer (F4, then M)"
        return Finding("level", Verdict.FAIL, f"every sample is zero, at {rates}", fix)
    message = f"loudest {max(levels):.0f} dBFS, quietest {min(levels):.0f}, at {rates}"
    if max(levels) < gate_dbfs:
        fix = (
            "speak during the measurement; if the level stays this low, raise it in alsamixer (F4) or lower "
            "endpoint.gate_dbfs"
        )
        message = f"{message}: always below the gate of {gate_dbfs:g}, so no speech can be detected"
        return Finding("level", Verdict.WARN, message, fix)
    return Finding("level", Verdict.OK, f"{message}; the gate is at {gate_dbfs:g}")


def _dbfs(samples: NDArray[np.int16]) -> float:
    power = float(np.mean(np.square(samples.astype(np.float64)))) / 32768**2
    return max(_MIN_DBFS, 10 * math.log10(power)) if power else _MIN_DBFS


def _describe(info: MicrophoneInfo) -> str:
    return f"{info.name}, {info.rate} Hz"
