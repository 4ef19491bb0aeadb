"""Complete trainings under real conditions: killed, on a full disk, and shared between two processes."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from tests.training.fit.progress.test_event_log import assert_logged
from training.fit.checkpoints import Checkpoint, TrainingState
from training.fit.settings import TrainingSettings
from training.fit.trainer import train

# 20 train rows: the last batch has one, of which the second of two workers gets none.
OPTIONS = {"epochs": 3, "batch_size": 19, "learning_rate": 0.01, "seed": 5, "balanced": True}
SETTINGS = TrainingSettings(vgg19_weights=None, **OPTIONS)  # type: ignore[arg-type]  # of several types


def weights(path: Path) -> list[NDArray[np.float32]]:
    return list(tf_keras.models.load_model(path, compile=False).get_weights())


def start(
    corpus: Path, output: Path, environment: Mapping[str, str] | None = None, **arguments: Any
) -> subprocess.Popen[str]:
    arguments = {"corpus": str(corpus), "output": str(output), "settings": OPTIONS, **arguments}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.fit.train_process", json.dumps(arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A real limit, in bytes, to the files that this process writes: what a full disk does, for large files only."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, previous[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_killed_or_shared_training_ends_with_the_same_weights(corpus: Path, tmp_path: Path, console: Console) -> None:
    """Killed after the first epoch and resumed; and trained by two processes as two machines would."""
    output, shared = tmp_path / "out" / "Model.h5", [tmp_path / f"worker{index}" / "Model.h5" for index in range(2)]
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = [
        start(
            corpus,
            shared[index],
            {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})},
            tensorboard=str(tmp_path / "shared log"),
        )
        for index in range(2)
    ]
    log = tmp_path / "log"
    killed = start(corpus, output, kill_after_epoch=1, tensorboard=str(log))
    result = train(corpus, tmp_path / "uninterrupted.h5", SETTINGS, console)
    expected = weights(tmp_path / "uninterrupted.h5")

    out, err = killed.communicate(timeout=280)
    assert killed.returncode == -signal.SIGKILL, out + err
    assert [path.name for path in output.parent.iterdir()] == ["Model.h5.checkpoint"]
    with pytest.raises(TrainingError, match=r"Model\.h5\.checkpoint: .* stopped here after epoch 1.*--resume"):
        train(corpus, output, SETTINGS, console)
    resumed = train(corpus, output, replace(SETTINGS, resume=True, tensorboard=log), console)
    assert "continuing after epoch 1/3" in printed(console)
    assert resumed.companions.card["history"] == result.companions.card["history"]
    assert sorted(path.name for path in output.parent.iterdir()) == ["Model.h5", "labels.txt"]
    assert_logged(log, result.companions.card["history"], rate=0.01)
    for one, other in zip(expected, weights(output), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)

    outputs = [worker.communicate(timeout=280) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert sorted(path.name for path in shared[0].parent.iterdir()) == ["Model.h5", "labels.txt"]
    assert list(shared[1].parent.iterdir()) == []
    assert "the first worker saves the model" in outputs[1][0]
    assert_logged(tmp_path / "shared log", result.companions.card["history"], rate=0.01)
    for one, other in zip(expected, weights(shared[0]), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("small_network")
def test_no_space_for_the_model(
    corpus: Path, tmp_path: Path, console: Console, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "Model.h5"
    output.write_text("old")
    # The checkpoint has 0.4 MB here, the model 0.8 MB.
    with largest_file(600_000), pytest.raises(TrainingError) as error:
        train(corpus, output, SETTINGS, console)
    assert re.search(r"Model\.h5: cannot be written .*", error.value.message)
    assert re.search("the checkpoint holds epoch 3; the same command with --resume continues", error.value.fix)
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert "HDF5" not in err
    assert output.read_text() == "old"
    assert {path.name for path in tmp_path.glob("*h5*")} == {"Model.h5", "Model.h5.checkpoint"}


def state(epochs: int, numbers: int) -> TrainingState:
    return TrainingState(epochs, (np.zeros(numbers),), (), 1, 0.5, (np.zeros(1),), ({"loss": 1.0},) * epochs)


def test_no_space_for_the_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "Model.h5"
    checkpoint = Checkpoint(output)
    errors: list[TrainingError] = []
    with largest_file(50_000):
        for epochs, numbers in ((1, 10_000), (1, 1000), (2, 10_000)):
            try:
                checkpoint.save(state(epochs, numbers), {"seed": 1})
            except TrainingError as error:
                errors.append(error)
        saved = checkpoint.load({"seed": 1})
    first, second = errors
    assert first.message == f"{output}.checkpoint: cannot be written (File too large)"
    assert first.fix.startswith("free some space; there is no checkpoint yet")
    assert "the checkpoint holds epoch 1; the same command with --resume continues from it" in second.fix
    assert saved is not None
    assert saved.epochs == 1
    assert [path.name for path in tmp_path.iterdir()] == ["Model.h5.checkpoint"]
