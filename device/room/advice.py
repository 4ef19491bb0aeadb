"""Judges a measurement: findings in plain words, each with its fix."""

from collections.abc import Iterator

from device.doctor.findings import Finding, Verdict
from device.room.capture_gain import Mixer
from device.room.measurement import Measurement
from device.room.proposal import (
    CLIPPED,
    LOUDEST_SPEECH_DBFS,
    QUIETEST_SPEECH_DBFS,
    GateProposal,
    gain_change_db,
    propose_gate,
)

_GOOD_DB, _FAIR_DB = 20.0, 10.0
"""Signal-to-noise ratios from which on speech is clear, and understood with errors."""
_LARGE_OFFSET = 0.015
"""Share of full scale from which on an offset is a fault, and removed by `device.audio.offset`."""
_HUM_OF_FLOOR_DB = 3.0
"""Hum that is at most this much below the noise floor is a large part of it."""
_HARMLESS_HUM_DB = 40.0
"""Hum that is further below speech matters to no one."""
AGAIN = "edge-mcnn calibrate"


def findings(measurement: Measurement, present_gate_dbfs: float, mixer: Mixer, where: str) -> Iterator[Finding]:
    """Yield what was found, the most important last.

    Args:
        measurement: what was measured.
        present_gate_dbfs: gate in the settings, dB relative to full scale.
        mixer: the mixer of the microphone's card.
        where: where the gate is written, such as `in my.toml`; empty if it will be written.
    """
    if measurement.silent:
        yield Finding(
            "microphone", Verdict.FAIL, "every sample has the same value: it is muted, or no signal reaches it",
            _gain_fix(mixer, 0) or "unmute it: check for a switch on the microphone, and alsamixer (F4, then M)",
        )  # fmt: skip
        return
    yield from _channels(measurement)
    yield from _room(measurement)
    yield from _gain(measurement, mixer)
    yield from _speech(measurement)
    gate = propose_gate(measurement, present_gate_dbfs)
    if gate is not None:
        yield _gate(gate, where)


def _channels(measurement: Measurement) -> Iterator[Finding]:
    for number, channel in enumerate(measurement.channels):
        if abs(channel.offset) >= _LARGE_OFFSET:
            yield Finding(
                "offset", Verdict.WARN,
                f"channel {number} has a constant offset (DC) of {100 * channel.offset:.1f} % of full scale; edge-mcnn "
                "removes it",
                "try another input or sound adapter: an offset is a fault of the hardware, and loud speech is clipped "
                "sooner",
            )  # fmt: skip
        if channel.dead:
            yield Finding(
                "channels", Verdict.WARN, f"channel {number} is dead: no voice reaches it",
                "check plug and cable; edge-mcnn uses the other channels, and channels under [microphone] selects them",
            )  # fmt: skip
        elif channel.inverted:
            yield Finding(
                "channels", Verdict.WARN,
                f"channel {number} is in opposite phase; unless channels under [microphone] is mean, edge-mcnn takes "
                "care of it",
                "connect a balanced microphone to a balanced input, or through an adapter to mono; for other programs "
                "that mix the channels it is silent",
            )  # fmt: skip


def _room(measurement: Measurement) -> Iterator[Finding]:
    room, hum = measurement.room, measurement.hum
    if room.speech_s:
        yield Finding(
            "room", Verdict.WARN,
            f"{room.speech_s:.1f} s of speech while the room was measured, which were left out",
            f"be quiet during the first part, switch off radio and television, and run again: {AGAIN}",
        )  # fmt: skip
    speech_dbfs = 0.0 if measurement.speech is None else measurement.speech.level_dbfs
    lowest_dbfs = max(room.floor_dbfs - _HUM_OF_FLOOR_DB, speech_dbfs - _HARMLESS_HUM_DB)
    if hum is not None and hum.level_dbfs >= lowest_dbfs:
        harmonics = ", ".join(f"{each}" for each in hum.harmonics_hz)
        yield Finding(
            "hum", Verdict.WARN,
            f"hum of the {hum.mains_hz} Hz mains at {hum.level_dbfs:.0f} dBFS (at {harmonics} Hz)",
            "use another power supply or USB port, and lay the cable of the microphone away from mains adapters",
        )  # fmt: skip


def _gain(measurement: Measurement, mixer: Mixer) -> Iterator[Finding]:
    if mixer.automatic is not None:
        yield Finding(
            "gain", Verdict.WARN,
            "automatic gain control is on: it raises the noise in pauses, and hides how loud a voice is",
            f"{mixer.automatic.description}: {mixer.automatic.command}",
        )  # fmt: skip
    speech, change = measurement.speech, gain_change_db(measurement)
    muted = next((each for each in mixer.controls if each.muted), None)
    if muted is not None:
        yield Finding("gain", Verdict.WARN, muted.description, _gain_fix(mixer, 0))
    if speech is None:
        return
    if measurement.clipped >= CLIPPED:
        yield Finding(
            "clipping", Verdict.WARN, f"Too loud: {_percent(measurement.clipped)} of the samples are clipped",
            _gain_fix(mixer, change) or "lower the gain, or move away from the microphone",
        )  # fmt: skip
    elif speech.level_dbfs > LOUDEST_SPEECH_DBFS:
        yield Finding(
            "level", Verdict.WARN,
            f"Loud: speech is at {speech.level_dbfs:.0f} dBFS, so a louder voice will be clipped",
            _gain_fix(mixer, change) or "lower the gain, or move away from the microphone",
        )  # fmt: skip
    elif speech.level_dbfs < QUIETEST_SPEECH_DBFS:
        yield Finding(
            "level", Verdict.WARN, f"Too quiet: speech is at {speech.level_dbfs:.0f} dBFS",
            _gain_fix(mixer, change) or "raise the gain, or move closer to the microphone",
        )  # fmt: skip


def _gain_fix(mixer: Mixer, change_db: float) -> str:
    """Return how to change the gain; empty if there is no command for it, and no reason why."""
    change = mixer.change(change_db)
    if change is not None:
        return f"{change.description}: {change.command}"
    return f"{mixer.problem}; {mixer.fix}" if change_db and mixer.problem else ""


def _speech(measurement: Measurement) -> Iterator[Finding]:
    ratio = measurement.signal_to_noise_db
    if ratio is None:
        yield Finding(
            "speech", Verdict.FAIL, "no speech was detected in the second part",
            f"speak during all of it, check that the right microphone is selected (edge-mcnn microphones), and run "
            f"again: {AGAIN}",
        )  # fmt: skip
        return
    message = f"Speech is {ratio:.0f} dB above the room"
    if ratio >= _GOOD_DB:
        yield Finding("speech", Verdict.OK, f"{message}: good")
        return
    fix = "move closer to the microphone, or make the room quieter; a higher gain raises both"
    verdict = "fair, some words will be lost" if ratio >= _FAIR_DB else "too little to understand words reliably"
    yield Finding("speech", Verdict.WARN, f"{message}: {verdict}", fix)


def _gate(gate: GateProposal, where: str) -> Finding:
    if gate.fits:
        better = "" if gate.present_dbfs == gate.proposed_dbfs else f"; the best value is {gate.proposed_dbfs:g}"
        return Finding("gate", Verdict.OK, f"the gate of {gate.present_dbfs:g} dBFS fits{better}")
    fix = f"write gate_dbfs = {gate.proposed_dbfs:g} under [endpoint] {where}" if where else ""
    if gate.blocks_speech:
        message = f"the gate of {gate.present_dbfs:g} dBFS is too high: quiet speech is not detected"
    else:
        message = f"the gate of {gate.present_dbfs:g} dBFS is below the noise of the room, which costs CPU time"
    return Finding("gate", Verdict.WARN, f"{message}; the best value is {gate.proposed_dbfs:g}", fix)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
