"""What hears: sound cards, PortAudio, the microphones, the one that the settings choose, and how loud it is now."""

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
from device.doctor.findings import Finding, Level, Told, Verdict
from device.errors import AudioError
from device.events import SAMPLE_RATE
from device.settings.schema import Settings
from device.system.permissions import how_to_join, may_open

MEASURED_S = 1.5
_LOWEST_DBFS = -96.0
"""Of one step of 16 bits."""
_OF_A_SESSION = ("pulse", "pipewire")


def cards(root: Path = Path("/")) -> Iterator[Finding]:
    """Whether this user may open the sound cards that can record, and who has them open; silent where there are none.

    Args:
        root: / on a machine that is looked at.
    """
    capturing = sorted((root / "dev/snd").glob("pcmC*D*c"))
    if not capturing:
        return
    shut = [path for path in capturing if not may_open(path)]
    if shut:
        yield Finding("sound cards", Verdict.BAD, f"this user may not open {shut[0]}", how_to_join("audio"))
    else:
        told = ", ".join(f"{path.name}{_held_by(path.name, root / 'proc')}" for path in capturing)
        yield Finding("sound cards", Verdict.GOOD, f"{told}; open to this user")


def _held_by(name: str, proc: Path) -> str:
    """In words, who has a capture device open: a sound server, most often."""
    card, number = re.findall(r"\d+", name)
    try:
        status = (proc / f"asound/card{card}/pcm{number}c/sub0/status").read_text()
        owner = re.search(r"owner_pid\s*:\s*(\d+)", status)
        return f" (held by {(proc / owner[1] / 'comm').read_text().strip()}, process {owner[1]})" if owner else ""
    except OSError:
        return ""  # the kernel does not tell, or it ended just now


def portaudio() -> Iterator[Finding]:
    """Whether the library is there."""
    try:
        yield Finding("PortAudio", Verdict.GOOD, microphone.portaudio_version())
    except AudioError as error:
        told, _, mend = str(error).partition("; ")
        yield Finding("PortAudio", Verdict.BAD, told, mend)


def chosen(name: str, running: Status | None = None, *, missing: Verdict = Verdict.BAD) -> Iterator[Finding]:
    """All microphones, and the one that `name` chooses.

    PortAudio does not list a card that another program has open for itself.

    Args:
        name: as the settings have it.
        running: the daemon that runs, which may be that program.
        missing: how bad it is if there is none, for now.
    """
    try:
        all_ = microphone.list_microphones()
    except AudioError:
        return  # PortAudio has a line of its own
    try:
        found = microphone.find_microphone(name)
    except AudioError as error:
        if running is not None and running.microphone:
            told = f"the daemon, process {running.pid}, has {running.microphone}, {running.rate} Hz"
            yield Finding("microphone", Verdict.GOOD, told)
        else:
            told, _, mend = str(error).rpartition("; ")
            yield Finding("microphone", missing, told, f"{mend}; one that another program holds is not listed")
        return
    told = f"{_named(found)}{', the default' if found.is_default else ''}"
    if others := [_named(each) for each in all_ if each != found]:
        told += f"; not chosen: {'; '.join(others)}"
    if re.search(r"hw:\d", name):
        mend = "choose it by the words of its name under [microphone]"
        yield Finding("microphone", Verdict.WARNING, f"{told}; the number in {name!r} moves between boots", mend)
    elif name.casefold() in _OF_A_SESSION:
        mend = "a service has no such session; for one, choose the card's own name"
        yield Finding("microphone", Verdict.WARNING, f"{told}; it is of your session's sound server", mend)
    else:
        yield Finding("microphone", Verdict.GOOD, told)


def level(settings: Settings, running: Status | None) -> Iterator[Told]:
    """How loud the chosen microphone is while it is listened to for a moment; silent where none is found.

    Args:
        settings: of the daemon.
        running: the daemon that runs, which may have the microphone for itself.
    """
    name, limit_s = settings.microphone.name, settings.liveness.no_sound_limit_s
    try:
        microphone.find_microphone(name)
    except AudioError:
        return
    try:
        opened = microphone.Microphone(name)
    except AudioError as error:
        if running is not None and running.microphone:
            told = f"not measured: the daemon, process {running.pid}, has the microphone"
            yield Finding("level", Verdict.WARNING, told, "it says how it is: edge-mcnn status")
        else:
            yield Finding("level", Verdict.BAD, str(error))
        return
    framer = Framer(opened.rate)
    levels: list[float] = []
    heard_s, zero = 0.0, True
    try:
        while heard_s < MEASURED_S:
            block = opened.block(limit_s)
            if block is None:
                told = "it is gone" if opened.ended else f"opened, but no sound came for {limit_s:g} s"
                yield Finding("level", Verdict.BAD, told, "is it pulled out, suspended or frozen? Plug it in anew")
                return
            heard_s += len(block.samples) / opened.rate
            zero = zero and block.zero
            new = [_dbfs(frame.samples) for frame in framer.push(block.samples, arrived_at=block.arrived_at)]
            levels += new
            if new:
                yield Level(max(new))
    finally:
        opened.close()
    yield _judged(levels, settings.endpoint.gate_dbfs, opened.rate, zero=zero)


def _judged(levels: list[float], gate_dbfs: float, rate: int, *, zero: bool) -> Finding:
    at = f"{rate} Hz" if rate == SAMPLE_RATE else f"{rate} Hz resampled to {SAMPLE_RATE}"
    if zero:
        mend = "is it muted? Look for a switch on it, and in alsamixer (F4, then M)"
        return Finding("level", Verdict.BAD, f"each sample is zero, at {at}", mend)
    told = f"loudest {max(levels):.0f} dBFS, quietest {min(levels):.0f}, at {at}"
    if max(levels) < gate_dbfs:
        mend = "speak while it is measured; if it stays so, turn it up in alsamixer (F4) or lower endpoint.gate_dbfs"
        return Finding("level", Verdict.WARNING, f"{told}: all below the gate of {gate_dbfs:g}, never speech", mend)
    return Finding("level", Verdict.GOOD, f"{told}; the gate is at {gate_dbfs:g}")


def _dbfs(samples: NDArray[np.int16]) -> float:
    power = float(np.mean(np.square(samples.astype(np.float64)))) / 32768**2
    return max(_LOWEST_DBFS, 10 * math.log10(power)) if power else _LOWEST_DBFS


def _named(each: MicrophoneInfo) -> str:
    return f"{each.name}, {each.rate} Hz"
