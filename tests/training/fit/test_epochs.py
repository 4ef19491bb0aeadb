"""Epochs on a small head that are interrupted, stopped early and resumed: always the same weights."""

import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray
from rich.console import Console

from device.errors import TrainingError
from tests.training.conftest import printed
from training.fit.batches import ExampleBatches
from training.fit.checkpoints import Checkpoint
from training.fit.epochs import Fitted, describe_steps, fit
from training.fit.settings import TrainingSettings
from training.fit.workers import Workers
from training.images.examples import Examples
from training.networks.network import IDS_INPUT, TRUNK_INPUT

SETTINGS = TrainingSettings(epochs=4, batch_size=8, learning_rate=0.03, seed=3)
MADE_BY = {"seed": 3, "clips": "x" * 64}


class KerasBatches(ExampleBatches, tf_keras.utils.Sequence):  # type: ignore[misc]  # tf_keras ships no types
    """The batches as Keras's own `fit` accepts them."""


def some_examples(rows: int, seed: int) -> Examples:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, rows)
    images = random.standard_normal((rows + 1, 6)).astype(np.float32)
    ids = (labels[:, None] + random.integers(0, 3, (rows, 4))).astype(np.int32)
    return Examples(images, np.arange(rows) + 1, ids, labels)


TRAINING, VALIDATION = some_examples(45, 0), some_examples(20, 1)


def new_head() -> tf_keras.Model:
    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(1)
    features, ids = layers.Input(6, name=TRUNK_INPUT), layers.Input(4, dtype="int32", name=IDS_INPUT)
    words = layers.Flatten()(layers.SpatialDropout1D(0.3)(layers.Embedding(9, 8)(ids)))
    joint = layers.Dense(16, "relu")(layers.Concatenate()([layers.GaussianNoise(0.5)(features), words]))
    return tf_keras.Model([features, ids], layers.Dense(3, "softmax")(layers.Dropout(0.5)(joint)))


def trained(settings: TrainingSettings, output: Path, console: Console) -> tuple[Fitted, list[NDArray[np.float32]]]:
    head = new_head()
    workers = Workers(tf.distribute.get_strategy())
    fitted = fit(head, TRAINING, VALIDATION, settings, workers, Checkpoint(output), MADE_BY, console)
    return fitted, head.get_weights()


def assert_same(one: list[NDArray[np.float32]], other: list[NDArray[np.float32]]) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "steps", "tutorial", "counted"),
    [
        (9989, 625, "floor(9989 / 16) = 624", "here its 5 rows count as well"),
        (17, 2, "floor(17 / 16) = 1", "here its 1 row counts as well"),
        (7, 1, "floor(7 / 16) = 0", "here its 7 rows count as well"),
        (32, 2, "as in the tutorial (32 / 16)", ""),
    ],
)
def test_steps_and_those_of_the_tutorial(rows: int, steps: int, tutorial: str, counted: str) -> None:
    training, _ = describe_steps(rows, 16, 16)
    _, validation = describe_steps(16, rows, 16)
    for line, name in ((training, "steps per epoch"), (validation, "validation steps")):
        assert re.match(rf"{name}: {steps}[,;] .*{re.escape(tutorial)}.*{counted}$", line)
    assert len(ExampleBatches(some_examples(rows, 0), TRUNK_INPUT, 16, None)) == steps


def test_resumed_training_ends_with_the_same_weights(tmp_path: Path, console: Console) -> None:
    uninterrupted, expected = trained(SETTINGS, tmp_path / "uninterrupted.h5", console)
    trained(replace(SETTINGS, epochs=2), tmp_path / "parts.h5", console)
    # Random numbers drawn in between change nothing.
    tf.random.set_seed(99)
    fitted, weights = trained(replace(SETTINGS, resume=True), tmp_path / "parts.h5", console)
    assert_same(weights, expected)
    assert fitted.history == uninterrupted.history
    assert (fitted.epoch, fitted.interrupted, fitted.out_of_patience) == (4, False, False)
    assert "continuing after epoch 2/4" in printed(console)
    other, different = trained(replace(SETTINGS, seed=4), tmp_path / "other.h5", console)
    assert abs(different[0] - expected[0]).max() > 1e-3
    assert len(other.history) == 4


def test_resume_without_checkpoint_starts(tmp_path: Path, console: Console) -> None:
    fitted, _ = trained(replace(SETTINGS, epochs=1, resume=True), tmp_path / "Model.h5", console)
    assert len(fitted.history) == 1


def test_ctrl_c_saves_current_weights_and_the_last_complete_epoch(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "Model.h5"
    get = ExampleBatches.__getitem__
    seen: list[int] = []

    def interrupt(self: ExampleBatches, batch: int) -> Any:
        seen.append(batch)
        if len(seen) == 6 + 2:  # the second batch of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return get(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ExampleBatches, "__getitem__", interrupt)
        stopped, partial = trained(SETTINGS, output, console)
    assert stopped.interrupted
    assert len(seen) <= 9
    assert [entry.get("complete", True) for entry in stopped.history] == [True, False]
    assert "after epoch 1" not in printed(console)
    saved = Checkpoint(output).load(MADE_BY)
    assert saved is not None
    assert saved.epochs == 1
    assert abs(saved.weights[0] - partial[0]).max() > 1e-3  # the head was trained further since
    _, resumed = trained(replace(SETTINGS, resume=True), output, console)
    _, expected = trained(SETTINGS, tmp_path / "uninterrupted.h5", console)
    assert_same(resumed, expected)


def test_patience_uses_the_best_epoch(tmp_path: Path, console: Console) -> None:
    # A step size at which the loss soon diverges.
    settings = replace(SETTINGS, epochs=40, learning_rate=0.3, patience=2)
    fitted, weights = trained(settings, tmp_path / "patient.h5", console)
    losses = [entry["validation_loss"] for entry in fitted.history]
    assert fitted.out_of_patience
    assert not fitted.interrupted
    assert len(losses) == fitted.epoch + 2 < 40
    assert losses[fitted.epoch - 1] == min(losses) < losses[-1]
    _, expected = trained(replace(settings, epochs=fitted.epoch, patience=None), tmp_path / "short.h5", console)
    assert_same(weights, expected)
    # Resuming a training that ended out of patience changes nothing.
    resumed, same = trained(replace(settings, resume=True), tmp_path / "patient.h5", console)
    assert_same(weights, same)
    assert resumed.history == fitted.history


def test_balanced_classes_equal_keras_class_weights(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against Keras's own `fit`, with class weights and a last batch of five."""
    quiet = replace(SETTINGS, epochs=2, balanced=True)
    for layer in ("Dropout", "SpatialDropout1D", "GaussianNoise"):
        monkeypatch.setattr(tf_keras.layers, layer, lambda _rate: tf_keras.layers.Activation("linear"))
    _, weights = trained(quiet, tmp_path / "Model.h5", console)
    head = new_head()
    head.compile(tf_keras.optimizers.Adam(quiet.learning_rate), "sparse_categorical_crossentropy")
    counts = np.bincount(TRAINING.labels)
    head.fit(
        KerasBatches(TRAINING, TRUNK_INPUT, quiet.batch_size, quiet.seed),
        epochs=2,
        shuffle=False,
        class_weight={label: 45 / (3 * count) for label, count in enumerate(counts.tolist())},
        verbose=0,
    )
    for ours, keras in zip(weights, head.get_weights(), strict=True):
        np.testing.assert_allclose(ours, keras, rtol=0, atol=1e-5)


def test_checkpoint_of_another_training_is_refused(tmp_path: Path, console: Console) -> None:
    output = tmp_path / "Model.h5"
    trained(replace(SETTINGS, epochs=1), output, console)
    checkpoint = Checkpoint(output)
    with pytest.raises(TrainingError, match=r"Model\.h5\.checkpoint: .*other seed \(3 there, 4 here\); .*delete the"):
        checkpoint.load({**MADE_BY, "seed": 4})
    with pytest.raises(TrainingError, match=r"belongs to a training with other clips; "):
        checkpoint.load({**MADE_BY, "clips": "y" * 64})
    with pytest.raises(TrainingError, match=r"stopped here after epoch 1; continue it with --resume, or delete"):
        checkpoint.require_absent()
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:500])
    with pytest.raises(TrainingError, match="not a checkpoint, or damaged; delete it"):
        checkpoint.load(MADE_BY)
    with pytest.raises(TrainingError, match="a training was stopped here; "):
        checkpoint.require_absent()
    checkpoint.remove()
    checkpoint.require_absent()
    assert checkpoint.resume_hint() == ""
