"""What was to be reached, as ratios within one run, and whether it was."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import growth, listening
from benchmarks.figures import Figure
from benchmarks.measurements import TUTORIAL, Measurements
from benchmarks.pictures import OURS as OUR_PICTURES
from benchmarks.pictures import THEIRS as THEIR_PICTURES


@dataclass(frozen=True)
class Goal:
    """One of them."""

    what: str
    """In words."""
    wanted: str
    """The figure and its unit."""
    found: str
    """Likewise."""
    met: bool
    """Whether what was found is as wanted."""


def goals(found: Measurements) -> Iterator[Goal]:
    """All goals, in the order of the table."""
    ours, tutorial = found.listening[listening.OURS], found.listening[listening.OURS_TUTORIAL]
    vosk, wake_word = found.listening[listening.VOSK], found.listening.get(listening.WAKE_WORD)

    light, call = Figure.of(tutorial.latencies_ms), Figure.of(found.call_ms[TUTORIAL])
    warm = Figure.of(found.live_warm_ms)
    what = "end of the pause to light, tutorial's network"
    most = 1.15 * call.median + 3
    yield Goal(what, f"<= {most:.1f} ms (1.15 calls + 3)", f"{light.median:.1f} ms", light.median <= most)
    faster = warm.median / light.median
    yield Goal(what, ">= 30 x faster than its live path", f"{faster:.0f} x", faster >= 30)
    light = Figure.of(ours.latencies_ms)
    what = "the same, the network that ships"
    yield Goal(what, "<= 5 ms", f"{light.median:.1f} ms", light.median <= 5)
    yield Goal(what, "95th percentile <= 2 medians", f"{light.p95:.1f} ms", light.p95 <= 2 * light.median)

    start, alone = Figure.of(ours.ready_s), Figure.of(vosk.ready_s)
    live = Figure.of(found.live_ready_s)
    more = start.median - alone.median
    what = "process start to listening"
    yield Goal(what, "<= 1.0 s more than Vosk alone", f"{more:+.2f} s", more <= 1)
    sooner = live.median / start.median
    yield Goal(what, ">= 10 x sooner than the tutorial's path", f"{sooner:.0f} x", sooner >= 10)

    quiet = Figure.of(ours.cpu[listening.QUIET])
    what = "CPU, quiet room"
    yield Goal(what, "<= 0.3 % of a core", f"{quiet.median:.2%}", quiet.median <= 0.003)
    if wake_word is not None:
        share = quiet.median / Figure.of(wake_word.cpu[listening.QUIET]).median
        yield Goal(what, "<= 1/5 of openWakeWord", f"1/{1 / share:.0f}", share <= 1 / 5)
    for what, scene, most in (
        ("CPU, someone speaks", listening.SPEECH, 1.1),
        ("CPU, loud noise", listening.NOISE, 0.5),
    ):
        ratio = Figure.of(ours.cpu[scene]).median / Figure.of(vosk.cpu[scene]).median
        yield Goal(what, f"<= {most:.2f} x Vosk fed always", f"{ratio:.2f} x", ratio <= most)
    ratio = Figure.of(ours.peak_mb).median / Figure.of(vosk.peak_mb).median
    yield Goal("peak memory", "<= 1.15 x Vosk alone", f"{ratio:.2f} x", ratio <= 1.15)

    hours = found.growth["hours"]
    for name in (growth.QUIET, growth.TALK):
        first, last = (Figure.of(hours[key]).median for key in hours if key.startswith(f"{name},"))
        yield Goal(f"CPU per second, {name}, after 10 h", "as at first", f"{last / first:.2f} x", last / first <= 1.1)
    fit = growth.fit({int(length): Figure.of(costs).median for length, costs in found.growth["lengths"].items()})
    yield Goal(
        "CPU per utterance by its length",
        "linear",
        f"{fit.fixed_s:.2f} s + {fit.per_second_s:.3f} s per second, off by {fit.largest_miss:.0%} at most",
        fit.largest_miss <= 0.15,
    )

    shown = Figure.of(found.help_s)
    yield Goal("edge-mcnn --help", "<= 0.3 s", f"{shown.median:.2f} s", shown.median <= 0.3)
    faster = Figure.of(found.pictures[THEIR_PICTURES]).median / Figure.of(found.pictures[OUR_PICTURES]).median
    what = "training's pictures, per clip"
    yield Goal(what, ">= 20 x faster than librosa and Matplotlib", f"{faster:.1f} x", faster >= 20)
