"""What listening costs: edge-mcnn, Vosk alone and openWakeWord hear the same scenes from the same microphone, in turns.

    python -m benchmarks.listening [ROUNDS]

The microphone is a virtual one, heard through ALSA as a real one is; its client library's share is in every figure.
openWakeWord takes part if the environment `.venv/peers` holds it: its packages do not go together with ours.
"""

import json
import os
import statistics
import sys
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.processes import running
from tests.conftest import CLIPS
from tests.system.virtual_microphone import VirtualMicrophone

_RATE = 16_000
_SCENE_S = 30
_OURS = "edge-mcnn"
_PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"


@dataclass
class Subject:
    """What one of those compared did."""

    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By scene: share of a core, one figure for each round."""
    peak_mb: list[float] = field(default_factory=list)
    """After all scenes of a round."""
    ready_s: list[float] = field(default_factory=list)
    """From the start of the process to the first sound."""
    latencies_ms: list[float] = field(default_factory=list)
    """From the endpoint to the light."""


def scenes() -> dict[str, NDArray[np.float32]]:
    """Half a minute each, mono, 16 kHz: a quiet room, people speaking, and a fan."""
    random = np.random.default_rng(0)
    length = _SCENE_S * _RATE
    room = (random.standard_normal(length) * 10 ** (-72 / 20)).astype(np.float32)
    speech = room.copy()
    at = _RATE
    for path in sorted(CLIPS.glob("*.flac")):
        clip, _ = soundfile.read(path, dtype="float32")
        if at + len(clip) > length:
            break
        speech[at : at + len(clip)] += clip
        at += len(clip) + round(1.2 * _RATE)
    # Noise with the spectrum of a fan: its power falls with the frequency.
    spectrum = np.fft.rfft(random.standard_normal(length))
    fan = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 50), length)
    fan = (fan / fan.std() * 10 ** (-32 / 20)).astype(np.float32)
    return {"quiet room": room, "speech": speech, "loud noise": fan}


def subjects() -> dict[str, tuple[list[str], str]]:
    """Command, and how it says that it listens."""
    found = {
        _OURS: ([sys.executable, "-m", "device", "listen", "--json", "--lights", "none"], "listening to"),
        "Vosk alone": ([sys.executable, "-m", "benchmarks.peers", "Vosk alone"], "ready"),
    }
    if _PEERS_PYTHON.exists():
        script = str(Path(__file__).with_name("peers.py"))
        found["openWakeWord"] = ([str(_PEERS_PYTHON), script, "openWakeWord"], "ready")
    return found


def measure(rounds: int) -> dict[str, Subject]:
    """Let each subject hear each scene, in turns."""
    results: dict[str, Subject] = defaultdict(Subject)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        for scene, samples in scenes().items():
            soundfile.write(folder / f"{scene}.wav", samples, _RATE, subtype="PCM_16")
        with VirtualMicrophone(folder / "mic", rate=_RATE, channels=1, strict=False) as microphone:
            environment = {**os.environ, **microphone.environment}
            for _ in range(rounds):
                for subject, (command, ready) in subjects().items():
                    with running(command, environment, ready) as process:
                        result = results[subject]
                        result.ready_s.append(process.ready_s)
                        for scene in scenes():
                            play = threading.Thread(target=microphone.play, args=(folder / f"{scene}.wav",))
                            before = process.cpu_s()
                            play.start()
                            play.join()
                            result.cpu[scene].append((process.cpu_s() - before) / _SCENE_S)
                        result.peak_mb.append(process.peak_mb())
                        if subject == _OURS:
                            lines = [line for line in process.lines.queue if line.startswith("{")]
                            result.latencies_ms += [json.loads(line)["ms_endpoint_to_light"] for line in lines]
    return dict(results)


def _main(rounds: int) -> None:
    results = measure(rounds)
    for name, result in results.items():
        told = [f"{scene} {statistics.median(shares):.2%}" for scene, shares in result.cpu.items()]
        told += [f"peak {statistics.median(result.peak_mb):.0f} MB", f"ready {statistics.median(result.ready_s):.2f} s"]
        if result.latencies_ms:
            ordered = sorted(result.latencies_ms)
            told.append(f"light {statistics.median(ordered):.1f} ms, p95 {ordered[int(0.95 * len(ordered))]:.1f} ms")
        print(f"{name}: {', '.join(told)}")


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
