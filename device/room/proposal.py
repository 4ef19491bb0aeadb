"""Proposes a gate and a change of the gain from what was measured.

The gate of `[endpoint]` only decides which frames the voice activity detector sees. Too low, it costs CPU time, and
noise may be taken for speech; too high, it costs words. So it is placed just above the noise, with room below the
voice:

- 6 dB above the level that 95 % of the frames of the quiet room stay below;
- at least 10 dB below the level that three quarters of the voiced frames exceed, which is 15 to 16 dB below active
  speech: the margin within which ITU-T P.56 counts a signal as speech (15.9 dB). A voice that is three times as far
  away loses 10 dB. Where this contradicts the first rule, because the room is nearly as loud as the voice, it wins;
- at most 30 dB below that level: nothing there is the voice that was measured, and in a room with a floor of -96 dBFS,
  as microphones with noise suppression have, the slightest noise would pass.
"""

import math
from dataclasses import dataclass, fields

from device.room.measurement import Measurement
from device.settings.schema import EndpointSettings

ABOVE_ROOM_DB = 6.0
BELOW_SPEECH_DB = 10.0
_FURTHEST_BELOW_SPEECH_DB = 30.0
_LOWEST_GATE, _HIGHEST_GATE = next(
    each.metadata["range"] for each in fields(EndpointSettings) if each.name == "gate_dbfs"
)
"""Limits of the setting."""
CLIPPED = 1e-4
"""Share of clipped samples from which on speech is too loud: a few samples are a plosive at the microphone."""
QUIETEST_SPEECH_DBFS, LOUDEST_SPEECH_DBFS = -45.0, -18.0
"""Levels of normal speech with which nothing needs to be changed, dB relative to full scale."""
_TARGET_DBFS = -30.0
"""Level to which the gain brings normal speech: anger is up to 20 dB louder, and the peaks of speech are 12 to 15 dB
above its level. Telephony, with a closer microphone and less emotion, uses -26 (ITU-T P.56, G.191)."""
_HIGHEST_PEAK_DBFS = -9.0
"""Peaks to which the gain may bring normal speech."""
_LEAST_REDUCTION_DB = 6.0
_SMALLEST_CHANGE_DB = 3.0


@dataclass(frozen=True)
class GateProposal:
    """A value for `gate_dbfs` in `[endpoint]`."""

    present_dbfs: float
    """Value in the settings, dB relative to full scale."""
    proposed_dbfs: float
    """Proposed value, a whole number of dB relative to full scale."""
    passes_noise: bool
    """Whether the noise of the room exceeds the present gate."""
    blocks_speech: bool
    """Whether the present gate leaves quiet or distant speech no margin."""

    @property
    def fits(self) -> bool:
        """Whether the present gate is between the noise and the voice."""
        return not self.passes_noise and not self.blocks_speech


def propose_gate(measurement: Measurement, present_dbfs: float) -> GateProposal | None:
    """Propose a gate; None without speech.

    Args:
        measurement: what was measured.
        present_dbfs: gate in the settings, dB relative to full scale.
    """
    if measurement.speech is None:
        return None
    quiet = measurement.speech.quiet_dbfs
    highest = math.floor(quiet - BELOW_SPEECH_DB)
    lowest = math.floor(quiet - _FURTHEST_BELOW_SPEECH_DB)
    gate = min(max(math.ceil(measurement.room.loud_dbfs + ABOVE_ROOM_DB), lowest), highest)
    gate = min(max(gate, _LOWEST_GATE), _HIGHEST_GATE)
    # A gate below the noise is no mistake where the voice leaves no higher one.
    passes_noise = present_dbfs < min(measurement.room.loud_dbfs, gate)
    return GateProposal(present_dbfs, float(gate), passes_noise, blocks_speech=present_dbfs > quiet - BELOW_SPEECH_DB)


def gain_change_db(measurement: Measurement) -> float:
    """Compute by how many dB the gain should change; 0 if speech has a good level, or if there is no speech."""
    speech = measurement.speech
    if speech is None:
        return 0.0
    change = _TARGET_DBFS - speech.level_dbfs
    if measurement.clipped >= CLIPPED or speech.level_dbfs > LOUDEST_SPEECH_DBFS:
        return min(change, -_LEAST_REDUCTION_DB)
    if speech.level_dbfs >= QUIETEST_SPEECH_DBFS:
        return 0.0
    change = min(change, _HIGHEST_PEAK_DBFS - measurement.peak_dbfs)
    return change if change >= _SMALLEST_CHANGE_DB else 0.0
