"""Whole trainings in processes of their own: killed, out of disk space, shared between two."""

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
from training.fit.settings import TrainingSettings
from training.fit.trainer import train

pytestmark = pytest.mark.usefixtures("small_network")
# 20 train rows: the last batch has one, of which the second of two workers gets none.
GIVEN = {"epochs": 3, "batch_size": 19, "learning_rate": 0.01, "seed": 5, "balanced": True}
SETTINGS = TrainingSettings(vgg19_weights=None, **GIVEN)  # type: ignore[arg-type]  # of several types


def weights(path: Path) -> list[NDArray[np.float32]]:
    return list(tf_keras.models.load_model(path, compile=False).get_weights())


def start(
    corpus: Path, output: Path, environment: Mapping[str, str] | None = None, **wanted: Any
) -> subprocess.Popen[str]:
    given = {"corpus": str(corpus), "output": str(output), "settings": GIVEN, **wanted}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.fit.train_process", json.dumps(given)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_or_shared_the_weights_are_the_same(corpus: Path, tmp_path: Path, console: Console) -> None:
    """Killed after the first epoch and gone on with; and trained by two processes as two machines would."""
    output, shared = tmp_path / "out" / "Model.h5", [tmp_path / f"worker{index}" / "Model.h5" for index in range(2)]
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = [
        start(
            corpus,
            shared[index],
            {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})},
        )
        for index in range(2)
    ]
    killed = start(corpus, output, kill_after_epoch=1)
    result = train(corpus, tmp_path / "whole.h5", SETTINGS, console)
    whole = weights(tmp_path / "whole.h5")

    out, err = killed.communicate(timeout=280)
    assert killed.returncode == -signal.SIGKILL, out + err
    assert [path.name for path in output.parent.iterdir()] == ["Model.h5.checkpoint"]
    with pytest.raises(TrainingError, match=r"Model\.h5\.checkpoint: .* stopped here after epoch 1.*--resume"):
        train(corpus, output, SETTINGS, console)
    resumed = train(corpus, output, replace(SETTINGS, resume=True), console)
    assert "going on after epoch 1/3" in printed(console)
    assert resumed.companions.card["history"] == result.companions.card["history"]
    assert [path.name for path in output.parent.iterdir()] == ["Model.h5"]
    for one, other in zip(whole, weights(output), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)

    told = [worker.communicate(timeout=280) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    assert [path.name for path in shared[0].parent.iterdir()] == ["Model.h5"]
    assert list(shared[1].parent.iterdir()) == []
    assert "the first worker saves the model" in told[1][0]
    for one, other in zip(whole, weights(shared[0]), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_no_room_for_the_model(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "Model.h5"
    output.write_text("old")
    # The checkpoint has 0.4 MB here, the model 0.8 MB.
    process = start(corpus, output, largest_file=600_000)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 1, out + err
    told = "Model.h5: cannot be written .*; what was learnt up to epoch 3 is kept; the same command with --resume goes"
    assert re.search(f"^told: .*{told}.*$", out, re.MULTILINE), out
    assert "Traceback" not in err
    assert "HDF5" not in err
    assert output.read_text() == "old"
    assert {path.name for path in tmp_path.glob("*h5*")} == {"Model.h5", "Model.h5.checkpoint"}


def test_no_room_for_the_checkpoint(tmp_path: Path) -> None:
    code = """if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from device.errors import TrainingError
        from training.fit.checkpoints import Checkpoint, State

        def state(epochs, numbers):
            return State(epochs, (np.zeros(numbers),), (), 1, 0.5, (np.zeros(1),), ({"loss": 1.0},) * epochs)

        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        checkpoint = Checkpoint(Path(sys.argv[1]))
        for epochs, numbers in ((1, 10_000), (1, 1000), (2, 10_000)):
            try:
                checkpoint.save(state(epochs, numbers), {"seed": 1})
            except TrainingError as error:
                print(error)
        print(checkpoint.load({"seed": 1}).epochs)
    """
    output = tmp_path / "Model.h5"
    found = subprocess.run([sys.executable, "-c", code, str(output)], capture_output=True, text=True, check=True)
    first, second, kept = found.stdout.splitlines()
    assert first.startswith(
        f"{output}.checkpoint: cannot be written (File too large); free some space; nothing was kept"
    )
    assert "what was learnt up to epoch 1 is kept; the same command with --resume goes on from it" in second
    assert kept == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["Model.h5.checkpoint"]
