"""Runs the benchmark; independent of how the results are shown.

Nothing heavy is imported when this module is: the fresh process runs first and needs the memory for itself.
"""

from collections.abc import Callable, Mapping

from device.benchmark.cold_start import measure_cold_start
from device.benchmark.results import BenchmarkResults, MeasuredSettings, Stage
from device.recognition.runtimes import RUNTIMES, installed_runtimes
from device.settings.schema import Settings
from device.system.machine import this_machine
from device.system.paths import expanded
from device.system.streams.stderr import announce as announce_to_stderr

_INTERPRETER_SHARE = 0.3
"""Share of the measuring time for the interpreters; the other stages use the rest."""

PHASES = ("cold start of edge-mcnn", "interpreters", "stages, one by one")
"""The parts of the benchmark, in the order in which they run."""

Announce = Callable[[str], None]
"""Prints one line for the user."""


def benchmark(
    settings: Settings,
    *,
    seconds: float = 10.0,
    entry_point: str = "",
    progress: Announce = lambda _: None,
    announce: Announce = announce_to_stderr,
) -> BenchmarkResults:
    """Measure this machine. Loading takes extra time, and on a slow board processing the clip twice does.

    Args:
        settings: the daemon's settings.
        seconds: the time for which the stages are repeated; each runs at least once.
        entry_point: module that starts the daemon, whose import counts as part of the cold start; empty for the daemon
            alone.
        progress: called with an element of `PHASES` when that phase begins.
        announce: called with a line for the user if the speech model must be fetched.

    Raises:
        BenchmarkError: a fresh edge-mcnn process cannot start, or is killed.
        EdgeMcnnError: the bundle, the interpreter or the speech model cannot be used; a subclass for each.
    """
    from device.bundle import bundle_path, read_bundle
    from device.recognition.speech_model.fetch import find_speech_model

    path = bundle_path(settings.classifier.model)
    read_bundle(path)  # an unusable bundle is reported before the speech model is fetched
    configured = settings.transcriber.speech_model
    find_speech_model(expanded(configured) if configured else None, announce=announce)
    progress(PHASES[0])
    cold_start = measure_cold_start(settings, entry_point)

    from device.benchmark.stages import measure_interpreters, measure_stages

    bundle = read_bundle(path)
    progress(PHASES[1])
    machine = this_machine(("edge-mcnn", *RUNTIMES, "vosk", "numpy"))
    calls, unusable, interpreter = measure_interpreters(
        settings, bundle, installed_runtimes(), machine.cores, _INTERPRETER_SHARE * seconds
    )
    progress(PHASES[2])
    stages = measure_stages(settings, bundle, (1 - _INTERPRETER_SHARE) * seconds, announce)
    core_share = _core_share(stages)
    return BenchmarkResults(
        machine=machine,
        settings=MeasuredSettings(
            model=settings.classifier.model,
            runtime=next(call.runtime for call in calls if call.selected),
            threads=settings.classifier.threads,
            search=settings.transcriber.search,
            utterances_per_recogniser=settings.transcriber.utterances_per_recogniser,
        ),
        cold_start=cold_start,
        stages={**stages, "interpreter": interpreter},
        core_share=round(core_share, 4),
        times_real_time=round(1 / core_share, 2),
        vosk_times_real_time=round(1 / _core_share({"vosk_feed": stages["vosk_feed"]}), 2),
        interpreter_calls=tuple(calls),
        unusable_runtimes=unusable,
    )


def _core_share(stages: Mapping[str, Stage]) -> float:
    return sum(stage.core_share for stage in stages.values() if stage.core_share is not None)
