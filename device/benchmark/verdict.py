"""Judges the results of the benchmark, in plain sentences, with advice where something can be improved."""

from dataclasses import dataclass

from device.benchmark.results import BenchmarkResults, InterpreterCall
from device.recognition.runtimes import LITERT
from device.settings.schema import TranscriberSettings
from device.system.durations import duration_text
from device.system.throttling import Throttling

MIN_TIMES_REAL_TIME = 1.3
"""The reserve is for the sound system, the lights, and other work of the machine."""
MIN_AVAILABLE_MB = 100.0
"""Megabytes that should stay available on the machine while it listens."""
_MIN_SPEED_UP = 1.2
"""How many times faster a call must be to be recommended; less may be measurement noise."""
_MIN_SAVING_MS = 1.0
"""Milliseconds that a call must save to be recommended; less is not noticeable."""
_SLOW_CALL_MS = 20.0
_DEFAULT_UTTERANCES = TranscriberSettings().utterances_per_recogniser


@dataclass(frozen=True)
class BenchmarkVerdict:
    """What the results mean for the user."""

    keeps_up: bool
    """Whether speech is processed faster than it is spoken, with some reserve."""
    enough_memory: bool
    """Whether the machine has memory left while it listens."""
    lines: tuple[str, ...]
    """Sentences: the verdict first, then advice, if there is any."""


def judge(results: BenchmarkResults, throttling: Throttling | None = None) -> BenchmarkVerdict:
    """Judge the results.

    Args:
        results: the results.
        throttling: what the firmware of a Raspberry Pi reports after the measurement; None on other machines.
    """
    keeps_up = results.times_real_time >= MIN_TIMES_REAL_TIME
    enough_memory = results.cold_start.available_memory_mb >= MIN_AVAILABLE_MB
    lines = [_speed(results, keeps_up=keeps_up)]
    if not keeps_up:
        lines.append(_advice_for_speed(results, enough_memory=enough_memory))
    if not enough_memory:
        lines.append(_advice_for_memory(results))
    if throttling is not None and (throttling.slowed or throttling.low_voltage):
        cause, cure = ("its supply voltage is low", "another power supply")
        if not throttling.low_voltage:
            cause, cure = ("it is hot", "better cooling")
        lines.append(f"This machine is slowed down because {cause}; {cure} makes it faster, see: edge-mcnn doctor.")
    if better := _better_call(results.interpreter_calls):
        now = next(call for call in results.interpreter_calls if call.selected)
        changes = [f'runtime = "{better.runtime}"'] if better.runtime != now.runtime else []
        changes += [f"threads = {better.threads}"] if better.threads != now.threads else []
        lines.append(
            f"The network takes {duration_text(better.median_ms)} instead of {duration_text(now.median_ms)} with "
            f"these settings: [classifier] {', '.join(changes)}."
        )
    elif results.stages["interpreter"].median_ms >= _SLOW_CALL_MS and _lacks_faster_runtime(results):
        lines.append(
            f"The network takes {duration_text(results.stages['interpreter'].median_ms)}; LiteRT is often several "
            f"times faster: pip install {LITERT}."
        )
    return BenchmarkVerdict(keeps_up, enough_memory, tuple(lines))


def _better_call(calls: tuple[InterpreterCall, ...]) -> InterpreterCall | None:
    """The fastest call, if it is clearly and noticeably faster than the one that the settings select."""
    now = next((call for call in calls if call.selected), None)
    if now is None:
        return None
    best = min(calls, key=lambda call: call.median_ms)
    clearly = now.median_ms > _MIN_SPEED_UP * best.median_ms and now.median_ms - best.median_ms >= _MIN_SAVING_MS
    return best if clearly else None


def _speed(results: BenchmarkResults, *, keeps_up: bool) -> str:
    factor, latency = results.times_real_time, duration_text(results.cold_start.endpoint_to_light_median_ms)
    if keeps_up:
        return (
            f"This machine keeps up, at {factor:.1f} times real time; the light comes on {latency} after the pause "
            "that ends an utterance."
        )
    problem = (
        "so audio is lost when someone speaks for long" if factor < 1 else "which leaves too little for other work"
    )
    return (
        f"This machine does not keep up: it processes speech at {factor:.2f} times real time, {problem}. The light "
        f"comes on {latency} after the pause that ends an utterance."
    )


def _advice_for_speed(results: BenchmarkResults, *, enough_memory: bool) -> str:
    settings = results.settings
    advice = []
    if settings.search != "quick":
        advice.append('set [transcriber] search = "quick"')
    if settings.utterances_per_recogniser < _DEFAULT_UTTERANCES and enough_memory:
        advice.append(
            f"set [transcriber] utterances_per_recogniser = {_DEFAULT_UTTERANCES}, which saves time when words are "
            "repeated (not included in this result)"
        )
    if results.machine.bits == 32:
        advice.append("install a 64-bit system")
    advice.append("close other programs, and check the cooling and the power supply of the board")
    return f"To improve it: {'; '.join(advice)}."


def _advice_for_memory(results: BenchmarkResults) -> str:
    advice = []
    if results.settings.utterances_per_recogniser > 1:
        advice.append("set [transcriber] utterances_per_recogniser = 1, which needs less memory and more time")
    advice.append("close other programs (a running edge-mcnn service is one), or use a system without a desktop")
    return (
        f"Memory is low: {results.cold_start.available_memory_mb:.0f} MB are available while it listens, and "
        f"{MIN_AVAILABLE_MB:.0f} MB should be. To improve it: {'; '.join(advice)}."
    )


def _lacks_faster_runtime(results: BenchmarkResults) -> bool:
    installed = (*(call.runtime for call in results.interpreter_calls), *results.unusable_runtimes)
    return LITERT not in installed
