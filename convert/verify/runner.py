"""The child process that runs a converted model on samples in one runtime.

`python -m convert.verify.runner RUNTIME MODEL SAMPLES OUTPUT`. A runtime may crash on a model that it should have
refused, so each runtime runs in a separate process.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.subprocess_job import reporting_to_parent
from device.errors import ConversionError, InterpreterError
from device.recognition.classifier import FEATURES, IMAGES, PROBABILITIES, SIGNATURE
from device.recognition.runtimes import DISPLAY_NAMES, SignatureRunner, UnusableRuntimeError, load_runtime

_PROGRESS_EVERY = 10
"""Samples."""


def main(runtime: str, model: Path, samples: Path, output: Path) -> None:
    """Run `model` on `samples` in one runtime and write its probabilities, shape (samples, labels), to `output`."""
    name = DISPLAY_NAMES[runtime]
    with reporting_to_parent() as progress:
        progress(f"running it in {name}")
        try:
            interpreter = load_runtime(runtime, model.read_bytes())
            with np.load(samples) as stored:
                images, features = stored["images"], stored["features"]
            probabilities = predict(interpreter, images, features, partial(progress, f"running it in {name}"))
        except UnusableRuntimeError as error:
            raise ConversionError(
                f"{name} is installed but cannot be used ({error.message})", fix=f"reinstall or remove {runtime}"
            ) from error
        except InterpreterError as error:
            raise ConversionError(
                f"the converted model cannot be run: {error.message}",
                fix="try another --mode, or replace unusual layers of the network",
            ) from error
        np.save(output, probabilities)


def predict(
    interpreter: Any,
    images: NDArray[np.float32],
    features: NDArray[np.int32],
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Probabilities of a converted model, shape (samples, labels).

    Args:
        interpreter: holds the model, with its tensors allocated; of any runtime, TensorFlow's own included.
        images: spectrogram images, shape (samples, height, width, 3), 0 to 1.
        features: word ids, shape (samples, sequence_length).
        progress: receives the number of samples done, and of all.

    Raises:
        InterpreterError: the model does not have the signature of a bundle.
    """
    run = SignatureRunner(interpreter, SIGNATURE)
    rows: list[Any] = []
    for image, ids in zip(images, features, strict=True):
        if progress is not None and len(rows) % _PROGRESS_EVERY == 0:
            progress(len(rows), len(images))
        rows.append(run(**{IMAGES: image[None], FEATURES: ids[None]})[PROBABILITIES][0])
    return np.stack(rows)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
