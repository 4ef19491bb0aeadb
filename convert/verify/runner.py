"""The child process that runs a converted model on samples in one runtime.

`python -m convert.verify.runner RUNTIME MODEL SAMPLES OUTPUT`. A runtime may crash on a model that it should have
refused, so each runtime runs in a separate process.
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convert.subprocess_job import reporting_to_parent
from device.errors import ConversionError, InterpreterError
from device.recognition.classifier import FEATURES, IMAGES, PROBABILITIES, SIGNATURE
from device.recognition.runtimes import DISPLAY_NAMES, SignatureRunner
from device.recognition.runtimes import RUNTIMES as MODULES

RUNTIMES: Mapping[str, str] = {runtime: DISPLAY_NAMES[runtime] for runtime in reversed(MODULES)}
"""Names of the runtimes for people, by the name of their package; the strictest first."""
_PROGRESS_EVERY = 10
"""Samples."""


def main(runtime: str, model: Path, samples: Path, output: Path) -> None:
    """Run `model` on `samples` in one runtime and write its probabilities, shape (samples, labels), to `output`."""
    name = RUNTIMES[runtime]
    with reporting_to_parent() as progress:
        progress(f"running it in {name}")
        try:
            module = importlib.import_module(MODULES[runtime])
        except (ImportError, AttributeError) as error:
            raise ConversionError(
                f"{name} is installed but cannot be imported ({error})", fix=f"reinstall or remove {runtime}"
            ) from error
        try:
            interpreter = module.Interpreter(model_content=model.read_bytes())
            interpreter.allocate_tensors()
            run = SignatureRunner(interpreter, SIGNATURE)
        except (ValueError, RuntimeError, InterpreterError) as error:
            raise ConversionError(f"{name} refuses the converted model: {error}") from error
        rows: list[Any] = []
        with np.load(samples) as stored:
            images, features = stored["images"], stored["features"]
        for image, ids in zip(images, features, strict=True):
            if len(rows) % _PROGRESS_EVERY == 0:
                progress(f"running it in {name}", len(rows), len(images))
            rows.append(run(**{IMAGES: image[None], FEATURES: ids[None]})[PROBABILITIES][0])
        np.save(output, np.stack(rows))


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
