"""What the figures mean, in plain words, and what to do about them."""

from dataclasses import dataclass

from device.benchmark.results import Benchmark, InterpreterCall
from device.settings.schema import TranscriberSettings

LEAST_REAL_TIME_FACTOR = 1.3
"""The rest is for sound system, lights, and what else a machine does in between."""
MIN_AVAILABLE_MB = 100.0
_CLEARLY = 1.2
"""Times faster; less than that is a matter of luck."""
_NOTICED_MS = 1.0
"""Nobody notices an answer that comes less than this sooner."""
_SLOW_CALL_MS = 20.0
_USUAL_UTTERANCES = TranscriberSettings().utterances_per_recogniser
_QUICKER_RUNTIME = "ai-edge-litert"


@dataclass(frozen=True)
class Verdict:
    """Of a benchmark."""

    keeps_up: bool
    """Whether speech is heard faster than it is spoken, with something to spare."""
    enough_memory: bool
    """Whether memory is left over while it listens."""
    lines: tuple[str, ...]
    """Sentences: how it is, then what to do, if there is anything."""


def verdict(benchmark: Benchmark) -> Verdict:
    """Judge the figures."""
    keeps_up = benchmark.real_time_factor >= LEAST_REAL_TIME_FACTOR
    enough_memory = benchmark.rehearsal.available_mb >= MIN_AVAILABLE_MB
    lines = [_speed(benchmark, keeps_up=keeps_up)]
    if not keeps_up:
        lines.append(_faster(benchmark, enough_memory=enough_memory))
    if not enough_memory:
        lines.append(_smaller(benchmark))
    if better := better_call(benchmark.interpreter_calls):
        now = next(call for call in benchmark.interpreter_calls if call.selected)
        wanted = [f'runtime = "{better.runtime}"'] if better.runtime != now.runtime else []
        wanted += [f"threads = {better.threads}"] if better.threads != now.threads else []
        lines.append(
            f"The network answers in {milliseconds(better.median_ms)} instead of {milliseconds(now.median_ms)} with "
            f"these settings: [classifier] {', '.join(wanted)}."
        )
    elif benchmark.stages["interpreter"].median_ms >= _SLOW_CALL_MS and _can_have_quicker_runtime(benchmark):
        lines.append(
            f"The network takes {milliseconds(benchmark.stages['interpreter'].median_ms)}; LiteRT is often several "
            f"times faster: pip install {_QUICKER_RUNTIME}."
        )
    return Verdict(keeps_up, enough_memory, tuple(lines))


def better_call(calls: tuple[InterpreterCall, ...]) -> InterpreterCall | None:
    """The fastest call, if it is clearly and noticeably faster than what the settings choose."""
    now = next((call for call in calls if call.selected), None)
    if now is None:
        return None
    best = min(calls, key=lambda call: call.median_ms)
    clearly = now.median_ms > _CLEARLY * best.median_ms and now.median_ms - best.median_ms >= _NOTICED_MS
    return best if clearly else None


def milliseconds(value: float) -> str:
    """With two digits that mean something."""
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2g} ms"


def _speed(benchmark: Benchmark, *, keeps_up: bool) -> str:
    factor, answered = benchmark.real_time_factor, milliseconds(benchmark.rehearsal.endpoint_to_light_median_ms)
    if keeps_up:
        return (
            f"This machine keeps up with {factor:.1f} times real time; an utterance is answered in {answered} after "
            "the pause."
        )
    lost = "so sound is lost when someone speaks for long" if factor < 1 else "which leaves too little for other work"
    return (
        f"This machine does not keep up: it hears speech at {factor:.2f} times real time, {lost}. An utterance is "
        f"answered in {answered} after the pause."
    )


def _faster(benchmark: Benchmark, *, enough_memory: bool) -> str:
    chosen = benchmark.settings
    todo = []
    if chosen.search != "quick":
        todo.append('set [transcriber] search = "quick"')
    if chosen.utterances_per_recogniser < _USUAL_UTTERANCES and enough_memory:
        todo.append(
            f"set [transcriber] utterances_per_recogniser = {_USUAL_UTTERANCES}, which saves time where words return "
            "(this figure leaves that out)"
        )
    if benchmark.machine.bits == 32:
        todo.append("install a 64-bit system")
    todo.append("close other programs, and see that the board is cooled and gets enough current")
    return f"What helps: {'; '.join(todo)}."


def _smaller(benchmark: Benchmark) -> str:
    todo = []
    if benchmark.settings.utterances_per_recogniser > 1:
        todo.append("set [transcriber] utterances_per_recogniser = 1, which takes less memory and more time")
    todo.append("close other programs (a service of edge-mcnn that runs is one), or use a system without a desktop")
    return (
        f"Memory is short: {benchmark.rehearsal.available_mb:.0f} MB are available while it listens, and "
        f"{MIN_AVAILABLE_MB:.0f} should be. What helps: {'; '.join(todo)}."
    )


def _can_have_quicker_runtime(benchmark: Benchmark) -> bool:
    known = (*(call.runtime for call in benchmark.interpreter_calls), *benchmark.unusable_runtimes)
    return _QUICKER_RUNTIME not in known
