"""Everything that `make bench` measures, subject after subject, in rounds; what the figures mean it does not know."""

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
from benchmarks.listening import Heard
from benchmarks.listening import measure as measure_listening
from benchmarks.processes import running
from device.bundle import DEFAULT_BUNDLE
from device.settings.schema import Settings
from tests.conftest import CLIPS

SHIPPED, TUTORIAL = "shipped", "tutorial"
_HELPS = 5
_CALLS = 60


@dataclass
class Measurements:
    """Raw figures; lists have one figure for each round, or several."""

    listening: dict[str, Heard] = field(default_factory=dict)
    """By subject."""
    live_ready_s: list[float] = field(default_factory=list)
    """The tutorial's live path: from its start until it could answer."""
    live_first_ms: list[float] = field(default_factory=list)
    """Its first answer."""
    live_warm_ms: list[float] = field(default_factory=list)
    """Every later one."""
    live_peak_mb: list[float] = field(default_factory=list)
    """The most memory that it held."""
    call_ms: dict[str, list[float]] = field(default_factory=dict)
    """Calls of the bare interpreter, by network."""
    classify_s: list[float] = field(default_factory=list)
    """`edge-mcnn classify` of the recordings, from its start to its end."""
    classified_s: float = 0.0
    """Sound in those recordings."""
    help_s: list[float] = field(default_factory=list)
    """`edge-mcnn --help`, from its start to its end."""
    growth: dict[str, Any] = field(default_factory=dict)
    """What `benchmarks.growth` printed."""
    pictures: dict[str, list[float]] = field(default_factory=dict)
    """What `benchmarks.pictures` printed."""
    search: dict[str, dict[str, float]] = field(default_factory=dict)
    """What `benchmarks.search` printed."""
    board: dict[str, Any] = field(default_factory=dict)
    """What `edge-mcnn benchmark --json` printed."""


def measure(rounds: int, folder: Path, told: Callable[[str], None]) -> Measurements:
    """Measure everything; some twenty minutes.

    Args:
        rounds: how often each subject takes its turn.
        folder: for the tutorial's network, some 100 MB.
        told: is given a line when something begins.
    """
    found = Measurements()
    told("making and converting the tutorial's network")
    keras, bundle = folder / "Model.h5", folder / "Model.tflite"
    _python("-c", f"import pathlib, benchmarks.tutorial as t; t.write_network(pathlib.Path({str(keras)!r}))")
    _python("-m", "edge_mcnn", "convert", str(keras))
    clips = sorted(CLIPS.glob("*.flac"))
    for number in range(rounds):
        told(f"single answers, round {number + 1} of {rounds}")
        _live(found, keras, clips)
        for network, path in ((TUTORIAL, bundle), (SHIPPED, DEFAULT_BUNDLE)):
            threads = Settings().classifier.threads
            found.call_ms.setdefault(network, []).extend(call_ms(path, threads=threads, calls=_CALLS))
        found.help_s += [_seconds("-m", "edge_mcnn", "--help") for _ in range(_HELPS)]
        found.classify_s.append(_seconds("-m", "edge_mcnn", "classify", "--json", *map(str, clips)))
    found.classified_s = sum(_length_s(clip) for clip in clips)
    found.listening = measure_listening(rounds, bundle, told)
    for name in ("growth", "pictures", "search"):
        told(f"benchmarks.{name}")
        setattr(found, name, json.loads(_python("-m", f"benchmarks.{name}")))
    told("edge-mcnn benchmark")
    found.board = json.loads(_python("-m", "edge_mcnn", "benchmark", "--json"))
    return found


def _live(found: Measurements, keras: Path, clips: list[Path]) -> None:
    """One process of the tutorial's live path."""
    command = [sys.executable, "-m", "benchmarks.tutorial", str(keras), "3", *map(str, clips)]
    with running(command, {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, "ready\n") as process:
        found.live_ready_s.append(process.ready_s)
        answers: list[float] = []
        while len(answers) < 3 * len(clips):
            line = process.lines.get(timeout=120)
            if line.startswith("{"):
                answers.append(json.loads(line)["ms"])
        found.live_peak_mb.append(process.peak_mb())
    found.live_first_ms.append(answers[0])
    found.live_warm_ms += answers[1:]


def _python(*arguments: str) -> str:
    """Standard output of a Python of its own."""
    return subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, check=True, text=True).stdout


def _seconds(*arguments: str) -> float:
    began = time.perf_counter()
    _python(*arguments)
    return time.perf_counter() - began


def _length_s(clip: Path) -> float:
    import soundfile

    return float(soundfile.info(clip).duration)
