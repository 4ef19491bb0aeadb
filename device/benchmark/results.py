"""The results of the benchmark as values; `edge-mcnn benchmark --json` prints exactly these fields, and the verdict.

MB are 10^6 bytes; times are wall-clock times.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from device.system.machine import Machine


@dataclass(frozen=True)
class MeasuredSettings:
    """The settings that influence the results."""

    model: str
    """Path of the bundle; empty for the shipped one."""
    runtime: str
    """TFLite runtime, after `auto` was resolved."""
    threads: int
    """Number of threads of the interpreter."""
    search: str
    """Vosk's search for words, `quick` or `thorough`."""
    utterances_per_recogniser: int
    """Number of utterances after which a Vosk recogniser is replaced."""


@dataclass(frozen=True)
class ColdStart:
    """A fresh process, with nothing else loaded, that started as `listen` does and processed the clip."""

    imports_s: float
    """Seconds from the start of the process until Python and the modules of edge-mcnn were loaded."""
    model_load_s: float
    """Seconds to load the interpreter and the bundle."""
    speech_model_load_s: float
    """Seconds to load Vosk and its model."""
    ready_s: float
    """Seconds from the start of the process until it could listen: the sum of the three above."""
    peak_memory_mb: float
    """Peak memory of the process, MB; it grows further if a recogniser serves more utterances than the clip has."""
    available_memory_mb: float
    """Memory of the machine that was still available after the clip, MB."""
    utterances: int
    """Number of utterances that were detected in the clip and classified."""
    endpoint_to_light_median_ms: float
    """Median of the milliseconds from the arrival of the audio block that ended the pause to the prediction, as if the
    audio had come from a microphone: work that was not finished in time counts."""
    endpoint_to_light_worst_ms: float
    """Maximum of the same milliseconds."""


@dataclass(frozen=True)
class Stage:
    """Timing of one stage on the way from audio to prediction."""

    per: str
    """The amount of audio that one run processes: a `frame` of 32 ms, a `second` of speech, or an `utterance`."""
    median_ms: float
    """Median duration of a run, milliseconds."""
    p95_ms: float
    """95th percentile of the duration of a run, milliseconds."""
    runs: int
    """Number of runs that were measured."""
    core_share: float | None
    """Share of one CPU core, 0 to 1, that it uses while someone speaks; None for a stage that runs once per utterance.
    """


@dataclass(frozen=True)
class InterpreterCall:
    """Timing of the network in one runtime with one number of threads."""

    runtime: str
    """TFLite runtime, a key of `device.recognition.runtimes.RUNTIMES`."""
    threads: int
    """Number of threads of the interpreter."""
    median_ms: float
    """Median duration of a call, milliseconds."""
    p95_ms: float
    """95th percentile of the duration of a call, milliseconds."""
    selected: bool
    """Whether the settings select this runtime and number of threads."""


@dataclass(frozen=True)
class BenchmarkResults:
    """All results of one benchmark."""

    machine: Machine
    """The machine that was measured."""
    settings: MeasuredSettings
    """The settings that it was measured with."""
    cold_start: ColdStart
    """Start and latency of a fresh process."""
    stages: Mapping[str, Stage]
    """Stages by name, in the order of the work: loudness_gate, voice_detector, mel_spectrogram, spectrogram_image,
    vosk_feed, vosk_final_result, token_ids, interpreter."""
    core_share: float
    """Share of one CPU core that all stages together use while someone speaks; above 1, processing is slower than
    speech."""
    times_real_time: float
    """How many times faster than it is spoken speech is processed, by a recogniser that has not been used before; the
    inverse of `core_share`."""
    vosk_times_real_time: float
    """How many times faster than it is spoken Vosk alone processes speech."""
    interpreter_calls: tuple[InterpreterCall, ...]
    """One entry for each installed runtime and each power of two of threads, up to the number of cores."""
    unusable_runtimes: Mapping[str, str]
    """Reason by runtime, for installed runtimes that cannot run this bundle."""
