"""A training in a separate process, to be killed or joined by others. Its argument is a JSON object."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import tf_keras

from tests.training.small_vgg19 import small_vgg19
from training.fit.checkpoints import Checkpoint, TrainingState
from training.fit.settings import TrainingSettings
from training.fit.trainer import train


def main() -> None:
    """Train with the small network; kill this process after an epoch if the argument names one."""
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf_keras.applications, "VGG19", small_vgg19)
        if "kill_after_epoch" in arguments:
            save = Checkpoint.save

            def save_and_die(self: Checkpoint, state: TrainingState, made_by: dict[str, Any]) -> None:
                save(self, state, made_by)
                if state.epochs == arguments["kill_after_epoch"]:
                    os.kill(os.getpid(), signal.SIGKILL)

            patch.setattr(Checkpoint, "save", save_and_die)
        log = Path(arguments["tensorboard"]) if "tensorboard" in arguments else None
        settings = TrainingSettings(vgg19_weights=None, tensorboard=log, **arguments["settings"])
        train(Path(arguments["corpus"]), Path(arguments["output"]), settings)


if __name__ == "__main__":
    main()
