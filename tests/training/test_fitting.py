"""Epochs that are stopped, gone on with, given up, and shared between two machines: always the same weights."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray
from rich.console import Console

from device.errors import TrainingError
from tests.training.conftest import free_ports, printed
from training.checkpoints import Checkpoint
from training.settings import TrainingSettings
from training.trainer import train

pytestmark = pytest.mark.usefixtures("small_network")
# 20 train rows: a last batch of two, one for each of two workers, and classes of different weight.
SETTINGS = TrainingSettings(epochs=3, batch_size=6, learning_rate=0.01, seed=5, balanced=True, vgg19_weights=None)


def weights(path: Path) -> list[NDArray[np.float32]]:
    return list(tf_keras.models.load_model(path, compile=False).get_weights())


def start(
    corpus: Path, output: Path, environment: Mapping[str, str] | None = None, **wanted: Any
) -> subprocess.Popen[str]:
    names = ("epochs", "batch_size", "learning_rate", "seed", "balanced")
    given = {"corpus": str(corpus), "output": str(output), **wanted}
    given["settings"] = {**{name: getattr(SETTINGS, name) for name in names}, **wanted.get("settings", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.train_process", json.dumps(given)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_and_resumed_ends_with_the_same_weights(corpus: Path, tmp_path: Path, console: Console) -> None:
    output = tmp_path / "out" / "Model.h5"
    child = start(corpus, output, kill_after_epoch=2)
    train(corpus, tmp_path / "whole.h5", SETTINGS, console)
    out, err = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL, out + err
    assert [path.name for path in output.parent.iterdir()] == ["Model.h5.checkpoint"]

    with pytest.raises(TrainingError, match=r"Model\.h5\.checkpoint: .* stopped here after epoch 2.*--resume"):
        train(corpus, output, SETTINGS, console)
    with pytest.raises(TrainingError, match=r"other batch size \(6 there, 7 here\)"):
        train(corpus, output, replace(SETTINGS, batch_size=7, resume=True), console)
    result = train(corpus, output, replace(SETTINGS, resume=True), console)
    assert "going on after epoch 2/3" in printed(console)
    assert len(result.companions.card["history"]) == 3
    assert [path.name for path in output.parent.iterdir()] == ["Model.h5"]
    for one, other in zip(weights(tmp_path / "whole.h5"), weights(output), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_ctrl_c_and_then_on(corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "Model.h5"
    get = __import__("training.batches", fromlist=["x"]).TwoInputBatches.__getitem__
    seen: list[int] = []

    def interrupt(self: object, batch: int) -> object:
        seen.append(batch)
        if len(seen) == 6:  # the second batch of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return get(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr("training.batches.TwoInputBatches.__getitem__", interrupt)
        stopped = train(corpus, output, SETTINGS, console)
    assert stopped.stopped_early
    assert [entry.get("whole", True) for entry in stopped.companions.card["history"]] == [True, False]
    assert "up to epoch 1 is kept; the same command with --resume goes on" in printed(console)
    partial = weights(output)
    gone_on = train(corpus, output, replace(SETTINGS, resume=True), console)
    assert not gone_on.stopped_early
    assert not Checkpoint(output).path.exists()
    train(corpus, tmp_path / "whole.h5", SETTINGS, console)
    whole, resumed = weights(tmp_path / "whole.h5"), weights(output)
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert max(abs(one - other).max() for one, other in zip(partial, resumed, strict=True)) > 1e-3


def test_full_disk_loses_nothing(corpus: Path, tmp_path: Path, console: Console) -> None:
    output = tmp_path / "Model.h5"
    output.write_text("old")
    # A checkpoint has 0.4 MB here, the model 0.8 MB: room for the one, and then for neither.
    child = start(corpus, output, largest_file=600_000)
    other = start(corpus, tmp_path / "other.h5", largest_file=100_000)
    for process, expected in (
        (child, "Model.h5: cannot be written .*what was learnt up to epoch 3 is kept; the same command with --resume"),
        (other, "other.h5.checkpoint: cannot be written .*free some space; nothing was kept yet"),
    ):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 1, out + err
        assert re.search(f"^told: .*{expected}.*$", out, re.MULTILINE), out
        assert "Traceback" not in err
    assert output.read_text() == "old"
    assert {path.name for path in tmp_path.glob("*h5*")} == {"Model.h5", "Model.h5.checkpoint"}
    # With room again, the model is written, and nothing is learnt twice.
    train(corpus, output, replace(SETTINGS, resume=True), console)
    assert len(weights(output)) > 0
    assert "epoch 3/3" not in printed(console)
    assert not Checkpoint(output).path.exists()


def test_patience_keeps_the_best_epoch(corpus: Path, tmp_path: Path, console: Console) -> None:
    # A step size at which the loss soon goes astray.
    settings = replace(SETTINGS, epochs=30, learning_rate=0.3, patience=2, balanced=False)
    result = train(corpus, tmp_path / "patient.h5", settings, console)
    card = result.companions.card
    losses = [entry["validation_loss"] for entry in card["history"]]
    best = card["weights_of_epoch"]
    assert card["out_of_patience"]
    assert not result.stopped_early
    assert len(losses) == best + 2 < 30
    assert losses[best - 1] == min(losses) < losses[-1]
    assert f"no better since epoch {best}; saved" in printed(console)
    # The weights are those that a training of so many epochs ends with.
    train(corpus, tmp_path / "short.h5", replace(settings, epochs=best, patience=None), console)
    for one, other in zip(weights(tmp_path / "patient.h5"), weights(tmp_path / "short.h5"), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_two_workers_train_to_the_weights_of_one(corpus: Path, tmp_path: Path, console: Console) -> None:
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    children = [
        start(
            corpus,
            tmp_path / f"worker{index}" / "Model.h5",
            {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})},
        )
        for index in range(2)
    ]
    alone = train(corpus, tmp_path / "alone.h5", SETTINGS, console)
    told = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0], told
    assert [path.name for path in (tmp_path / "worker0").iterdir()] == ["Model.h5"]
    assert list((tmp_path / "worker1").iterdir()) == []
    assert "the first worker saves the model" in told[1][0]
    for one, other in zip(weights(tmp_path / "alone.h5"), weights(tmp_path / "worker0" / "Model.h5"), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert alone.companions.card["workers"] == 1
