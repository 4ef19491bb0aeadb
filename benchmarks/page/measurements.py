"""Runs everything that `make bench` measures, one subject after the other, in rounds; independent of the goals."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.interpreter import call_ms
from benchmarks.listening import ListeningCost
from benchmarks.listening import measure as measure_listening
from benchmarks.processes import running
from device.bundle import DEFAULT_BUNDLE
from device.settings.schema import Settings
from tests.conftest import CLIPS

SHIPPED, TUTORIAL = "shipped", "tutorial"
_HELP_CALLS = 5
_CALLS = 60


@dataclass
class Measurements:
    """Raw results; lists have one value for each round, or several."""

    listening: dict[str, ListeningCost] = field(default_factory=dict)
    """Cost of listening, by subject."""
    live_ready_s: list[float] = field(default_factory=list)
    """Seconds from the start of the tutorial's live path until it can predict."""
    live_first_ms: list[float] = field(default_factory=list)
    """Milliseconds for its first prediction."""
    live_warm_ms: list[float] = field(default_factory=list)
    """Milliseconds for every later prediction."""
    live_peak_mb: list[float] = field(default_factory=list)
    """Its peak memory, MB."""
    call_ms: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds for each call of the bare interpreter, by network."""
    classify_s: list[float] = field(default_factory=list)
    """Seconds for a complete run of `edge-mcnn classify` on the recordings."""
    classified_s: float = 0.0
    """Total length of those recordings, seconds."""
    help_s: list[float] = field(default_factory=list)
    """Seconds for a complete run of `edge-mcnn --help`."""
    import_s: list[float] = field(default_factory=list)
    """Seconds for a Python process that imports typer and rich, in turns with it."""
    conversion: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.conversion.cost`."""
    training: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.training.cost`."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.training.evaluation`."""
    history: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.watch.growth`."""
    preview: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.response.preview`."""
    growth: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.growth`."""
    images: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.images`."""
    search: dict[str, dict[str, float]] = field(default_factory=dict)
    """Output of `benchmarks.search`."""
    instructions: dict[str, float] = field(default_factory=dict)
    """Output of `benchmarks.instructions`."""
    recognisers: dict[str, Any] = field(default_factory=dict)
    """Output of `benchmarks.recognisers`."""
    board: dict[str, Any] = field(default_factory=dict)
    """Output of `edge-mcnn benchmark --json`."""


def measure(rounds: int, folder: Path, announce: Callable[[str], None]) -> Measurements:
    """Measure everything, which takes about half an hour.

    Args:
        rounds: number of turns of each subject.
        folder: an empty folder for the tutorial's network, about 100 MB.
        announce: called with a line for the user when a measurement begins.
    """
    found = Measurements()
    announce("creating and converting the tutorial's network")
    keras, bundle = folder / "Model.h5", folder / "Model.tflite"
    _python("-c", f"import pathlib, benchmarks.tutorial as t; t.write_network(pathlib.Path({str(keras)!r}))")
    _python("-m", "edge_mcnn", "convert", str(keras))
    clips = sorted(CLIPS.glob("*.flac"))
    for number in range(rounds):
        announce(f"single predictions, round {number + 1} of {rounds}")
        _live(found, keras, clips)
        for network, path in ((TUTORIAL, bundle), (SHIPPED, DEFAULT_BUNDLE)):
            threads = Settings().classifier.threads
            found.call_ms.setdefault(network, []).extend(call_ms(path, threads=threads, calls=_CALLS))
        for _ in range(_HELP_CALLS):
            found.help_s.append(_seconds("-m", "edge_mcnn", "--help"))
            found.import_s.append(_seconds("-c", "import typer, rich"))
        found.classify_s.append(_seconds("-m", "edge_mcnn", "classify", "--json", *map(str, clips)))
    found.classified_s = sum(_length_s(clip) for clip in clips)
    found.listening = measure_listening(rounds, bundle, announce)
    for name in ("growth", "images", "search", "instructions", "recognisers"):
        announce(f"benchmarks.{name}")
        setattr(found, name, json.loads(_python("-m", f"benchmarks.{name}")))
    for name, module in (
        ("conversion", "conversion.cost"),
        ("training", "training.cost"),
        ("evaluation", "training.evaluation"),
        ("history", "watch.growth"),
    ):
        announce(f"benchmarks.{module}")
        setattr(found, name, json.loads(_python("-m", f"benchmarks.{module}")))
    announce("benchmarks.response.preview")
    found.preview = json.loads(_python("-m", "benchmarks.response.preview", str(CLIPS), "--json"))
    announce("edge-mcnn benchmark")
    found.board = json.loads(_python("-m", "edge_mcnn", "benchmark", "--json"))
    return found


def _live(found: Measurements, keras: Path, clips: list[Path]) -> None:
    """Measure one process of the tutorial's live path."""
    command = [sys.executable, "-m", "benchmarks.tutorial", str(keras), "3", *map(str, clips)]
    with running(command, {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, "ready\n") as process:
        found.live_ready_s.append(process.ready_s)
        latencies_ms: list[float] = []
        while len(latencies_ms) < 3 * len(clips):
            line = process.lines.get(timeout=120)
            if line.startswith("{"):
                latencies_ms.append(json.loads(line)["ms"])
        found.live_peak_mb.append(process.peak_mb())
    found.live_first_ms.append(latencies_ms[0])
    found.live_warm_ms += latencies_ms[1:]


def _python(*arguments: str) -> str:
    """Run a Python process and return its standard output."""
    return subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, check=True, text=True).stdout


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    _python(*arguments)
    return time.perf_counter() - started


def _length_s(clip: Path) -> float:
    import soundfile

    return float(soundfile.info(clip).duration)
