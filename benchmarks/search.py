"""Compares the values of `[transcriber] search`: CPU time against word error rate.

    python -m benchmarks.search [TABLE.csv [AUDIO_ROOT]]

Each recording is transcribed unchanged and with white noise at two levels. Without a table (`audio,text,...`, as for
`edge-mcnn train`) the few recordings of the tests are used, with the texts in `tests/fixtures/README.md`. Prints one
JSON object.
"""

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.events import SAMPLE_RATE
from device.recognition.speech_model.fetch import find_speech_model
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from tests.conftest import CLIPS
from training.data.clip_table import read_trainable_clips
from training.data.reading.audio import read_recording
from training.data.transcripts.word_errors import word_error_rate

SEARCHES = ("thorough", "quick")
NOISES_DB = {"as recorded": None, "noise at -12 dB": -12.0, "noise at -3 dB": -3.0}
_BLOCK = 2048


def recordings(table: Path | None, audio_root: Path | None) -> list[tuple[Path, str]]:
    """Path and text of each recording."""
    if table is not None:
        return [(clip.audio, clip.text) for clip in read_trainable_clips(table, audio_root) if clip.audio and clip.text]
    rows = re.findall(r"\| `speech/(.+?)` \| (.+?) \|", (CLIPS.parent / "README.md").read_text(encoding="utf-8"))
    return [(CLIPS / name, text) for name, text in rows]


def measure(spoken: list[tuple[Path, str]]) -> dict[str, dict[str, float]]:
    """For each search, the word error rate by condition, and `cpu`: CPU seconds per second of audio."""
    random = np.random.default_rng(0)
    recorded = [read_recording(path, SAMPLE_RATE) for path, _ in spoken]
    audio = {name: [_with_noise(each, level, random) for each in recorded] for name, level in NOISES_DB.items()}
    model = find_speech_model(announce=lambda line: print(line, file=sys.stderr))
    found: dict[str, dict[str, float]] = {}
    for search in SEARCHES:
        defaults = Settings().transcriber
        transcriber = Transcriber(
            model, defaults.lone_word_confidence, defaults.utterances_per_recogniser, search=search
        )
        started, seconds, rates = time.process_time(), 0.0, {}
        for name, samples in audio.items():
            pairs = []
            for (_, text), each in zip(spoken, samples, strict=True):
                pairs.append((text.split(), _words(transcriber, each)))
                seconds += len(each) / SAMPLE_RATE
            rates[name] = word_error_rate(pairs) or 0.0
        found[search] = {**rates, "cpu": (time.process_time() - started) / seconds}
    return found


def _with_noise(samples: NDArray[np.float32], level_db: float | None, random: np.random.Generator) -> NDArray[np.int16]:
    """Add white noise whose power is `level_db` relative to the average power of the audio; None adds none."""
    if level_db is not None:
        samples = samples + random.standard_normal(len(samples)) * np.sqrt(np.mean(samples**2)) * 10 ** (level_db / 20)
    return np.clip(samples * 32767, -32768, 32767).astype(np.int16)


def _words(transcriber: Transcriber, samples: NDArray[np.int16]) -> list[str]:
    transcription = transcriber.begin()
    for start in range(0, len(samples), _BLOCK):
        transcription.feed(samples[start : start + _BLOCK])
    return transcription.text().split()


if __name__ == "__main__":
    arguments = [Path(name) for name in sys.argv[1:]]
    print(json.dumps(measure(recordings(*arguments, *[None] * (2 - len(arguments))))))
