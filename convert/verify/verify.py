"""Runs a bundle in the TFLite runtimes that are installed here, and compares its predictions with Keras's.

Each runtime runs in a separate process, see `convert.verify.runner`, and all of them at the same time.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert import subprocess_job
from convert.subprocess_job import Progress
from convert.verify.agreement import Agreement, check, measure
from device.errors import ConversionError
from device.recognition.runtimes import DISPLAY_NAMES, LITERT, installed_runtimes


def runtimes_to_verify_in(required: str | None) -> list[str]:
    """Package names of the installed runtimes, in which a model can be verified; the strictest first.

    Args:
        required: package name of a runtime that must be among them; None if any will do.

    Raises:
        ConversionError: it is not installed, or none is.
    """
    found = installed_runtimes()[::-1]
    if not found or required not in (None, *found):
        raise ConversionError(
            f"verifying the model needs {required or 'a TFLite runtime'}, which is not installed",
            fix=f"run: pip install {required or LITERT}",
        )
    return found


def verify(
    bundle: Path,
    samples: Path,
    expected: NDArray[np.float32],
    labels: Sequence[str],
    runtimes: Sequence[str],
    *,
    tolerance: float,
    fix: str,
    progress: Progress,
) -> dict[str, Agreement]:
    """Run the bundle in each runtime and measure how closely it agrees with Keras.

    Args:
        bundle: the bundle, as the device will load it.
        samples: file of the samples in the format of `convert.worker`; the probabilities are written beside it.
        expected: Keras's probabilities for the samples, shape (samples, labels).
        labels: names of the classes.
        runtimes: package names of the runtimes.
        tolerance: limit of the differences, see `convert.verify.agreement.check`.
        fix: what the user can do about differences beyond the limit.
        progress: receives what is being done.

    Returns:
        The agreement by package name of the runtime.

    Raises:
        ConversionError: a runtime refuses the bundle or crashes, or its predictions differ too much.
    """
    agreements = {}
    with ExitStack() as stack:
        children = []
        for runtime in runtimes:
            output = samples.with_name(f"{runtime}.npy")
            arguments = [runtime, str(bundle), str(samples), str(output)]
            step = f"{DISPLAY_NAMES[runtime]}, running the converted model,"
            child = stack.enter_context(subprocess_job.started(step, "convert.verify.runner", arguments))
            children.append((runtime, output, child))
        for runtime, output, child in children:
            child.finish(progress)
            agreements[runtime] = measure(np.load(output), expected, labels)
            check(agreements[runtime], tolerance, DISPLAY_NAMES[runtime], fix)
    return agreements
