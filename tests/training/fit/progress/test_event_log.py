"""What `--tensorboard` writes, read with TensorFlow's own reader: every epoch once, however often training stops."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from rich.console import Console

from device.errors import TrainingError
from tests.full_disk import full_disk
from tests.training.conftest import printed
from tests.training.fit.test_epochs import MADE_BY, SETTINGS, TRAINING, VALIDATION, new_head
from training.fit.checkpoints import Checkpoint
from training.fit.epochs import Fitted, fit
from training.fit.progress.event_log import EventLog
from training.fit.settings import TrainingSettings
from training.fit.trainer import train
from training.fit.workers import Workers

METRICS = {"loss": 1.0, "accuracy": 0.5, "validation_loss": 2.0, "validation_weighted_f1": 0.25}
TAGS = {
    "loss": ("train", "epoch_loss"),
    "accuracy": ("train", "epoch_accuracy"),
    "validation_loss": ("validation", "epoch_loss"),
    "validation_weighted_f1": ("validation", "epoch_weighted_f1"),
}


def scalars(folder: Path) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Return the epochs and values by folder and tag, in the order of the files."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("*/events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault((path.parent.name, value.tag), []).append((event.step, number))
    return found


def expected(history: Sequence[Mapping[str, Any]], rate: float) -> dict[tuple[str, str], list[tuple[int, float]]]:
    rates = {("train", "epoch_learning_rate"): [(epoch, rate) for epoch in range(1, len(history) + 1)]}
    metrics = {tag: [(epoch, entry[name]) for epoch, entry in enumerate(history, 1)] for name, tag in TAGS.items()}
    return {**metrics, **rates}


def assert_logged(folder: Path, history: Sequence[Mapping[str, Any]], rate: float = 0.03) -> None:
    """Check that the folder has each metric of each epoch once, in order."""
    found, wanted = scalars(folder), expected(history, rate)
    assert found.keys() == wanted.keys()
    for tag, points in wanted.items():
        assert [epoch for epoch, _ in found[tag]] == [epoch for epoch, _ in points]
        assert [value for _, value in found[tag]] == pytest.approx([value for _, value in points], abs=1e-4)


def trained(settings: TrainingSettings, folder: Path, console: Console) -> Fitted:
    assert settings.tensorboard is not None
    log = EventLog(settings.tensorboard, console)
    checkpoint = Checkpoint(folder / "Model.h5")
    log.check(checkpoint.epochs() if settings.resume else 0)
    workers = Workers(tf.distribute.get_strategy())
    return fit(new_head(), TRAINING, VALIDATION, settings, workers, checkpoint, MADE_BY, console, log)


def test_resumed_training_adds_every_epoch_once(tmp_path: Path, console: Console) -> None:
    settings = replace(SETTINGS, tensorboard=tmp_path / "runs" / "one")
    assert settings.tensorboard is not None
    first = trained(replace(settings, epochs=2), tmp_path, console)
    assert_logged(settings.tensorboard, first.history)
    complete = trained(replace(settings, resume=True), tmp_path, console)
    assert len(complete.history) == 4
    assert_logged(settings.tensorboard, complete.history)
    trained(replace(settings, resume=True), tmp_path, console)  # nothing is left to train
    assert_logged(settings.tensorboard, complete.history)


def test_epochs_that_a_power_cut_lost_come_from_the_checkpoint(tmp_path: Path, console: Console) -> None:
    settings = replace(SETTINGS, tensorboard=tmp_path / "log")
    assert settings.tensorboard is not None
    trained(replace(settings, epochs=2), tmp_path, console)
    (damaged,) = (settings.tensorboard / "validation").iterdir()
    damaged.write_bytes(damaged.read_bytes()[:-3])  # within the last scalar, weighted F1 of epoch 2
    history = trained(replace(settings, resume=True), tmp_path, console).history
    damaged.unlink()
    added = scalars(settings.tensorboard)
    assert [epoch for epoch, _ in added["validation", "epoch_loss"]] == [3, 4]
    assert [epoch for epoch, _ in added["validation", "epoch_weighted_f1"]] == [2, 3, 4]
    for path in settings.tensorboard.glob("*/*"):
        path.unlink()
    trained(replace(settings, resume=True), tmp_path, console)
    assert_logged(settings.tensorboard, history)


def test_folder_of_another_training_is_refused(tmp_path: Path, console: Console) -> None:
    log = EventLog(tmp_path, console)
    log.check(0)
    log.begin(new_head(), 0.1, [METRICS, METRICS])
    log.end()
    log.check(2)
    before = scalars(tmp_path)
    with pytest.raises(TrainingError, match=r"holds 2 epochs of another training, .* starts at epoch 1; name"):
        log.check(0)
    with pytest.raises(TrainingError, match=r"holds 2 epochs of another training, .* continues after epoch 1; name"):
        log.check(1)
    assert scalars(tmp_path) == before


def test_folder_that_cannot_be_written_to_is_refused_before_the_corpus_is_read(
    tmp_path: Path, console: Console
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "log" / "train").mkdir(parents=True)
    (tmp_path / "log" / "validation").touch()
    for folder in ("file", "file/below", "log"):
        with pytest.raises(TrainingError, match=r"name another folder for --tensorboard|Not a directory|not a folder"):
            train(
                tmp_path / "no table.csv",
                tmp_path / "Model.h5",
                TrainingSettings(tensorboard=tmp_path / folder),
                console,
            )


def test_full_disk_ends_the_log_and_not_the_training(tmp_path: Path, console: Console) -> None:
    log = EventLog(tmp_path / "log", console)
    log.begin(new_head(), 0.1, [METRICS])
    with full_disk(largest=100):
        log.add(2, METRICS)
        log.add(3, METRICS)
        log.end()
    assert printed(console).count("cannot be written to any more; the training continues without") == 1
    assert all(epoch == 1 for epoch, _ in scalars(tmp_path / "log")["train", "epoch_loss"])
    log.begin(new_head(), 0.1, [METRICS, METRICS])
    log.end()
    assert {epoch for epoch, _ in scalars(tmp_path / "log")["validation", "epoch_weighted_f1"]} == {1, 2}
