"""What listening costs: edge-mcnn, Vosk alone and openWakeWord hear the same scenes from the same microphone, in turns.

The microphone is a virtual one, heard through ALSA as a real one is; its client library's share is in every figure.
openWakeWord takes part if the environment `.venv/peers` holds it: its packages do not go together with ours.
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
VOSK, WAKE_WORD, PORT_AUDIO = "Vosk alone, fed always", "openWakeWord 0.5.1", "PortAudio alone, sound thrown away"
QUIET, SPEECH, NOISE = "quiet room", "someone speaks", "loud noise"
_RATE = 16_000
_SCENES_S = {QUIET: 15, SPEECH: 30, NOISE: 15}
_PAUSE_S = 1.2
_PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"


@dataclass
class Heard:
    """What listening cost one of those compared; one figure for each round."""

    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By scene: CPU seconds per second."""
    peak_mb: list[float] = field(default_factory=list)
    """The most memory that was held at once, after all scenes."""
    ready_s: list[float] = field(default_factory=list)
    """From the start of the process to the first sound."""
    latencies_ms: list[float] = field(default_factory=list)
    """From the endpoint to the light, of each utterance of each round."""


def scenes() -> dict[str, NDArray[np.float32]]:
    """By name, shape (samples,), 16 kHz, -1 to 1: a quiet room, people who speak with pauses of a second, and a fan."""
    random = np.random.default_rng(0)
    length = _SCENES_S[SPEECH] * _RATE
    room = (random.standard_normal(length) * 10 ** (-72 / 20)).astype(np.float32)
    speech = room.copy()
    at = _RATE
    for path in sorted(CLIPS.glob("austen-*.flac")):
        clip, _ = soundfile.read(path, dtype="float32")
        if at + len(clip) > length:
            break
        speech[at : at + len(clip)] += clip
        at += len(clip) + round(_PAUSE_S * _RATE)
    # Noise with the spectrum of a fan: its power falls with the frequency.
    spectrum = np.fft.rfft(random.standard_normal(length))
    fan = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 50), length)
    noise = (fan / fan.std() * 10 ** (-32 / 20)).astype(np.float32)
    whole = {QUIET: room, SPEECH: speech, NOISE: noise}
    return {name: samples[: _SCENES_S[name] * _RATE] for name, samples in whole.items()}


def measure(rounds: int, tutorial: Path, told: Callable[[str], None]) -> dict[str, Heard]:
    """Let each hear its scenes, in turns.

    Args:
        rounds: how often.
        tutorial: bundle with the tutorial's network.
        told: is given a line for each process that begins.
    """
    results: dict[str, Heard] = defaultdict(Heard)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        for scene, samples in scenes().items():
            soundfile.write(folder / f"{scene}.wav", samples, _RATE, subtype="PCM_16")
        with VirtualMicrophone(folder / "mic", rate=_RATE, channels=1, strict=False) as microphone:
            environment = {**os.environ, **microphone.environment}
            for number in range(rounds):
                for subject, (command, ready, hears) in _subjects(tutorial).items():
                    told(f"listening, round {number + 1} of {rounds}: {subject}")
                    result = results[subject]
                    with running(command, environment, ready) as process:
                        result.ready_s.append(process.ready_s)
                        for scene in hears:
                            play = threading.Thread(target=microphone.play, args=(folder / f"{scene}.wav",))
                            before = process.cpu_s()
                            play.start()
                            play.join()
                            result.cpu[scene].append((process.cpu_s() - before) / _SCENES_S[scene])
                        result.peak_mb.append(process.peak_mb())
                        if subject in (OURS, OURS_TUTORIAL):
                            microphone.play(folder / f"{SPEECH}.wav")  # again, for more answers
                        answers = [json.loads(line) for line in process.lines.queue if line.startswith("{")]
                        result.latencies_ms += [
                            each["ms_endpoint_to_light"] for each in answers if "ms_endpoint_to_light" in each
                        ]
    return dict(results)


def _subjects(tutorial: Path) -> dict[str, tuple[list[str], str, tuple[str, ...]]]:
    """Command of each, how it says that it listens, and which scenes it hears."""
    ours = [sys.executable, "-m", "edge_mcnn", "listen", "--json", "--lights", "none"]
    peers = [sys.executable, "-m", "benchmarks.peers"]
    every = (QUIET, SPEECH, NOISE)
    found: dict[str, tuple[list[str], str, tuple[str, ...]]] = {
        OURS: (ours, "listening to", every),
        VOSK: ([*peers, "Vosk alone"], "ready", every),
        OURS_TUTORIAL: ([*ours, "--model", str(tutorial)], "listening to", (SPEECH,)),
        PORT_AUDIO: ([*peers, "PortAudio alone"], "ready", (QUIET,)),
    }
    if _PEERS_PYTHON.exists():
        script = str(Path(__file__).with_name("peers.py"))
        found[WAKE_WORD] = ([str(_PEERS_PYTHON), script, "openWakeWord"], "ready", every)
    return found
