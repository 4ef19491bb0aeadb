"""Measures the cost of listening: edge-mcnn, Vosk alone and openWakeWord record the same scenes, in turns.

The microphone is a virtual one behind ALSA, like a real one; the cost of its client library is part of every result.
openWakeWord is included if the environment `.venv/peers` exists, since its packages are incompatible with ours.
"""

import json
import os
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.processes import running
from tests.conftest import CLIPS
from tests.system.virtual_microphone import VirtualMicrophone

OURS, OURS_TUTORIAL = "edge-mcnn", "edge-mcnn, tutorial's network"
VOSK, WAKE_WORD, PORT_AUDIO = "Vosk alone, always fed", "openWakeWord 0.5.1", "PortAudio alone, audio discarded"
QUIET, SPEECH, NOISE = "quiet room", "someone speaks", "loud noise"
_RATE = 16_000
_SCENES_S = {QUIET: 15, SPEECH: 30, NOISE: 15}
_SETTLING, _SETTLING_S = "settling", 3
_PAUSE_S = 1.2
_PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"


@dataclass
class ListeningCost:
    """Cost of listening for one subject, with one value for each round."""

    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """CPU seconds per second, by scene."""
    peak_mb: list[float] = field(default_factory=list)
    """Peak memory after all scenes, MB."""
    ready_s: list[float] = field(default_factory=list)
    """Seconds from the start of the process until it listens."""
    latencies_ms: list[float] = field(default_factory=list)
    """Milliseconds from the endpoint to the light, for each utterance of each round."""


def scenes() -> dict[str, NDArray[np.float32]]:
    """The scenes by name: a quiet room, speech with pauses of a second, and a fan; shape (samples,), 16 kHz."""
    random = np.random.default_rng(0)
    length = _SCENES_S[SPEECH] * _RATE
    room = (random.standard_normal(length) * 10 ** (-72 / 20)).astype(np.float32)
    speech = room.copy()
    position = _RATE
    for path in sorted(CLIPS.glob("austen-*.flac")):
        clip, _ = soundfile.read(path, dtype="float32")
        if position + len(clip) > length:
            break
        speech[position : position + len(clip)] += clip
        position += len(clip) + round(_PAUSE_S * _RATE)
    # Noise with the spectrum of a fan: its power falls with the frequency.
    spectrum = np.fft.rfft(random.standard_normal(length))
    fan = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 50), length)
    noise = (fan / fan.std() * 10 ** (-32 / 20)).astype(np.float32)
    scene = {QUIET: room, SPEECH: speech, NOISE: noise}
    return {name: samples[: _SCENES_S[name] * _RATE] for name, samples in scene.items()}


def measure(rounds: int, tutorial: Path, announce: Callable[[str], None]) -> dict[str, ListeningCost]:
    """Let each subject record its scenes, in turns.

    Args:
        rounds: number of turns of each subject.
        tutorial: path of the bundle with the tutorial's network.
        announce: called with a line for the user when a process starts.
    """
    results: dict[str, ListeningCost] = defaultdict(ListeningCost)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        recorded = scenes()
        recorded[_SETTLING] = recorded[QUIET][: _SETTLING_S * _RATE]
        for scene, samples in recorded.items():
            soundfile.write(folder / f"{scene}.wav", samples, _RATE, subtype="PCM_16")
        with VirtualMicrophone(folder / "mic", rate=_RATE, channels=1, strict=False) as microphone:
            environment = {**os.environ, **microphone.environment}
            for number in range(rounds):
                for subject, (command, ready, scene_names) in _subjects(tutorial).items():
                    announce(f"listening, round {number + 1} of {rounds}: {subject}")
                    result = results[subject]
                    with running(command, environment, ready) as process:
                        result.ready_s.append(process.ready_s)
                        # What a start leaves to do in the quiet, such as preparing a recogniser, is no cost of a scene.
                        microphone.play(folder / f"{_SETTLING}.wav")
                        for scene in scene_names:
                            play = threading.Thread(target=microphone.play, args=(folder / f"{scene}.wav",))
                            before = process.cpu_s()
                            play.start()
                            play.join()
                            result.cpu[scene].append((process.cpu_s() - before) / _SCENES_S[scene])
                        result.peak_mb.append(process.peak_mb())
                        if subject in (OURS, OURS_TUTORIAL):
                            microphone.play(folder / f"{SPEECH}.wav")  # again, for more predictions
                        predictions = [json.loads(line) for line in process.lines.queue if line.startswith("{")]
                        result.latencies_ms += [
                            each["ms_endpoint_to_light"] for each in predictions if "ms_endpoint_to_light" in each
                        ]
    return dict(results)


def _subjects(tutorial: Path) -> dict[str, tuple[list[str], str, tuple[str, ...]]]:
    """By subject: the command, the part of its output that means it listens, and the names of its scenes."""
    ours = [sys.executable, "-m", "edge_mcnn", "listen", "--json", "--lights", "none"]
    peers = [sys.executable, "-m", "benchmarks.peers"]
    all_scenes = (QUIET, SPEECH, NOISE)
    subjects: dict[str, tuple[list[str], str, tuple[str, ...]]] = {
        OURS: (ours, "listening to", all_scenes),
        VOSK: ([*peers, "Vosk alone"], "ready", all_scenes),
        OURS_TUTORIAL: ([*ours, "--model", str(tutorial)], "listening to", (SPEECH,)),
        PORT_AUDIO: ([*peers, "PortAudio alone"], "ready", (QUIET,)),
    }
    if _PEERS_PYTHON.exists():
        script = str(Path(__file__).with_name("peers.py"))
        subjects[WAKE_WORD] = ([str(_PEERS_PYTHON), script, "openWakeWord"], "ready", all_scenes)
    return subjects
