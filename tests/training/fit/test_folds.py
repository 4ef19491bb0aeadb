"""Cross-validation on synthetic recordings: what it trains on, computes once, prints and writes into the card."""

import csv
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from convert.source.keras_h5 import read_companions
from device.errors import TrainingError
from tests.training.conftest import printed
from tests.training.fit.progress.test_event_log import METRICS
from tests.training.fit.test_epochs import new_head
from training.data.clips import Clip
from training.data.corpus import Corpus, open_corpus
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY, TEXT_ONLY
from training.fit import folds
from training.fit.batches import ExampleBatches
from training.fit.epochs import fit
from training.fit.folds import cross_validate, validate_and_train
from training.fit.progress.event_log import EventLog
from training.fit.settings import TrainingSettings
from training.images import spectrogram_images
from training.images.examples import Examples
from training.images.spectrogram import compute_image

SETTINGS = TrainingSettings(network="evidence", epochs=2, batch_size=8, seed=3)


@pytest.fixture
def spoken(corpus: Path) -> Corpus:
    """The small corpus, with seven speakers of four clips each."""
    with corpus.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    with corpus.open("w", encoding="utf-8", newline="") as stream:
        named = [[*row, f"s{number // 2 % 7}"] for number, row in enumerate(rows)]
        csv.writer(stream).writerows([[*header, "speaker"], *named])
    return open_corpus(corpus)


@pytest.mark.slow
def test_folds_and_seeds(spoken: Corpus, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[Any] = []
    trained: list[list[Clip]] = []
    run = folds._run

    def counted(*arguments: Any) -> Any:
        computed.append(arguments)
        return compute_image(*arguments)

    def observed(source: Corpus, data: Any, clips: list[Clip], *rest: Any) -> Any:
        trained.append(clips)
        return run(source, data, clips, *rest)

    monkeypatch.setattr(spectrogram_images, "compute_image", counted)
    augmented: list[bool] = []

    def fitted(head: Any, training: Examples, *rest: Any) -> Any:
        augmented.append(training.copies is not None and training.copies_index is not None)
        return fit(head, training, *rest)

    monkeypatch.setattr(folds, "fit", fitted)
    monkeypatch.setattr(folds, "_run", observed)
    found = cross_validate(spoken, SETTINGS, 3, 2, console)
    assert len(computed) == 28 - 4  # each recording once; four of the clips have none
    assert (found.by, found.seeds, len(found.runs), found.interrupted) == ("speaker", (3, 4), 6, False)
    assert [(run.seed, run.fold) for run in found.runs] == [(seed, fold) for seed in (3, 4) for fold in (1, 2, 3)]
    assert sum(run.rows for run in found.runs) == 2 * 28
    for clips in trained:
        speakers = {split: {clip.speaker for clip in clips if clip.split == split} for split in ("train", "validation")}
        assert speakers["validation"]
        assert not speakers["train"] & speakers["validation"]
    assert augmented == [True] * 6
    text = printed(console)
    assert "3 folds by speaker (seed 3): each of 7 speakers is held out once\n" in text
    assert "fold 2/3, seed 4: " in text
    assert "6 trainings, 3 folds by speaker" in text
    for name in (AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY, "most common class"):
        values = found.values(name, "macro_f1")
        assert len(values) == 6
        assert f"{values.mean():.3f} \u00b1 {values.std(ddof=1):.3f}" in text
        assert found.to_card()["scores"][name]["macro_f1"]["mean"] == pytest.approx(values.mean(), abs=1e-4)
    again = cross_validate(spoken, SETTINGS, 3, 1, console)
    for name in (AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY):
        np.testing.assert_array_equal(again.values(name, "accuracy"), found.values(name, "accuracy")[:3])


@pytest.mark.slow
def test_seeds_alone_have_the_splits_of_the_corpus_and_the_model_is_written(
    spoken: Corpus, console: Console, tmp_path: Path
) -> None:
    result = validate_and_train(spoken, tmp_path / "new" / "Model.h5", SETTINGS, None, 2, console)
    card = read_companions(tmp_path / "new" / "Model.h5").card
    assert card["cross_validation"] == result.companions.card["cross_validation"]
    assert card["cross_validation"]["held_out_by"] == "split"
    assert card["cross_validation"]["seeds"] == [3, 4]
    figures = card["cross_validation"]["scores"][AUDIO_AND_TEXT]["weighted_f1"]
    assert len(figures["each"]) == 2
    assert card["rows"] == {"train": 20, "validation": 8}
    # The first training and that of the model have the same seed and rows.
    assert figures["each"][0] == card["validation"][AUDIO_AND_TEXT]["weighted_f1"]
    assert "2 trainings with the same splits" in printed(console)
    assert printed(console).count("speakers are in train and in validation") == 1  # the corpus is reported once


@pytest.mark.slow
def test_ctrl_c_prints_the_finished_folds_and_writes_no_model(
    spoken: Corpus, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, started = ExampleBatches.__getitem__, []

    def interrupt(self: ExampleBatches, batch: int) -> object:
        if batch == 0:
            started.append(1)
        if len(started) == 3:  # the first epoch of the second fold
            os.kill(os.getpid(), signal.SIGINT)
        return get(self, batch)

    monkeypatch.setattr(ExampleBatches, "__getitem__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        validate_and_train(spoken, tmp_path / "new" / "Model.h5", SETTINGS, 3, 1, console)
    assert not (tmp_path / "new" / "Model.h5").exists()
    text = printed(console)
    assert "stopped; these trainings were finished:" in text
    assert "1 training, 3 folds by speaker" in text
    assert "Model.h5 is unchanged" in text


def test_refusals_before_any_work(spoken: Corpus, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match="8 folds, but only 7 speakers can be held out; use --folds 7"):
        cross_validate(spoken, SETTINGS, 8, 1, console)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}')
    with pytest.raises(TrainingError, match=r"does not run on several machines; .* leave out --folds"):
        cross_validate(spoken, SETTINGS, 3, 1, console)


def test_what_would_stop_the_last_training_stops_the_first_one(
    spoken: Corpus, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "cross_validate", pytest.fail)
    output = tmp_path / "Model.h5"
    log = EventLog(tmp_path / "log", console)
    log.begin(new_head(), 0.1, [METRICS, METRICS])
    log.end()
    logged = replace(SETTINGS, tensorboard=tmp_path / "log")
    with pytest.raises(TrainingError, match=r"holds 2 epochs of another training, .*; name another folder"):
        validate_and_train(spoken, output, logged, 3, 1, console)
    recordings = {clip.split: clip.audio for clip in spoken.clips if clip.audio is not None}
    shutil.copyfile(str(recordings["train"]), str(recordings["validation"]))
    with pytest.raises(TrainingError, match=r"identical .*; the scores would be too good"):
        validate_and_train(spoken, output, SETTINGS, 3, 1, console)
