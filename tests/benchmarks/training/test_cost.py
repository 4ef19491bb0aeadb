"""The benchmark of training: its corpus, and the times that its lines lead to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.training.corpus import IMAGES, TABLE, TRAIN, VALIDATION, read_table, write_corpus
from benchmarks.training.cost import CLIPS, EPOCHS, OURS, THEIRS, extrapolated_s, our_line, their_line
from training.data.corpus import open_corpus
from training.data.leaks import refuse_identical


def runs() -> dict[str, Any]:
    """Return costs on exact lines: 20 s and 10 ms per clip, 5 s and 20 ms per clip and epoch."""
    ours = {str(clips): {"wall_s": 20 + 0.01 * clips, "cpu_s": 30 + 0.02 * clips} for clips in (100, 200, 400)}
    return {
        OURS: ours,
        THEIRS: {str(work): {"wall_s": 5 + 0.02 * work, "cpu_s": 5 + 0.03 * work} for work in (100, 200, 400)},
    }


def test_both_lines_lead_to_all_clips_and_epochs() -> None:
    found = extrapolated_s(runs())
    assert found[OURS] == pytest.approx(20 + 0.01 * CLIPS)
    assert found[THEIRS] == pytest.approx(5 + 0.02 * CLIPS * EPOCHS)
    assert their_line(runs()).max_error == pytest.approx(0, abs=1e-9)
    assert extrapolated_s(runs(), "cpu_s")[THEIRS] == pytest.approx(5 + 0.03 * CLIPS * EPOCHS)
    assert our_line(runs(), "cpu_s").per_second_s == pytest.approx(0.02)


def test_a_training_with_all_clips_counts_as_measured_and_not_for_the_line() -> None:
    found = runs()
    found[OURS][str(CLIPS)] = {"wall_s": 77.0, "cpu_s": 99.0}
    assert extrapolated_s(found)[OURS] == 77.0
    assert our_line(found).max_error == pytest.approx(0, abs=1e-9)


def test_edge_mcnn_and_the_tutorial_read_the_same_rows(tmp_path: Path) -> None:
    write_corpus(tmp_path, 33)
    corpus = open_corpus(tmp_path / TABLE, images=tmp_path / IMAGES)
    refuse_identical(corpus.clips, corpus.name)
    for split, count in ((TRAIN, 30), (VALIDATION, 3)):
        rows = read_table(tmp_path, split)
        clips = [clip for clip in corpus.clips if clip.split == split]
        assert [(clip.audio, clip.text) for clip in clips] == [(path, text) for path, text, _ in rows]
        assert len(rows) == count
    pixels = [np.asarray(Image.open(path)) for path in (tmp_path / IMAGES).iterdir()]
    assert len({each.tobytes() for each in pixels}) == 33
    assert {each.shape for each in pixels} == {(64, 64, 3)}
