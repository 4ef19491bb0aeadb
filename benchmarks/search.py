"""What Vosk's search for words costs and finds: CPU time against word error rate, for each `[transcriber] search`.

    python -m benchmarks.search [TABLE.csv [AUDIO_ROOT]]

Each recording is heard as it is and with white noise of two levels. Without a table (`audio,text,...`, as `edge-mcnn
train` takes it) they are the few recordings of the tests; their texts stand in `tests/fixtures/README.md`. Prints
one JSON object.
"""

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.events import SAMPLE_RATE
from device.recognition.speech_model import fetch as speech_model
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from tests.conftest import CLIPS
from training.data.audio_reading import read_recording
from training.data.clip_table import read_clip_table
from training.data.word_errors import word_error_rate

SEARCHES = ("thorough", "quick")
NOISES_DB = {"as recorded": None, "noise at -12 dB": -12.0, "noise at -3 dB": -3.0}
_BLOCK = 2048


def recordings(table: Path | None, audio_root: Path | None) -> list[tuple[Path, str]]:
    """Path and words of each."""
    if table is not None:
        return [(clip.audio, clip.text) for clip in read_clip_table(table, audio_root) if clip.audio and clip.text]
    rows = re.findall(r"\| `speech/(.+?)` \| (.+?) \|", (CLIPS.parent / "README.md").read_text(encoding="utf-8"))
    return [(CLIPS / name, text) for name, text in rows]


def measure(spoken: list[tuple[Path, str]]) -> dict[str, dict[str, float]]:
    """For each search, by noise the word error rate, and the CPU seconds per second of sound."""
    random = np.random.default_rng(0)
    sounds = [read_recording(path, SAMPLE_RATE) for path, _ in spoken]
    heard = {noise: [_noisy(sound, level, random) for sound in sounds] for noise, level in NOISES_DB.items()}
    model = speech_model.find(announce=lambda line: print(line, file=sys.stderr))
    found: dict[str, dict[str, float]] = {}
    for search in SEARCHES:
        of = Settings().transcriber
        transcriber = Transcriber(model, of.lone_word_confidence, of.utterances_per_recogniser, search=search)
        began, seconds, rates = time.process_time(), 0.0, {}
        for noise, samples in heard.items():
            pairs = []
            for (_, text), each in zip(spoken, samples, strict=True):
                pairs.append((text.split(), _words(transcriber, each)))
                seconds += len(each) / SAMPLE_RATE
            rates[noise] = word_error_rate(pairs) or 0.0
        found[search] = {**rates, "cpu": (time.process_time() - began) / seconds}
    return found


def _noisy(sound: NDArray[np.float32], level_db: float | None, random: np.random.Generator) -> NDArray[np.int16]:
    """With noise of so much less power than the sound has on average."""
    if level_db is not None:
        sound = sound + random.standard_normal(len(sound)) * np.sqrt(np.mean(sound**2)) * 10 ** (level_db / 20)
    return np.clip(sound * 32767, -32768, 32767).astype(np.int16)


def _words(transcriber: Transcriber, samples: NDArray[np.int16]) -> list[str]:
    transcription = transcriber.begin()
    for start in range(0, len(samples), _BLOCK):
        transcription.feed(samples[start : start + _BLOCK])
    return transcription.text().split()


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[1:]]
    print(json.dumps(measure(recordings(*given, *[None] * (2 - len(given))))))
