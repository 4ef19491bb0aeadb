"""A training in a process of its own, to be killed, starved of disk, or joined by others. Arguments: a JSON object."""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import tf_keras

from device.errors import TrainingError
from tests.training.small_vgg19 import small_vgg19
from training.fit.checkpoints import Checkpoint, State
from training.fit.settings import TrainingSettings
from training.fit.trainer import train


def main() -> int:
    """Train; returns 1 after telling why if it cannot be done."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf_keras.applications, "VGG19", small_vgg19)
        if "kill_after_epoch" in wanted:
            save = Checkpoint.save

            def save_and_die(self: Checkpoint, state: State, made_by: dict[str, Any]) -> None:
                save(self, state, made_by)
                if state.epochs == wanted["kill_after_epoch"]:
                    os.kill(os.getpid(), signal.SIGKILL)

            patch.setattr(Checkpoint, "save", save_and_die)
        if "largest_file" in wanted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["largest_file"], wanted["largest_file"]))
        settings = TrainingSettings(**{"vgg19_weights": None, **wanted["settings"]})
        try:
            train(Path(wanted["corpus"]), Path(wanted["output"]), settings)
        except TrainingError as error:
            print("told:", error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
