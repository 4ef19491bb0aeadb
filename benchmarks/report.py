"""Writes what was measured as a page of Markdown with a picture."""

import datetime as dt
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks import listening
from benchmarks.figures import Figure
from benchmarks.goals import goals
from benchmarks.measurements import SHIPPED, TUTORIAL, Measurements

REPORT, PICTURE = "RESULTS.md", "results.png"
_PACKAGES = ("edge-mcnn", "vosk", "ai-edge-litert", "tflite-runtime", "numpy", "tensorflow", "librosa", "matplotlib")


def write(found: Measurements, rounds: int, folder: Path) -> Path:
    """Write the page and its picture into a folder, and give the page's path."""
    _draw(found, folder / PICTURE)
    page = folder / REPORT
    page.write_text("\n".join(_lines(found, rounds)) + "\n", encoding="utf-8")
    return page


def _lines(found: Measurements, rounds: int) -> Iterator[str]:
    machine = found.board["machine"]
    yield "# Results"
    yield ""
    system = f"{platform.system()} {machine['architecture']}, Python {platform.python_version()}"
    yield f"`make bench`, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {rounds} rounds in turns, on {machine['name']},"
    yield f"{machine['cores']} cores, {system}, {', '.join(_versions())}."
    yield "Medians; in brackets the least and the most. CPU is CPU seconds per second, all threads together; the"
    yield "microphone is a virtual one, whose client library takes a share of every figure."
    yield ""
    yield from _table(
        ("what", "wanted", "found", ""),
        [(goal.what, goal.wanted, goal.found, "met" if goal.met else "**not met**") for goal in goals(found)],
    )
    yield f"![CPU, start and memory side by side]({PICTURE})"
    yield ""
    yield "## Listening"
    yield ""
    scenes = (listening.QUIET, listening.SPEECH, listening.NOISE)
    yield from _table(
        ("", *(f"{scene}, % of a core" for scene in scenes), "peak MB", "s to start", "ms pause to light", "95th p."),
        [
            (
                subject,
                *(_cpu(heard, scene) for scene in scenes),
                Figure.of(heard.peak_mb).told(".0f"),
                Figure.of(heard.ready_s).told(".2f"),
                *_latencies(heard),
            )
            for subject, heard in found.listening.items()
        ],
    )  # fmt: skip
    yield "## One answer"
    yield ""
    classify = Figure.of(found.classify_s)
    yield from _table(
        ("", "found"),
        [
            ("the tutorial's live path: s to load", Figure.of(found.live_ready_s).told()),
            ("ms for its first clip", Figure.of(found.live_first_ms).told(".0f")),
            ("ms for each later one", Figure.of(found.live_warm_ms).told(".0f")),
            ("peak MB, without any speech recognition", Figure.of(found.live_peak_mb).told(".0f")),
            ("bare interpreter, tutorial's network: ms", Figure.of(found.call_ms[TUTORIAL]).told(".2f")),
            ("bare interpreter, the network that ships: ms", Figure.of(found.call_ms[SHIPPED]).told(".2f")),
            (
                f"`edge-mcnn classify`, {found.classified_s:.0f} s of recordings: s, start included",
                classify.told(".2f"),
            ),
        ],
    )
    yield "## Each stage by itself (`edge-mcnn benchmark`)"
    yield ""
    yield from _table(
        ("stage", "for each", "median ms", "95th percentile ms"),
        [
            (name.replace("_", " "), stage["per"], f"{stage['median_ms']:.3g}", f"{stage['p95_ms']:.3g}")
            for name, stage in found.board["stages"].items()
        ],
    )
    yield "## Growth (`python -m benchmarks.growth`)"
    yield ""
    yield from _table(
        ("sound", "CPU ms per second"),
        [(name, Figure.of(values).told(".3g", 1000)) for name, values in found.growth["hours"].items()],
    )
    yield from _table(
        ("utterance of", "CPU ms"),
        [(f"{length} s", Figure.of(values).told(".0f", 1000)) for length, values in found.growth["lengths"].items()],
    )
    yield "## The search for words (`python -m benchmarks.search`)"
    yield ""
    [noises] = {tuple(key for key in rates if key != "cpu") for rates in found.search.values()}
    yield from _table(
        ("`[transcriber] search`", *(f"word errors, {noise}" for noise in noises), "CPU ms per second"),
        [
            (search, *(f"{rates[noise]:.1%}" for noise in noises), f"{rates['cpu'] * 1000:.0f}")
            for search, rates in found.search.items()
        ],
    )
    yield "## Training's pictures (`python -m benchmarks.pictures`)"
    yield ""
    yield from _table(
        ("", "ms per clip"), [(name, Figure.of(values).told(".2f")) for name, values in found.pictures.items()]
    )


def _versions() -> Iterator[str]:
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):  # tflite-runtime has no wheel for every Python
            yield f"{package} {version(package)}"


def _cpu(heard: listening.Heard, scene: str) -> str:
    return Figure.of(heard.cpu[scene]).told(".2f", 100) if scene in heard.cpu else ""


def _latencies(heard: listening.Heard) -> tuple[str, str]:
    if not heard.latencies_ms:
        return "", ""
    figure = Figure.of(heard.latencies_ms)
    return figure.told(), f"{figure.p95:.1f}"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def _draw(found: Measurements, path: Path) -> None:
    """A bar for each subject that a figure was measured of."""
    mpl.use("Agg")
    charts: dict[str, dict[str, float]] = {}
    for subject, heard in found.listening.items():
        for scene, values in heard.cpu.items():
            charts.setdefault(f"CPU, {scene}: % of a core", {})[subject] = Figure.of(values).median * 100
        charts.setdefault("memory: MB", {})[subject] = Figure.of(heard.peak_mb).median
        charts.setdefault("start: s", {})[subject] = Figure.of(heard.ready_s).median
    charts["memory: MB"]["the tutorial's live path"] = Figure.of(found.live_peak_mb).median
    charts["start: s"]["the tutorial's live path"] = Figure.of(found.live_ready_s).median
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
