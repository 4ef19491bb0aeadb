"""The whole benchmark, to be called from Python as well; who is shown the figures it does not know.

Nothing heavy is imported here: the fresh process comes first and is to have the memory for itself.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from device.benchmark.cold_start import rehearse
from device.benchmark.results import Benchmark, Choice, Stage
from device.settings.schema import Settings
from device.system.machine import this_machine

_SHARE_OF_CALLS = 0.3
"""Of the time, for the interpreters; the rest is for the other stages."""

STEPS = ("a fresh edge-mcnn starts and listens", "the interpreters", "the stages, one by one")
"""What is done, one after the other."""

Announce = Callable[[str], None]
"""Takes one line for the user."""


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def benchmark(
    settings: Settings,
    *,
    seconds: float = 10.0,
    progress: Announce = lambda _: None,
    announce: Announce = _announce,
) -> Benchmark:
    """Measure this machine. Loading comes on top of `seconds`, and on a slow board hearing the clip twice.

    Args:
        settings: of the daemon.
        seconds: for which stages are repeated; each runs at least once.
        progress: is told which of `STEPS` begins.
        announce: is told if the speech model must be fetched.

    Raises:
        BenchmarkError: a fresh edge-mcnn cannot start, or is killed.
        EdgeMcnnError: the bundle, the interpreter or the speech model cannot be used, as their errors say.
    """
    from device.bundle import DEFAULT_BUNDLE, read_bundle
    from device.recognition.speech_model import fetch as speech_model

    path = Path(settings.classifier.model).expanduser() if settings.classifier.model else DEFAULT_BUNDLE
    read_bundle(path)  # before much is fetched
    configured = settings.transcriber.speech_model
    speech_model.find(Path(configured).expanduser() if configured else None, announce=announce)
    progress(STEPS[0])
    rehearsal = rehearse(settings)

    from device.benchmark import stages

    bundle = read_bundle(path)
    progress(STEPS[1])
    machine = this_machine()
    calls, unusable, interpreter = stages.interpreter_calls(
        settings, bundle, stages.installed_runtimes(), machine.cores, _SHARE_OF_CALLS * seconds
    )
    progress(STEPS[2])
    found = stages.stages(settings, bundle, (1 - _SHARE_OF_CALLS) * seconds, announce)
    share = _core_share(found)
    return Benchmark(
        machine=machine,
        settings=Choice(
            model=settings.classifier.model,
            runtime=next(call.runtime for call in calls if call.selected),
            threads=settings.classifier.threads,
            search=settings.transcriber.search,
            utterances_per_recogniser=settings.transcriber.utterances_per_recogniser,
        ),
        rehearsal=rehearsal,
        stages={**found, "interpreter": interpreter},
        core_share=round(share, 4),
        real_time_factor=round(1 / share, 2),
        vosk_real_time_factor=round(1 / _core_share({"vosk_feed": found["vosk_feed"]}), 2),
        interpreter_calls=tuple(calls),
        unusable_runtimes=unusable,
    )


def _core_share(stages: Mapping[str, Stage]) -> float:
    return sum(each.core_share for each in stages.values() if each.core_share is not None)
