from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.training.default_model.conftest import FRONT_END
from training.default_model.audio_branch import eight_emotions
from training.default_model.audio_branch.acted_speech import RAVDESS
from training.default_model.audio_branch.audio_training import AudioTrainingSettings
from training.default_model.audio_branch.augmented_images import CopySettings, corpus_images
from training.default_model.audio_branch.eight_emotions import (
    RAVDESS_EMOTIONS,
    EightEmotions,
    measure_eight_emotions,
    random_folds,
)

QUIET = Console(quiet=True)
EMOTIONS = ("angry", "neutral", "happy", "surprised")
"""Emotions of the small corpus."""


@pytest.mark.slow
def test_every_speaker_is_held_out_once_and_the_emotions_are_recognised(
    ravdess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = replace(RAVDESS, emotions=EMOTIONS)
    four_emotions = replace(RAVDESS_EMOTIONS, labels=EMOTIONS, of_acted_emotion={name: name for name in EMOTIONS})
    images = corpus_images(
        ravdess,
        corpus,
        tmp_path,
        classes=four_emotions,
        front_end=FRONT_END,
        copies=CopySettings(shifted=1, augmented=1),
        console=QUIET,
    )
    monkeypatch.setattr(eight_emotions, "RAVDESS_EMOTIONS", four_emotions)
    settings = AudioTrainingSettings(units=8, epochs=6, batch_size=16, learning_rate=1e-2, weight_decay=0.01)
    found = measure_eight_emotions(images, tmp_path, QUIET, seeds=(1, 2), settings=settings)
    assert len(found.recalls) == 2
    assert min(found.recalls) > 0.7
    assert found.resampled.min() <= np.mean(found.recalls) <= found.resampled.max()
    assert measure_eight_emotions(images, tmp_path, QUIET, seeds=(2,), settings=settings).recalls == found.recalls[1:]


def test_folds_have_as_many_men_as_women_and_differ_between_seeds() -> None:
    speakers = np.arange(1, 21).repeat(3)
    folds = [random_folds(speakers, seed) for seed in range(3)]
    for fold in folds:
        for part in range(5):
            assert sorted(np.unique(speakers[fold == part]) % 2) == [0, 0, 1, 1]
    assert not np.array_equal(folds[0], folds[1])
    np.testing.assert_array_equal(folds[0], random_folds(speakers, 0))


def test_the_page_has_mean_deviation_and_command() -> None:
    page = EightEmotions([0.5, 0.6], np.linspace(0.45, 0.65, 41), 62_000).page("the command")
    assert "`the command`" in page
    assert "| audio branch, 2 seeds | 62,000 | 0.550 (0.455\u20130.645), deviation of the seeds 0.050 |" in page
    assert "| ResLSTM (published) | 46,800 | .623 |" in page
