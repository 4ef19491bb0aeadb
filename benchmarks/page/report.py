"""Writes the results as a Markdown page with charts."""

import datetime as dt
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks import images, listening
from benchmarks.conversion.cost import OURS as OUR_CONVERSION
from benchmarks.conversion.cost import PLAIN as PLAIN_CONVERSION
from benchmarks.page.curves import draw
from benchmarks.page.goals import goals
from benchmarks.page.measurements import SHIPPED, TUTORIAL, Measurements
from benchmarks.page.summary import Summary
from benchmarks.page.training_tables import training_tables
from device.recognition.runtimes import RUNTIMES

REPORT, CHART, GROWTH, COUNTED = "RESULTS.md", "results.png", "growth.png", "instructions/counted.json"
"""Files of the report in its folder; the last one holds the instructions that were counted, for the next report."""
_PACKAGES = ("edge-mcnn", "vosk", *RUNTIMES, "numpy", "tensorflow", "librosa", "matplotlib")


def write(found: Measurements, rounds: int, folder: Path) -> Path:
    """Write the page and its charts into a folder, and return the path of the page."""
    _draw(found, folder / CHART)
    draw(found, folder / GROWTH)
    page, counted = folder / REPORT, folder / COUNTED
    before = json.loads(counted.read_text(encoding="utf-8")) if counted.exists() else {}
    page.write_text("\n".join(_lines(found, rounds, before)) + "\n", encoding="utf-8")
    if found.instructions:
        counted.parent.mkdir(exist_ok=True)
        counted.write_text(json.dumps({**before, **found.instructions}, indent=2) + "\n", encoding="utf-8")
    return page


def _lines(found: Measurements, rounds: int, before: Mapping[str, float]) -> Iterator[str]:
    machine = found.board["machine"]
    yield "# Results"
    yield ""
    system = f"{platform.system()} {machine['architecture']}, Python {platform.python_version()}"
    yield f"`make bench`, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {rounds} rounds in turns, on {machine['name']},"
    yield f"{machine['cores']} cores, {system}, {', '.join(_versions())}."
    yield "Medians, with minimum and maximum in brackets. CPU is CPU seconds per second, all threads together; the"
    yield "microphone is a virtual one, and the cost of its client library is part of every result."
    yield ""
    yield from _table(
        ("quantity", "target", "result", ""),
        [(goal.quantity, goal.target, goal.result, "met" if goal.met else "**not met**") for goal in goals(found)],
    )
    yield f"![CPU, start and memory side by side]({CHART})"
    yield ""
    yield "## Listening"
    yield ""
    scenes = (listening.QUIET, listening.SPEECH, listening.NOISE)
    yield from _table(
        ("", *(f"{scene}, % of a core" for scene in scenes), "peak MB", "s to start", "ms pause to light", "95th p."),
        [
            (
                subject,
                *(_cpu(cost, scene) for scene in scenes),
                Summary.of(cost.peak_mb).text(".0f"),
                Summary.of(cost.ready_s).text(".2f"),
                *_latencies(cost),
            )
            for subject, cost in found.listening.items()
        ],
    )  # fmt: skip
    yield "## One prediction"
    yield ""
    classify = Summary.of(found.classify_s)
    yield from _table(
        ("", "result"),
        [
            ("the tutorial's live path: s to load", Summary.of(found.live_ready_s).text()),
            ("ms for its first clip", Summary.of(found.live_first_ms).text(".0f")),
            ("ms for each later one", Summary.of(found.live_warm_ms).text(".0f")),
            ("peak MB, without any speech recognition", Summary.of(found.live_peak_mb).text(".0f")),
            ("bare interpreter, tutorial's network: ms", Summary.of(found.call_ms[TUTORIAL]).text(".2f")),
            ("bare interpreter, shipped network: ms", Summary.of(found.call_ms[SHIPPED]).text(".2f")),
            (
                f"`edge-mcnn classify`, {found.classified_s:.0f} s of recordings: s, including the start",
                classify.text(".2f"),
            ),
        ],
    )
    yield "## Stage by stage (`edge-mcnn benchmark`)"
    yield ""
    yield from _table(
        ("stage", "per", "median ms", "95th percentile ms"),
        [
            (name.replace("_", " "), stage["per"], f"{stage['median_ms']:.3g}", f"{stage['p95_ms']:.3g}")
            for name, stage in found.board["stages"].items()
        ],
    )
    if found.instructions:
        yield "## Instructions (`python -m benchmarks.instructions`)"
        yield ""
        yield "Counted by an emulator, so that other load on the machine changes nothing; without the sound system."
        yield ""
        yield from _table(
            ("audio", "millions per second", "in the report before", "change"),
            [(name, f"{now:.2f}", *_compared(now, before.get(name))) for name, now in found.instructions.items()],
        )
    yield "## Growth (`python -m benchmarks.growth`)"
    yield ""
    yield f"![Cost by the amount of work, each with a line through the measurements]({GROWTH})"
    yield ""
    yield from _table(
        ("audio", "CPU ms per second"),
        [(name, Summary.of(values).text(".3g", 1000)) for name, values in found.growth["hours"].items()],
    )
    yield from _table(
        ("utterance of", "CPU ms"),
        [(f"{length} s", Summary.of(values).text(".0f", 1000)) for length, values in found.growth["lengths"].items()],
    )
    yield "## Conversion (`python -m benchmarks.conversion.cost`)"
    yield ""
    costs = {name: found.conversion[name] for name in (PLAIN_CONVERSION, OUR_CONVERSION)}
    costs |= {f"{int(size) / 1000:.1f} MB": [cost] for size, cost in found.conversion["growth"].items()}
    keys = ("wall_s", "cpu_s", "largest_mb", "together_mb")
    yield from _table(
        ("", "s", "CPU s", "peak MB of the largest process", "peak MB of all processes"),
        [
            (name, *(Summary.of([cost[key] for cost in runs]).text(".0f") for key in keys))
            for name, runs in costs.items()
        ],
    )
    for title, header, rows in training_tables(found):
        yield f"## {title}"
        yield ""
        yield from _table(header, rows)
    yield "## Vosk's search (`python -m benchmarks.search`)"
    yield ""
    [conditions] = {tuple(key for key in rates if key != "cpu") for rates in found.search.values()}
    yield from _table(
        ("`[transcriber] search`", *(f"word errors, {condition}" for condition in conditions), "CPU ms per second"),
        [
            (search, *(f"{rates[condition]:.1%}" for condition in conditions), f"{rates['cpu'] * 1000:.0f}")
            for search, rates in found.search.items()
        ],
    )
    yield "## Recognisers (`python -m benchmarks.recognisers`)"
    yield ""
    yield "Lights on boards that are slower by a factor: how late the words are, on average and at worst."
    yield ""
    first = found.recognisers["first"]
    [factors] = {tuple(each["late_ms"]) for each in first.values()}
    yield from _table(
        ("recogniser", "CPU ms per utterance", *(f"ms late, {factor} x slower" for factor in factors)),
        [
            (
                name,
                f"{each['cpu_ms']:.0f}",
                *(f"{mean:.0f} ({worst:.0f})" for mean, worst in (each["late_ms"][factor] for factor in factors)),
            )
            for name, each in first.items()
        ],
    )
    yield from _table(
        ("`[transcriber] utterances_per_recogniser`", "CPU ms per second of speech", "peak MB", "MB after loading"),
        [
            (number, f"{life['cpu'] * 1000:.0f}", f"{life['peak_mb']:.0f}", f"{life['loaded_mb']:.0f}")
            for number, life in found.recognisers["lives"].items()
        ],
    )
    yield "## Training's spectrogram images (`python -m benchmarks.images`)"
    yield ""
    count, length_s = found.images[images.CLIPS_COUNT], found.images[images.CLIP_S]
    yield f"{count:,} clips of {length_s:.1f} s on average, with the start of processes; theirs is one process."
    yield ""
    faster = {name: f"{ratio:.1f}" for name, ratio in found.images[images.FASTER].items()}
    yield from _table(
        ("", "ms per clip", "times faster"),
        [
            (name, Summary.of(values).text(".2f"), faster.get(name, ""))
            for name, values in found.images[images.MS].items()
        ],
    )


def _versions() -> Iterator[str]:
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # tflite-runtime has no wheel for every Python
            yield f"{package} {version(package)}"


def _compared(now: float, before: float | None) -> tuple[str, str]:
    return ("", "") if before is None else (f"{before:.2f}", f"{now / before - 1:+.1%}")


def _cpu(cost: listening.ListeningCost, scene: str) -> str:
    return Summary.of(cost.cpu[scene]).text(".2f", 100) if scene in cost.cpu else ""


def _latencies(cost: listening.ListeningCost) -> tuple[str, str]:
    if not cost.latencies_ms:
        return "", ""
    latency = Summary.of(cost.latencies_ms)
    return latency.text(), f"{latency.p95:.1f}"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def _draw(found: Measurements, path: Path) -> None:
    """Draw a bar chart for each quantity, with a bar for each subject."""
    mpl.use("Agg")
    charts: dict[str, dict[str, float]] = {}
    for subject, cost in found.listening.items():
        for scene, values in cost.cpu.items():
            charts.setdefault(f"CPU, {scene}: % of a core", {})[subject] = Summary.of(values).median * 100
        charts.setdefault("memory: MB", {})[subject] = Summary.of(cost.peak_mb).median
        charts.setdefault("start: s", {})[subject] = Summary.of(cost.ready_s).median
    charts["memory: MB"]["the tutorial's live path"] = Summary.of(found.live_peak_mb).median
    charts["start: s"]["the tutorial's live path"] = Summary.of(found.live_ready_s).median
    heights = [len(bars) + 1.5 for bars in charts.values()]
    figure, axes = plt.subplots(
        len(charts), 1, figsize=(7, 0.3 * sum(heights)), height_ratios=heights, layout="constrained"
    )
    for each, (title, bars) in zip(axes, charts.items(), strict=True):
        colours = ["tab:green" if name.startswith("edge-mcnn") else "tab:grey" for name in bars]
        drawn = each.barh(list(bars), list(bars.values()), color=colours)
        each.bar_label(drawn, fmt="%.3g", padding=3, fontsize=8)
        each.set_title(title, loc="left", fontsize=9)
        each.invert_yaxis()
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
        each.margins(x=0.12)
    figure.savefig(path, dpi=110)
    plt.close(figure)
