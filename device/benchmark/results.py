"""What the benchmark tells, as values; `edge-mcnn benchmark --json` prints exactly these fields.

MB are 10^6 bytes, times are those of the wall clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from device.system.machine import Machine


@dataclass(frozen=True)
class Choice:
    """What the settings choose of what is measured."""

    model: str
    """Path of the bundle; empty for the one that ships."""
    runtime: str
    """Of the interpreter, after `auto` was resolved."""
    threads: int
    """Of the interpreter."""
    search: str
    """Of Vosk, `quick` or `thorough`."""
    utterances_per_recogniser: int
    """Of Vosk."""


@dataclass(frozen=True)
class Rehearsal:
    """One fresh process that started as `listen` does and heard the clip, with nothing else loaded."""

    imports_s: float
    """Seconds from the start of the process until Python and edge-mcnn's modules were there."""
    model_s: float
    """Seconds to load the interpreter and the bundle."""
    speech_model_s: float
    """Seconds to load Vosk and its model."""
    ready_s: float
    """Seconds from the start of the process until it could listen: all three."""
    peak_mb: float
    """The most memory that it ever held; a recogniser that serves more utterances than the clip has goes on growing."""
    available_mb: float
    """Memory of the machine that was still available when it had heard the clip."""
    utterances: int
    """How many it heard in the clip, and answered."""
    endpoint_to_light_median_ms: float
    """Milliseconds from the arrival of the block of sound that ended the pause to the answer, had the sound come as it
    does from a microphone: work that was not done in time counts."""
    endpoint_to_light_worst_ms: float
    """The same, the worst."""


@dataclass(frozen=True)
class Stage:
    """A step of the way from sound to answer."""

    per: str
    """What one run of it serves: a `frame` of 32 ms, a `second` of speech, or an `utterance`."""
    median_ms: float
    """Milliseconds of a run, median."""
    p95_ms: float
    """The same, 95th percentile."""
    runs: int
    """How many were measured."""
    core_share: float | None
    """Share of one core, 0 to 1, that it takes while someone speaks; None for what is done once per utterance."""


@dataclass(frozen=True)
class InterpreterCall:
    """The network, asked with one runtime and one number of threads."""

    runtime: str
    threads: int
    median_ms: float
    """Milliseconds of a call, median."""
    p95_ms: float
    """The same, 95th percentile."""
    selected: bool
    """Whether the settings choose this one."""


@dataclass(frozen=True)
class Benchmark:
    """All of it."""

    machine: Machine
    settings: Choice
    rehearsal: Rehearsal
    stages: Mapping[str, Stage]
    """By name, in the order of the work: loudness_gate, voice_detector, mel_spectrogram, picture, vosk_feed,
    vosk_last_words, token_ids, interpreter."""
    core_share: float
    """Of all stages together while someone speaks, 0 to 1 and more: above 1 speech comes faster than it is heard."""
    real_time_factor: float
    """Its inverse: how many times faster than it is spoken speech is heard, by a recogniser that was never used."""
    vosk_real_time_factor: float
    """The same, of Vosk alone."""
    interpreter_calls: tuple[InterpreterCall, ...]
    """For each installed runtime and each power of two of threads up to the number of cores."""
    unusable_runtimes: Mapping[str, str]
    """Runtimes that are installed and do not run this bundle, and why."""
