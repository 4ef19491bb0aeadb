"""A small corpus of synthesised recordings: high tones are `positive`, low tones `negative`, and so are their words."""

import csv
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

WORDS = {"positive": "what a great day", "negative": "this is so awful"}
TONES = {"positive": 2000.0, "negative": 200.0}

WriteTable = Callable[[Sequence[Sequence[str]]], Path]


@pytest.fixture
def console() -> Console:
    """Keeps what is shown; `console.file.getvalue()` reads it."""
    return Console(file=StringIO(), width=200)


@pytest.fixture
def write_table(tmp_path: Path) -> WriteTable:
    """Writes rows below the header audio, text, label, split to a new table."""

    def write(rows: Sequence[Sequence[str]]) -> Path:
        path = tmp_path / "table.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("audio", "text", "label", "split"), *rows])
        return path

    return write


@pytest.fixture
def corpus(tmp_path: Path, write_table: WriteTable) -> Path:
    """A table of 20 train and 8 validation clips, with their recordings beside it; a few lack words or sound."""
    rows = []
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("validation", 8)):
        for number in range(count):
            label = ("positive", "negative")[number % 2]
            audio, text = f"{split}{number}.wav", f"{WORDS[label]} {number % 3}"
            tone = 0.3 * np.sin(2 * np.pi * TONES[label] * np.arange(8000) / 16_000)
            soundfile.write(tmp_path / audio, tone + 0.001 * random.standard_normal(8000), 16_000)
            rows.append(("" if number in (4, 5) else audio, "" if number in (6, 7) else text, label, split))
    return write_table(rows)
